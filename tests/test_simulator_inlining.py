"""Functions that go where they are called: the program does what it did, and stays as it was where it could not."""

import ast
import subprocess
from pathlib import Path
from typing import Any

import pytest

from simulator import freezing, inlining

# (source, what it prints): functions that go, in every place where a call can stand.
GOES = {
    "statement": (
        "def _f(a):\n    b = a + 1\n    print(b)\ndef run():\n    b = 5\n    _f(b)\n    print(b)\n",
        "6\n5\n",
    ),
    "result": ("def _f(a):\n    b = a * 2\n    return b\ndef run():\n    x = _f(4) + 1\n    print(x)\n", "9\n"),
    "condition": (
        "def _f(a):\n    b = a > 2\n    return b\ndef run():\n    if not _f(4):\n        return\n    print(1)\n",
        "1\n",
    ),
    "expression": (
        "def _f(a):\n    return a * 2\ndef run():\n    x = 3\n    while _f(x) < 20:\n        x += 1\n    print(x)\n",
        "10\n",
    ),
    "early return": (
        "def _f(a):\n    if a:\n        return 1\n    for b in range(3):\n        if b == 2:\n            return b\n"
        "def g(a):\n    return _f(a)\ndef run():\n    print(g(0), g(1))\n",
        "2 1\n",
    ),
    "falls off its end": (
        "def _f(a):\n    if a:\n        return 1\ndef g(a):\n    return _f(a)\ndef run():\n    print(g(0))\n",
        "None\n",
    ),
    "argument that it changes": (
        "def _f(a):\n    a += 1\n    return a\ndef run():\n    a = 1\n    x = _f(a)\n    print(a, x)\n",
        "1 2\n",
    ),
    "argument with an effect": (
        "def _f(a):\n    return a + a\ndef run():\n    x = [1, 2]\n    y = _f(x.pop())\n    print(x, y)\n",
        "[1] 4\n",
    ),
    "method": (
        "class A:\n    def __init__(self):\n        self.x = 1\n    def _add(self, y):\n        self.x += y\n"
        "    def go(self):\n        self._add(4)\n        return self.x\ndef run():\n    print(A().go())\n",
        "5\n",
    ),
    "exception": (
        "def _f():\n    try:\n        raise ValueError(3)\n    except ValueError as e:\n        b = e.args[0]\n"
        "    return b\n"
        "def run():\n    e = 1\n    x = _f()\n    print(e, x)\n",
        "1 3\n",
    ),
}
GOES |= {
    "parameter that catches an exception": (
        "def _f(e):\n    try:\n        raise ValueError(e)\n    except ValueError as e:\n        print(e)\n"
        "def run():\n    e = 1\n    _f(e)\n    print(e)\n",
        "1\n1\n",
    ),
    "method after what is bound once": (
        "class A:\n    def __init__(self):\n        self.x = []\n    def _f(self):\n        self.x.append(1)\n"
        "        return 2\n    def g(self):\n        return [self.x, self._f()]\ndef run():\n    print(A().g())\n",
        "[[1], 2]\n",
    ),
}
# Functions that stay: each line would do something else, or hold something longer, inside its caller.
STAYS = {
    "two calls": "def _f():\n    return 1\ndef run():\n    return _f() + _f()\n",
    "named otherwise": "def _f():\n    return 1\ndef run():\n    return [_f]\n",
    "named by a text": "def _f():\n    return 1\ndef run(a):\n    getattr(a, '_f')\n    return _f()\n",
    "default": "def _f(a=1):\n    return a\ndef run():\n    return _f(1)\n",
    "keyword": "def _f(a):\n    return a\ndef run():\n    return _f(a=1)\n",
    "closure": "def _f(a):\n    return lambda: a\ndef run():\n    return _f(1)\n",
    "generator": "def _f(a):\n    yield a\ndef run():\n    return _f(1)\n",
    "evaluated before": "def _f(a):\n    a.pop()\n    return a\ndef run(a):\n    return [a.pop(), _f(a)]\n",
    "only sometimes": "def _f(a):\n    a.pop()\n    return a\ndef run(a):\n    return a and _f(a)\n",
    "early return": "def _f(a):\n    if a:\n        return\n    print(a)\ndef run(a):\n    _f(a)\n    print(1)\n",
    "a global that the caller shadows": "b = 1\ndef _f():\n    return b\ndef run(b):\n    return _f()\n",
    "what it holds would live long": (
        "def _f(a):\n    b = bytes(a)\n    return len(b)\nasync def run(a):\n    x = _f(a)\n    await a\n"
    ),
    "coroutine that is not awaited": "async def _f(a):\n    await a\ndef run(a):\n    return _f(a)\n",
    "property before it": (
        "class A:\n    @property\n    def n(self):\n        return len(self.x)\n    def _f(self):\n"
        "        self.x.append(1)\n        return 2\n    def g(self):\n        return [self.n, self._f()]\n"
    ),
    "attribute before it that setattr binds": (
        "class A:\n    def _f(self):\n        setattr(self, 'n', 5)\n        return 2\n"
        "    def g(self):\n        return [self.n, self._f()]\n"
    ),
    "called in a closure": (
        "b = 1\ndef _f():\n    return b\ndef run(b):\n    def g():\n        return _f()\n    return g\n"
    ),
    "walrus": "def _f(a, b):\n    return a + b\ndef run(x):\n    return _f(x, (x := 7))\n",
    "another class's": (
        "class A:\n    def _f(self):\n        return 1\n    def g(self):\n        return self._f()\n"
        "class B(A):\n    def _f(self):\n        return 2\n"
    ),
    "property": (
        "class A:\n    @property\n    def _f(self):\n        return len\n    def g(self):\n        return self._f()\n"
    ),
}


