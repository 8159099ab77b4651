"""The project's own files as tests look at them: which there are, and what each module imports."""

import ast
import functools
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
PACKAGES = ("firmware", "gateway", "protocol", "provisioning", "simulator")

# Where no git tells what belongs to the project (an unpacked archive): what its tools leave behind does not.
_LEFT_BEHIND = (".git", ".venv", ".mypy_cache", ".ruff_cache", ".pytest_cache", ".hypothesis", "__pycache__", "build")


@functools.cache
def files() -> tuple[Path, ...]:
    """Every file of the project, absolute: those that git tracks."""
    try:
        listed = subprocess.run(["git", "ls-files", "-z"], cwd=REPOSITORY, capture_output=True, check=True, text=True)
        found = [REPOSITORY / name for name in listed.stdout.split("\0") if name]
    except (OSError, subprocess.CalledProcessError):
        found = [path for path in REPOSITORY.rglob("*") if not _left_behind(path)]
    return tuple(sorted(path for path in found if path.is_file()))


def _left_behind(path: Path) -> bool:
    parts = path.relative_to(REPOSITORY).parts
    return any(part.startswith(_LEFT_BEHIND) or part.endswith(".egg-info") for part in parts)


@dataclass(frozen=True)
class Module:
    """A Python file of ours. path: absolute; name: relative to the repository, with slashes; package: first folder."""

    path: Path
    name: str
    package: str
    tree: ast.Module


@functools.cache
def modules() -> tuple[Module, ...]:
    """Every Python file of the five packages and of tests, parsed."""
    return tuple(_modules())


def _modules() -> Iterator[Module]:
    for path in files():
        relative = path.relative_to(REPOSITORY)
        if path.suffix == ".py" and relative.parts[0] in (*PACKAGES, "tests"):
            yield Module(
                path, relative.as_posix(), relative.parts[0], ast.parse(path.read_text("utf-8"), str(relative))
            )


@dataclass(frozen=True)
class Import:
    """One imported module: its dotted name, the line, and whether an absent module is provided for."""

    module: str
    line: int
    optional: bool  # inside try … except ImportError, or for type checkers only

    @property
    def top(self) -> str:
        return self.module.split(".")[0]


def imports(tree: ast.Module) -> list[Import]:
    """Every import in the module, also those inside functions. A relative one begins with a dot."""
    optional = {id(child) for node in ast.walk(tree) if _forgives(node) for child in ast.walk(node)}
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [Import(alias.name, node.lineno, id(node) in optional) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            found.append(Import("." * node.level + (node.module or ""), node.lineno, id(node) in optional))
    return found


def _forgives(node: ast.AST) -> bool:
    if isinstance(node, ast.If):
        return "TYPE_CHECKING" in ast.unparse(node.test)
    if not isinstance(node, ast.Try):
        return False
    caught = " ".join(ast.unparse(handler.type) for handler in node.handlers if handler.type)
    return "ImportError" in caught or "ModuleNotFoundError" in caught
