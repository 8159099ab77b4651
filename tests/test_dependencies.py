"""Who may import whom, and what code of the devices may use: the rules of the design, held against the source."""

import ast
import importlib.metadata
import re
import sys
import tomllib

import pytest
from packaging.requirements import Requirement
from source_tree import PACKAGES, REPOSITORY, Import, Module, imports, modules

MAY_IMPORT = {
    "protocol": {"protocol"},
    "firmware": {"firmware", "protocol"},
    "gateway": {"gateway", "protocol"},
    "provisioning": {"provisioning", "protocol"},
    "simulator": {"simulator", "firmware", "protocol"},  # it reaches the gateway over sockets, like any device
}

HARDWARE = {"bluetooth", "esp", "esp32", "espnow", "machine", "neopixel", "network"}

# What MicroPython lacks, or what only seems to be there.
ABSENT_ON_DEVICES = {
    *(
        "__future__",
        "abc",
        "base64",
        "concurrent",
        "contextlib",
        "copy",
        "dataclasses",
        "datetime",
        "enum",
        "functools",
    ),
    *("hmac", "importlib", "inspect", "itertools", "logging", "operator", "pathlib", "secrets", "shutil", "string"),
    *("subprocess", "tempfile", "threading", "traceback", "types", "typing", "unittest", "zlib"),
}

# The wire is pure: bytes in, bytes out. Only the suites, which are handed in, reach for anything else.
PURE = {"binascii", "collections", "hashlib", "struct", "sys"}
SUITES = ("protocol/suite_host.py", "protocol/suite_device.py")
# Never on a device: the host's suite.
HOST_ONLY = ("protocol/suite_host.py",)


def _ours(module: Module) -> list[Import]:
    return [each for each in imports(module.tree) if each.top in PACKAGES]


def _named(found: list[tuple[Module, int, str]]) -> list[str]:
    return [f"{module.name}:{line} {what}" for module, line, what in found]


def _of(*packages: str) -> list[Module]:
    return [module for module in modules() if module.package in packages]


def _runs_on_devices(module: Module) -> bool:
    return module.package in ("protocol", "firmware") and module.name not in HOST_ONLY


def test_every_package_is_looked_at() -> None:
    assert {module.package for module in modules()} == {*PACKAGES, "tests"}


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_imports_only_what_it_may(package: str) -> None:
    wrong = [
        (module, each.line, each.module)
        for module in _of(package)
        for each in _ours(module)
        if each.top not in MAY_IMPORT[package]
    ]
    assert _named(wrong) == []


def test_imports_are_absolute() -> None:
    relative = [
        (module, each.line, each.module)
        for module in modules()
        for each in imports(module.tree)
        if each.module.startswith(".")
    ]
    assert _named(relative) == []


def test_hardware_appears_only_in_board_files_and_in_their_imitation() -> None:
    wrong = [
        (module, each.line, each.module)
        for module in _of(*PACKAGES)
        for each in imports(module.tree)
        if each.top in HARDWARE
        and not module.name.startswith("firmware/board_")
        and not module.name.startswith("simulator/vm/")
    ]
    assert _named(wrong) == []


def test_the_wire_is_pure() -> None:
    wrong = [
        (module, each.line, each.module)
        for module in _of("protocol")
        if module.name not in SUITES
        for each in imports(module.tree)
        if each.top not in PURE | {"protocol"}
    ]
    assert _named(wrong) == []


def test_the_wire_asks_the_interpreter_only_for_its_name() -> None:
    wrong = [
        (module, node.lineno, ast.unparse(node))
        for module in _of("protocol")
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "sys" and node.attr != "implementation"
    ]
    assert _named(wrong) == []


def test_the_wire_opens_no_file_and_asks_no_clock() -> None:
    forbidden = {"open", "print", "input", "exec", "eval", "__import__"}
    wrong = [
        (module, node.lineno, node.func.id)
        for module in _of("protocol")
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in forbidden
    ]
    assert _named(wrong) == []


def test_code_of_devices_imports_nothing_that_devices_lack() -> None:
    wrong = [
        (module, each.line, each.module)
        for module in modules()
        if _runs_on_devices(module)
        for each in imports(module.tree)
        if each.top in ABSENT_ON_DEVICES and not each.optional
    ]
    assert _named(wrong) == []


def _foreign_syntax(node: ast.AST) -> str | None:
    """What MicroPython refuses or gets wrong in this node; None when it is fine (firmware reference, section 2)."""
    match node:
        case ast.Match():
            return "match"
        case ast.TryStar():
            return "except*"
        case ast.arguments(posonlyargs=[_, *_]):
            return "positional-only arguments"
        case ast.Dict(keys=keys) if None in keys:
            return "{**a}"
        case ast.List(elts=elements) | ast.Tuple(elts=elements) | ast.Set(elts=elements) if any(
            isinstance(element, ast.Starred) and isinstance(element.ctx, ast.Load) for element in elements
        ):
            return "[*a]"
        case ast.comprehension(is_async=1):
            return "async for in a comprehension"
        case ast.AsyncFunctionDef() if any(isinstance(child, ast.Yield) for child in ast.walk(node)):
            return "async generator"
        case ast.ClassDef(keywords=[_, *_]):
            return "metaclass"
        case ast.Raise(cause=ast.expr() as cause) if not (isinstance(cause, ast.Constant) and cause.value is None):
            return "raise … from, which only warns"
        case ast.Call(func=ast.Attribute(attr="to_bytes" | "from_bytes"), keywords=[_, *_]):
            return "to_bytes or from_bytes with keywords"
        case ast.Call(func=ast.Attribute(attr="bit_length" | "removeprefix" | "removesuffix" | "zfill" | "hexdigest")):
            return "a method that MicroPython lacks"
        case ast.Call(func=ast.Name(id="pow"), args=[_, ast.UnaryOp(op=ast.USub()), _]):
            return "pow with a negative exponent, which is 0 there"
    return None


