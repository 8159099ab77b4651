"""Gives private names and parameters of the device modules short names that are used again in every module.

MicroPython keeps each different name of a program once, in the heap: 26 bytes a name, and pools that double. What is
private to a module (one underscore) or is never passed by keyword may be called anything, so a few dozen names serve
all of them.
"""

import ast
from collections.abc import Iterable, Mapping


def _is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__") and len(name) > 1


def _private_names(tree: ast.Module) -> list[str]:
    """Private names that a module defines or uses, in a fixed order."""
    found: dict[str, None] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found[node.name] = None
        elif isinstance(node, ast.Name):
            found[node.id] = None
        elif isinstance(node, ast.Attribute):
            found[node.attr] = None
    return [name for name in found if _is_private(name)]


class _Renamer(ast.NodeTransformer):
    """private: new names of this module. keywords: parameters that somebody passes by name."""

    def __init__(self, private: Mapping[str, str], keywords: set[str]) -> None:
        self._private = private
        self._keywords = keywords
        self._locals: dict[str, str] = {}

    def visit_Name(self, node: ast.Name) -> ast.Name:
        node.id = self._locals.get(node.id) or self._private.get(node.id, node.id)
        return node

    def visit_Attribute(self, node: ast.Attribute) -> ast.Attribute:
        self.generic_visit(node)
        node.attr = self._private.get(node.attr, node.attr)
        return node

    def visit_Global(self, node: ast.Global) -> ast.Global:
        node.names = [self._private.get(name, name) for name in node.names]
        return node

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.ClassDef:
        node.name = self._private.get(node.name, node.name)
        self.generic_visit(node)
        return node

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> ast.AST:
        node.name = self._private.get(node.name, node.name)
        node.returns = None
        return self._scope(node, node.args)

    visit_FunctionDef = _function  # noqa: N815  # names of ast.NodeVisitor
    visit_AsyncFunctionDef = _function  # noqa: N815

    def visit_Lambda(self, node: ast.Lambda) -> ast.AST:
        return self._scope(node, node.args)

    def _scope(self, node: ast.AST, arguments: ast.arguments) -> ast.AST:
        """Rename the parameters of a function and what they are called inside it, functions in it included."""
        outer = self._locals
        self._locals = dict(outer)
        everyone = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
        for one in everyone + [other for other in (arguments.vararg, arguments.kwarg) if other]:
            one.annotation = None
            self._locals.pop(one.arg, None)
            if one.arg != "self" and one.arg not in self._keywords:
                self._locals[one.arg] = f"p{len(self._locals)}"
                one.arg = self._locals[one.arg]
        self.generic_visit(node)
        self._locals = outer
        return node


def _check(trees: Mapping[str, ast.Module]) -> None:
    """A class that extends one of another module could give a private name twice: it may have none of its own."""
    for module, tree in trees.items():
        nodes = list(ast.walk(tree))
        imported = {a.asname or a.name for node in nodes if isinstance(node, ast.ImportFrom) for a in node.names}
        for node in nodes:
            if not isinstance(node, ast.ClassDef) or not any(_name(base) in imported for base in node.bases):
                continue
            if any(isinstance(part, ast.Attribute) and _is_private(part.attr) for part in ast.walk(node)):
                raise ValueError(f"{module}.{node.name}: private names in a class with an imported base")


def _name(node: ast.expr) -> str:
    return node.id if isinstance(node, ast.Name) else ""


def shorten(sources: Mapping[str, str], callers: Iterable[str]) -> dict[str, str]:
    """{module: source} with short private names. callers: sources that are not renamed but may pass by keyword."""
    trees = {module: ast.parse(source) for module, source in sources.items()}
    _check(trees)
    every = [*trees.values(), *map(ast.parse, callers)]
    keywords = {str(node.arg) for tree in every for node in ast.walk(tree) if isinstance(node, ast.keyword)}
    result = {}
    for module, tree in trees.items():
        private = {name: f"_{number}" for number, name in enumerate(_private_names(tree))}
        result[module] = ast.unparse(_Renamer(private, keywords).visit(tree))
    return result
