"""Renames what the device modules name to names that the VM holds in its read-only memory.

MicroPython keeps every different name of a program once, in the heap, for 20 bytes and more; a name that its own C code
uses is there already and costs nothing. So each of ours becomes one of those: everywhere the same, no two alike, and
none that the program mentions for another reason. That is only a spelling; nothing about the program changes.
"""

import ast
import builtins
import subprocess
import sys
from collections.abc import Iterable, Mapping
from functools import cache

# Prints the names that can be reached from the modules and types of the VM.
_ASK = """
import builtins, sys
found = set()
for module in %r.split():
    try:
        module = __import__(module)
    except ImportError:
        continue
    for name in dir(module):
        found.add(name)
        found.update(dir(getattr(module, name)))
for one in (1, 1.0, '', b'', bytearray(), [], {}, (), set(), print, sys.stdin, range(1), slice, memoryview(b'')):
    found.update(dir(one))
print(' '.join(sorted(found)), end=' ')
"""
_MODULES = (
    "array asyncio binascii builtins cmath collections cryptolib deflate errno framebuf gc hashlib heapq io json "
    "machine math micropython os platform random re select socket struct sys termios time tls uctypes vfs websocket "
    "_thread"
)
# Attributes that dir() does not show: those of a task and of an exception.
_HIDDEN = "args cancel coro data done errno ph_key state value"
# Globals that the compiler itself looks up, for `async with`, `async for` and `assert`, where no source mentions them;
# and the one whose call it takes for a promise about its argument.
_OF_THE_COMPILER = {"AssertionError", "BaseException", "StopAsyncIteration", "const"}


@cache
def free_names() -> frozenset[str]:
    """Names that cost a device nothing, as the installed VM tells; none where there is no VM."""
    command = [sys.executable, "-m", "micropython", "-c", _ASK % _MODULES]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    return frozenset((answer.stdout + _HIDDEN).split() if answer.returncode == 0 else ())


class _Speller(ast.NodeVisitor):
    """Notes every name of a tree, and spells it anew. spelling: new names; those not in it stay.

    variables, attributes: the program's own names by how they are looked up, in order; a name can be both. fixed: names
    that cannot change: modules, and what is passed by keyword. mentioned: all of them.
    """

    def __init__(self, spelling: Mapping[str, str]) -> None:
        self._spelling = spelling
        self._in_class = False
        self.variables: dict[str, None] = {}
        self.attributes: dict[str, None] = {}
        self.bound: set[str] = set()
        self.fixed: set[str] = set()

    @property
    def mentioned(self) -> set[str]:
        return {*self.variables, *self.attributes, *self.fixed}

    def _spell(self, name: str, roles: Iterable[dict[str, None]], binds: bool) -> str:
        for role in roles:
            role[name] = None
        if binds:
            self.bound.add(name)
        return self._spelling.get(name, name)

    def _roles(self) -> list[dict[str, None]]:
        """What a name is that stands here: in the body of a class, an attribute of it too."""
        return [self.variables, self.attributes] if self._in_class else [self.variables]

    def visit_Name(self, node: ast.Name) -> None:
        node.id = self._spell(node.id, self._roles(), not isinstance(node.ctx, ast.Load))

    def visit_Attribute(self, node: ast.Attribute) -> None:
        """What others than self are given may be somebody else's attribute."""
        own = isinstance(node.value, ast.Name) and node.value.id == "self"
        node.attr = self._spell(node.attr, [self.attributes], own and not isinstance(node.ctx, ast.Load))
        self.visit(node.value)

    def visit_arg(self, node: ast.arg) -> None:
        node.arg = self._spell(node.arg, [self.variables], True)

    def _inside(self, node: ast.AST, in_class: bool) -> None:
        outer, self._in_class = self._in_class, in_class
        self.generic_visit(node)
        self._in_class = outer

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        node.name = self._spell(node.name, self._roles(), True)
        self._inside(node, in_class=True)

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        node.name = self._spell(node.name, [self.attributes] if self._in_class else [self.variables], True)
        self._inside(node, in_class=False)

    visit_FunctionDef = _function  # noqa: N815  # names of ast.NodeVisitor
    visit_AsyncFunctionDef = _function  # noqa: N815

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> None:
        node.name = self._spell(node.name, self._roles(), True) if node.name else None
        self.generic_visit(node)

    def visit_Global(self, node: ast.Global) -> None:
        node.names = [self._spell(name, [self.variables], True) for name in node.names]

    def visit_Import(self, node: ast.Import) -> None:
        self.fixed.update(part for alias in node.names for part in alias.name.split("."))

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        """What is imported is an attribute of its module, and a variable here; modules keep their names."""
        self.fixed.update(str(node.module).split("."))
        both = [self.variables, self.attributes]
        for alias in node.names:
            alias.name = self._spell(alias.name, both, False)
            alias.asname = self._spell(alias.asname, both, True) if alias.asname else None

    def visit_keyword(self, node: ast.keyword) -> None:
        self.fixed.add(str(node.arg))
        self.visit(node.value)


def _look(trees: Iterable[ast.Module]) -> _Speller:
    speller = _Speller({})
    for tree in trees:
        speller.visit(tree)
    return speller


def _spelling(ours: _Speller, keep: Iterable[str], places: Iterable[str]) -> dict[str, str]:
    """{name: new name}. A variable and an attribute may have the same: they are never looked up in the same place."""
    own = [name for name in ours.bound if name not in set(keep) and not name.startswith("__")]
    both = [name for name in own if name in ours.variables and name in ours.attributes]
    variables = [name for name in ours.variables if name in own and name not in both]
    attributes = [name for name in ours.attributes if name in own and name not in both]
    left = sorted(places, key=lambda name: (len(name), name))  # short ones first: the image holds them
    found = dict(zip(sorted(both), left, strict=False))
    left = left[len(found) :]
    return found | dict(zip(variables, left, strict=False)) | dict(zip(attributes, left, strict=False))


def spell(sources: Mapping[str, str], others: Iterable[str], free: Iterable[str]) -> dict[str, str]:
    """{module: source} with as many names as possible out of `free`.

    others: sources that keep their names; what they mention keeps its name here too. What nobody here binds is
    somebody else's, and stays; so do modules and what is passed by keyword.
    """
    trees = {module: ast.parse(source) for module, source in sources.items()}
    ours, theirs = _look(trees.values()), _look(map(ast.parse, others))
    modules = {part for module in sources for part in module.split(".")}
    keep = {*ours.fixed, *theirs.mentioned, *free, *modules, *dir(builtins)}
    taken = ours.mentioned | theirs.mentioned | _OF_THE_COMPILER
    places = [name for name in free if name not in taken and not name.startswith("__")]
    speller = _Speller(_spelling(ours, keep, places))
    for tree in trees.values():
        speller.visit(tree)
    return {module: ast.unparse(tree) for module, tree in trees.items()}