def test_code_of_devices_uses_no_syntax_that_devices_lack() -> None:
    wrong = [
        (module, getattr(node, "lineno", 0), what)
        for module in modules()
        if _runs_on_devices(module)
        for node in ast.walk(module.tree)
        if (what := _foreign_syntax(node))
    ]
    assert _named(wrong) == []


@pytest.mark.parametrize(
    ("source", "what"),
    [
        ("match a:\n case 1: pass", "match"),
        ("def f(a, /): pass", "positional-only arguments"),
        ("x = {**a}", "{**a}"),
        ("x = [*a]", "[*a]"),
        ("raise A from b", "raise … from, which only warns"),
        ("async def f():\n yield 1", "async generator"),
        ("a.to_bytes(2, byteorder='big')", "to_bytes or from_bytes with keywords"),
        ("pow(a, -1, m)", "pow with a negative exponent, which is 0 there"),
    ],
)
def test_foreign_syntax_is_found(source: str, what: str) -> None:
    assert what in [_foreign_syntax(node) for node in ast.walk(ast.parse(source))]


@pytest.mark.parametrize(
    "source", ["raise A from None", "f(*a)", "a, *b = c", "def f(*a, k=1): pass", "pow(a, p - 2, p)"]
)
def test_native_syntax_is_let_pass(source: str) -> None:
    assert [what for node in ast.walk(ast.parse(source)) if (what := _foreign_syntax(node))] == []


def _declared(*extras: str) -> set[str]:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text("utf-8"))["project"]
    lists = [project["dependencies"], *(project["optional-dependencies"][extra] for extra in extras)]
    return {_normal(re.split(r"[=<>!~;\[ ]", requirement)[0]) for each in lists for requirement in each}


def _normal(distribution: str) -> str:
    return re.sub(r"[-_.]+", "-", distribution).lower()


DECLARED = {
    "protocol": _declared(),
    "firmware": set(),
    "gateway": _declared(),
    "provisioning": _declared(),
    "simulator": _declared("simulator"),
    "tests": _declared("simulator", "test"),
}


# To a device it is a module of its interpreter; here a package of that name brings the virtual machine.
OF_THE_INTERPRETER = ("firmware", "micropython")


@pytest.mark.parametrize("package", [*PACKAGES, "tests"])
def test_whatever_is_imported_from_others_is_declared(package: str) -> None:
    installed = importlib.metadata.packages_distributions()
    wrong = []
    for module in _of(package):
        for each in imports(module.tree):
            providers = {_normal(name) for name in installed.get(each.top, [])}
            own = (
                each.top in PACKAGES or each.top in sys.stdlib_module_names or (package, each.top) == OF_THE_INTERPRETER
            )
            if providers and not own and not providers & DECLARED[package]:
                wrong.append((module, each.line, f"{each.top} of {', '.join(sorted(providers))}"))
    assert _named(wrong) == []


# Installed for a command or a plug-in of theirs; nobody imports them.
NOT_IMPORTED = {
    *("coverage", "cryptography-vectors", "hypothesis", "pytest-asyncio", "pytest-cov", "pytest-timeout"),
    "pytest-xdist",
}


def test_whatever_is_declared_is_needed() -> None:
    installed = importlib.metadata.packages_distributions()
    imported = {
        _normal(name) for module in modules() for each in imports(module.tree) for name in installed.get(each.top, [])
    }
    assert sorted(_declared("simulator", "test") - imported - NOT_IMPORTED) == []


def _unmet(needed: Requirement) -> bool:
    """True when this environment lacks it, or has another version of it."""
    if needed.marker and not needed.marker.evaluate({"extra": ""}):
        return False
    try:
        return not needed.specifier.contains(importlib.metadata.version(needed.name), prereleases=True)
    except importlib.metadata.PackageNotFoundError:
        return True


def test_the_locks_name_everything_that_their_packages_need() -> None:
    """They are installed as they are and nothing is looked up: what was published since changes nothing."""
    pip = next(line for line in (REPOSITORY / "Makefile").read_text("utf-8").split("\n") if line.startswith("LOCKED ="))
    assert "--no-deps" in pip and "--require-hashes" in pip
    wanted = [(one.name, each) for one in importlib.metadata.distributions() for each in one.requires or ()]
    assert len(wanted) > 50
    assert [pair for pair in wanted if _unmet(Requirement(pair[1]))] == []
