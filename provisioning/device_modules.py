"""Which modules of firmware/ and protocol/ a kind of device needs: read from their imports, none of them is executed.

Both folders are looked at as files, like any other thing that a technician writes onto a flash.
"""

import ast
from collections.abc import Mapping
from pathlib import Path

from provisioning.registry import CLOCK, EVALUATOR

PACKAGES = ("firmware", "protocol")
# Where every device begins: what this file imports, and by its kind one of the apps below.
BOOT = "firmware/flash/boot.py"
APPS = {
    EVALUATOR: ("firmware.board_evaluator", "firmware.evaluator"),
    CLOCK: ("firmware.board_clock", "firmware.clock"),
}
# The repository: where the folders lie.
ROOT = Path(__file__).parent.parent


class SourceError(Exception):
    """The sources of the devices make no firmware. str() is one line for whoever builds a release."""


def path_of(module: str, root: Path = ROOT) -> Path:
    """The file of a module, or of a package's __init__, whether it is there or not."""
    path = root.joinpath(*module.split("."))
    return path / "__init__.py" if module in PACKAGES else path.with_suffix(".py")


def sources(kind: str, root: Path = ROOT) -> Mapping[str, str]:
    """{module: source} of all that a device of this kind can ever import, sorted; the other kind's app is not among it.

    Imports inside functions count: they are loaded late, not never. Raises SourceError for a module that is missing or
    is no Python.
    """
    others = {module for other, modules in APPS.items() if other != kind for module in modules}
    found: dict[str, str] = {}
    open_modules = [*_imported(BOOT, _read(BOOT, root / BOOT), root), *APPS[kind]]
    while open_modules:
        module = open_modules.pop()
        if module not in found and module not in others:
            found[module] = _read(module, path_of(module, root))
            open_modules += [*_imported(module, found[module], root), module.split(".")[0]]
    return dict(sorted(found.items()))


def _read(module: str, path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except OSError:
        raise SourceError(f"the source of {module} is missing") from None


def _imported(module: str, source: str, root: Path) -> list[str]:
    """Modules of ours that this source imports, wherever in it."""
    try:
        tree = ast.parse(source)
    except SyntaxError as error:
        raise SourceError(f"{module} is no Python: line {error.lineno}") from None
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] in PACKAGES:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            found += [node.module, *(name for name in names if path_of(name, root).is_file())]
        elif isinstance(node, ast.Import):
            found += [alias.name for alias in node.names if alias.name.split(".")[0] in PACKAGES]
    return found
