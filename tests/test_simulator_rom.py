"""The device image: linked, trimmed and renamed, a program does what it did before."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from simulator import constant_folding, free_names, linking, rom, short_names, unused_code, vm_device

REPOSITORY = Path(__file__).resolve().parent.parent

# A program of two packages with what firmware is made of: constants across modules, private names that meet, a method
# and a global of one name, defaults, closures, a property, an exception, parts that are loaded when they are needed.
PROGRAM = {
    "wire.__init__": '"""Nothing."""',
    "wire.limits": "WIDTH = 3\nDEPTH, HEIGHT = range(4, 6)\nAREA = WIDTH * HEIGHT\nNAMES = {DEPTH: 'deep'}\n",
    "wire.word": (
        "from wire.limits import AREA, NAMES\nfrom wire import limits\n"
        "class Broken(Exception):\n    def __init__(self, reason):\n        self.reason = reason\n"
        "def _inner(text, times=limits.WIDTH):\n    return text * times\n"
        "def never(text):\n    return never(text)\n"
        "class Word:\n    gap = limits.WIDTH\n"
        "    def __init__(self, text):\n        self._text = text\n        self.count = 0\n"
        "    def area(self):\n        return AREA\n"
        "    def unused(self):\n        return never(self._text)\n"
        "    @property\n    def name(self):\n        return NAMES.get(len(self._text), 'other')\n"
        "    def grow(self, times=2):\n        self.count += 1\n        self._text = _inner(self._text, times)\n"
        "        if len(self._text) > 40:\n            raise Broken('long')\n        return self._text\n"
    ),
    "house.__init__": "",
    "house.settings": "def area(word):\n    return [one for one in word.grow(times=1)]\n_inner = 'own'\ndef inner():\n"
    "    return _inner\n",
    "house.app": "from wire.word import Word\nfrom house import settings\nclass App(Word):\n"
    "    def title(self, **more):\n        return self.name + settings.inner() + str(sorted(more))\n",
    "house.late": "from wire.limits import DEPTH\ndef depth():\n    return DEPTH\n",
    "house.main": (
        "import sys\nfrom house import settings\nfrom wire import limits, word\n_calls = 0\n"
        "def _count():\n    global _calls\n    _calls += 1\n    return _calls\n"
        "def run(text):\n    from house.app import App\n    one = App(text)\n"
        "    found = [one.area(), one.gap, one.name, settings.area(one), one.title(width=limits.WIDTH)]\n"
        "    try:\n        while True:\n            one.grow()\n            _count()\n"
        "    except word.Broken as error:\n        found.append(error.reason)\n"
        "    area = lambda area: area + limits.AREA\n    return found + [area(_calls), one.count, _late(0), _late(1)]\n"
        "def _late(more):\n    from house import late\n    return (lambda: late.depth() + more)()\n"
    ),
}
LAYOUT = {"core": "house.main", "apps": {"house.app": (), "house.late": ()}}
CALLER = "from house import main\nprint(main.run('four'))\n"


def shrunk() -> dict[str, str]:
    """The program as the image gets it, with made-up names that cost nothing."""
    trimmed = unused_code.trim({**constant_folding.fold(PROGRAM), "start": CALLER}, keep=["start"])
    short = short_names.shorten({module: trimmed[module] for module in PROGRAM}, [CALLER])
    free = {f"place{number}" for number in range(400)}
    return free_names.spell(linking.link(short, LAYOUT["core"], LAYOUT["apps"]), [CALLER], free)


def output(program: dict[str, str], folder: Path, python: list[str]) -> str:
    """What the caller prints when it runs these modules."""
    for module, source in program.items():
        path = folder / (module.replace(".", "/") + ".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source, "utf-8")
    (folder / "start.py").write_text(CALLER)
    done = subprocess.run([*python, "start.py"], cwd=folder, capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_linked_program_says_what_the_modules_said(tmp_path: Path) -> None:
    said = output(PROGRAM, tmp_path / "before", [sys.executable])
    assert said == "[15, 3, 'deep', ['f', 'o', 'u', 'r'], \"deepown['width']\", 'long', 18, 5, 4, 5]\n"
    assert output(shrunk(), tmp_path / "after", [sys.executable]) == said


def test_a_module_that_a_function_imports_is_not_loaded_before() -> None:
    body = ast.parse(shrunk()["house.main"]).body
    assert "late" not in [alias.name for node in body if isinstance(node, ast.ImportFrom) for alias in node.names]


@pytest.mark.micropython
def test_a_linked_program_says_the_same_on_micropython(micropython: str, tmp_path: Path) -> None:
    said = output(PROGRAM, tmp_path / "before", [micropython])
    assert output(shrunk(), tmp_path / "after", [micropython]) == said


def test_a_linked_program_holds_no_name_that_costs() -> None:
    program = shrunk()
    assert sorted(program) == ["house.app", "house.late", "house.main"]
    for word in ("never", "unused", "_inner", "settings", "WIDTH", "AREA", "limits", "grow", "count", "Broken"):
        assert not [module for module, source in program.items() if word in source.replace("'own'", "")], word


def test_constants_of_other_modules_become_numbers() -> None:
    folded = constant_folding.fold(PROGRAM)
    assert folded["wire.limits"] == "NAMES = {4: 'deep'}"
    assert "return 15" in folded["wire.word"]
    assert "times=3" in folded["wire.word"]


def test_a_constant_that_a_function_shadows_or_a_text_holds_is_not_folded() -> None:
    sources = {
        "a.one": "SIZE = 7\nNAME = 'SIZE'\ndef size(SIZE):\n    pass\n",
        "a.two": "from a import one\nX = one.NAME\n",
    }
    folded = constant_folding.fold(sources)
    assert "'SIZE'" in folded["a.one"]
    assert folded["a.two"] == "from a import one\nX = one.NAME"


def test_code_that_only_unused_code_calls_goes_with_it() -> None:
    source = "def a():\n    return b()\ndef b():\n    return 1\ndef used():\n    return 2\n"
    trimmed = unused_code.trim({"p.m": source, "start": "from p.m import used\n"}, keep=["start"])
    assert [node.name for node in ast.parse(trimmed["p.m"]).body if isinstance(node, ast.FunctionDef)] == ["used"]


def test_a_private_name_of_a_class_that_extends_another_modules_is_refused() -> None:
    sources = {
        "p.a": "class A:\n    def __init__(self):\n        self._x = 1\n",
        "p.b": "from p.a import A\nclass B(A):\n    def y(self):\n        self._z = 2\n",
    }
    with pytest.raises(ValueError, match=r"p\.b\.B: private names in a class with an imported base"):
        short_names.shorten(sources, [])


def test_names_of_the_hardware_and_of_keywords_stay() -> None:
    source = (
        "import machine\nclass Led:\n    def __init__(self, pin, speed=1):\n        self.pin = machine.Pin(pin)\n"
        "        self.pin.blink = speed\n    def toggle(self):\n        self.pin.toggle()\n"
    )
    caller = "from p.led import Led\nLed(3, speed=2).toggle()\n"
    spelled = free_names.spell({"p.led": source}, [caller], {"read", "write", "sin", "cos", "tan"})["p.led"]
    for name in ("import machine", "machine.Pin(", "speed=1", "class Led", "def toggle(", ".toggle()", ".blink"):
        assert name in spelled, name
    assert "self.pin" not in spelled


def test_names_stay_as_they_are_where_none_is_free() -> None:
    assert free_names.spell({"p.m": "def f(x):\n    return x"}, [], set()) == {"p.m": "def f(x):\n    return x"}


def test_a_name_that_only_the_compiler_looks_up_is_never_taken() -> None:
    looked_up = {"AssertionError", "BaseException", "StopAsyncIteration"}
    source = "def a(x):\n    return x\ndef b(x):\n    return x\n"
    spelled = free_names.spell({"p.m": source}, [], {*looked_up, "sin"})["p.m"]
    assert not [name for name in looked_up if name in spelled]
    assert "sin" in spelled


@pytest.mark.micropython
def test_the_vm_tells_names_that_cost_nothing(micropython: str) -> None:
    names = free_names.free_names()
    assert {"append", "sha256", "ticks_ms", "load_cert_chain", "cancel", "SSLContext"} <= names
    assert len(names) > 400


@pytest.mark.micropython
def test_the_image_holds_every_part_and_nothing_of_the_host(micropython: str, tmp_path: Path) -> None:
    vm_device.build_rom(tmp_path / "devices.rom")
    image = (tmp_path / "devices.rom").read_bytes()
    for part in (b"main.mpy", b"evaluator.mpy", b"clock.mpy", b"vm_boot.mpy"):
        assert part in image, part
    assert b"suite_host" not in image
    assert len(image) < 172 * 1024  # a third of it are glyphs


def test_a_module_that_is_no_micropython_is_told(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    package = tmp_path / "odd"
    package.mkdir()
    (package / "wrong.py").write_text("X = (*[1], 2)\n")
    with pytest.raises(RuntimeError, match="device modules do not compile"):
        rom.build([package])
    assert "wrong.py" in capfd.readouterr().err
