"""Leaves out of the device image what no device calls: half of the wire is the gateway's.

A linker does the same. A module's function, class or literal goes when no module of the image names it; a method goes
when its name is mentioned nowhere at all. Modules keep their import-time effects.
"""

import ast
from collections.abc import Iterable, Mapping

_Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


class _Mentions(ast.NodeVisitor):
    """What one tree mentions: names of its own, (module, name) of others, and every attribute."""

    def __init__(self, module: str, imports: Mapping[str, tuple[str, str]]) -> None:
        self._module = module
        self._imports = imports
        self.names: set[tuple[str, str]] = set()
        self.attributes: set[str] = set()

    def visit_Name(self, node: ast.Name) -> None:
        if not isinstance(node.ctx, ast.Store):
            self.names.add((self._module, node.id))

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        self.names.update((str(node.module), alias.name) for alias in node.names)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        self.attributes.add(node.attr)
        if isinstance(node.value, ast.Name) and node.value.id in self._imports:
            module, name = self._imports[node.value.id]
            self.names.add((f"{module}.{name}", node.attr))
        self.generic_visit(node)

    def visit_arg(self, node: ast.arg) -> None:
        """Annotations do not exist on a device."""


def _imports(tree: ast.Module) -> dict[str, tuple[str, str]]:
    nodes = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module]
    return {alias.asname or alias.name: (str(node.module), alias.name) for node in nodes for alias in node.names}


def _mentions(trees: Mapping[str, ast.Module]) -> tuple[set[tuple[str, str]], set[str]]:
    """(module, name) pairs and attribute names that occur outside the definition that they name."""
    names: set[tuple[str, str]] = set()
    attributes: set[str] = set()
    for module, tree in trees.items():
        imports = _imports(tree)
        for statement in tree.body:
            found = _Mentions(module, imports)
            found.visit(statement)
            names |= found.names - {(module, _defined(statement))}  # a function that only calls itself is unused
            attributes |= found.attributes
    return names, attributes


def _defined(statement: ast.stmt) -> str:
    """The one name that a statement defines and does nothing else, "" for any other statement."""
    if isinstance(statement, _Definition):
        return statement.name
    if isinstance(statement, ast.Assign) and isinstance(statement.value, ast.Constant | ast.Dict | ast.Tuple):
        target = statement.targets[0]
        return target.id if isinstance(target, ast.Name) else ""
    return ""


def _trim_class(node: ast.ClassDef, attributes: Iterable[str]) -> None:
    kept = [
        part
        for part in node.body
        if not isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef)
        or part.name.startswith("__")
        or part.name in attributes
    ]
    node.body = kept or [ast.Pass()]


def trim(sources: Mapping[str, str], keep: Iterable[str]) -> dict[str, str]:
    """{module: source} without unused definitions. keep: modules that stay whole (others call them unseen)."""
    trees = {module: ast.parse(source) for module, source in sources.items()}
    whole = set(keep)
    size, before = 0, -1
    while size != before:  # what only unused code used is unused as well
        before = size
        names, attributes = _mentions(trees)
        for module in trees.keys() - whole:
            body = [one for one in trees[module].body if not _defined(one) or (module, _defined(one)) in names]
            for one in body:
                if isinstance(one, ast.ClassDef):
                    _trim_class(one, attributes)
            trees[module].body = body
        size = sum(len(tree.body) for tree in trees.values()) + sum(len(found) for found in (names, attributes))
    return {module: ast.unparse(tree) for module, tree in trees.items()}