def functions(source: str) -> list[str]:
    found = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    return [node.name for node in found]


@pytest.mark.parametrize("name", GOES)
def test_a_function_goes_where_its_only_call_stands(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    source, said = GOES[name]
    inlined = inlining.inline_private(source)
    assert not [one for one in functions(inlined) if one.startswith("_") and one != "__init__"], inlined
    for text in (source, inlined):
        exec(compile(text + "\nrun()", name, "exec"), {})
        assert capsys.readouterr().out == said


@pytest.mark.parametrize("name", STAYS)
def test_a_function_stays_where_its_body_could_not_stand_for_its_call(name: str) -> None:
    assert functions(inlining.inline_private(STAYS[name])) == functions(STAYS[name])


def test_names_of_one_run_are_not_those_of_another() -> None:
    source = (
        "def _a(x):\n    y = [x]\n    for i in range(2):\n        g1(i)\n        y.append(i)\n    return y\n"
        "def g1(q):\n    w = q * 10\n    print(w)\ndef run():\n    return _a(5)\n"
    )
    twice = inlining.inline_linked({"": inlining.inline_private(source)})[""]
    assert functions(twice) == ["run"]
    found: dict[str, Any] = {}
    exec(compile(twice, "twice", "exec"), found)
    assert found["run"]() == [5, 0, 1]


def test_an_awaited_coroutine_goes_into_the_one_that_awaits_it() -> None:
    source = "async def _f(a):\n    await a.b()\n    a.c()\nasync def run(a):\n    await _f(a)\n"
    assert inlining.inline_private(source) == "async def run(a):\n    await a.b()\n    a.c()"


# Enough of a board's modules to import what uses them.
BOARD = {"network": "", "machine": "from sys import exit as reset\nPin = I2C = UART = WDT = RTC = reset_cause = None\n"}


@pytest.mark.micropython
def test_the_linked_modules_of_a_small_board_load_on_micropython(micropython: str, tmp_path: Path) -> None:
    parts = freezing.sources()
    for module, source in {**parts, **BOARD}.items():
        path = tmp_path.joinpath(*module.split(".")).with_suffix(".py")
        path.parent.mkdir(exist_ok=True)
        path.write_text(source, "utf-8")
    script = (
        f"import sys; sys.path[:] = [{str(tmp_path)!r}, '.frozen']\nfor one in {sorted(parts)!r}: __import__(one)\n"
    )
    script += "from firmware.loader import program\nprint(program('nowhere'))"
    done = subprocess.run([micropython, "-c", script], capture_output=True, text=True, timeout=30, check=False)
    assert done.stdout.startswith("<function "), done.stdout + done.stderr
