"""Folds the integer constants of the device modules into the code that uses them, before it is compiled.

MicroPython folds `const()` within one module; ours are named once and used across modules. Each public name of a
module costs a device some 50 bytes of heap, and there are hundreds, so the image for the devices holds the numbers and
the source holds the names. Nothing else about a module changes: folding is what the compiler would do if it saw all of
them at once.
"""

import ast
from collections.abc import Iterable, Mapping
from typing import Any

Constants = Mapping[str, Mapping[str, int]]  # module -> name -> value


class _Unknown(Exception):  # not an error: this expression is no constant
    """The expression is not made of integers and known constants."""


def _imports(tree: ast.Module) -> dict[str, tuple[str, str]]:
    """{local name: (module, name in it or "")} of `from a.b import c` and `from a import b`."""
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                found[alias.asname or alias.name] = (node.module, alias.name)
    return found


class _Evaluator:
    """Values of expressions in one module. own: its constants so far."""

    def __init__(self, own: Mapping[str, int], imports: Mapping[str, tuple[str, str]], constants: Constants) -> None:
        self._own = own
        self._imports = imports
        self._constants = constants

    def look_up(self, node: ast.expr) -> int | None:
        """The constant that a name or `module.NAME` stands for, or None."""
        if isinstance(node, ast.Name):
            if node.id in self._own:
                return self._own[node.id]
            module, name = self._imports.get(node.id, ("", ""))
            return self._constants.get(module, {}).get(name)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            module, name = self._imports.get(node.value.id, ("", ""))
            return self._constants.get(f"{module}.{name}", {}).get(node.attr)
        return None

    def value(self, node: ast.expr) -> int:
        """Raises _Unknown."""
        if isinstance(node, ast.Constant) and type(node.value) is int:
            return node.value
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            return -self.value(node.operand)
        if isinstance(node, ast.BinOp):
            return self._operate(node)
        known = self.look_up(node)
        if known is None:
            raise _Unknown
        return known

    def _operate(self, node: ast.BinOp) -> int:
        left, right = self.value(node.left), self.value(node.right)
        if isinstance(node.op, ast.Add):
            return left + right
        if isinstance(node.op, ast.Mult):
            return left * right
        if isinstance(node.op, ast.Sub):
            return left - right
        raise _Unknown

    def values(self, node: ast.expr) -> list[int]:
        """Of a tuple, or of range() with known bounds. Raises _Unknown."""
        if isinstance(node, ast.Tuple):
            return [self.value(item) for item in node.elts]
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "range":
            return list(range(*(self.value(item) for item in node.args)))
        raise _Unknown


def _assigned(statement: ast.stmt) -> list[str]:
    """Names in capitals that a statement of a module assigns, in order; [] for any other statement."""
    if not isinstance(statement, ast.Assign) or len(statement.targets) != 1:
        return []
    target = statement.targets[0]
    names = target.elts if isinstance(target, ast.Tuple) else [target]
    found = [name.id for name in names if isinstance(name, ast.Name)]
    return found if len(found) == len(names) and all(name == name.upper() and name != "_" for name in found) else []


def _own_constants(tree: ast.Module, constants: Constants) -> tuple[dict[str, int], set[ast.stmt]]:
    """(constants of a module, the statements that do nothing but define them)."""
    own: dict[str, int] = {}
    statements: set[ast.stmt] = set()
    evaluator = _Evaluator(own, _imports(tree), constants)
    for statement in tree.body:
        names = _assigned(statement)
        if names and isinstance(statement, ast.Assign):
            try:
                several = isinstance(statement.targets[0], ast.Tuple)
                values = evaluator.values(statement.value) if several else [evaluator.value(statement.value)]
            except _Unknown:
                continue
            own.update(zip(names, values, strict=True))
            statements.add(statement)
    return own, statements


class _Folder(ast.NodeTransformer):
    """Replaces each use by the number, and drops what then is unused."""

    def __init__(self, evaluator: _Evaluator, drop: set[ast.stmt], constants: Constants) -> None:
        self._evaluator = evaluator
        self._drop = drop
        self._constants = constants

    def visit(self, node: ast.AST) -> Any:
        if node in self._drop:
            return None
        if isinstance(node, ast.ImportFrom) and node.module:
            folded = self._constants.get(node.module, {})
            node.names = [alias for alias in node.names if alias.name not in folded]
            return node if node.names else None
        if isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Load):
            value = self._evaluator.look_up(node)
            if value is not None:
                return ast.copy_location(ast.Constant(value), node)
        return self.generic_visit(node)


def fold(sources: Mapping[str, str]) -> dict[str, str]:
    """The sources with every integer constant folded. Keys: modules as they are imported ("protocol.rating")."""
    trees = {module: ast.parse(source) for module, source in sources.items()}
    constants: dict[str, dict[str, int]] = {}
    definitions: set[ast.stmt] = set()
    before = -1
    while before != sum(map(len, constants.values())):  # until no constant of constants is left
        before = sum(map(len, constants.values()))
        for module, tree in trees.items():
            constants[module], statements = _own_constants(tree, constants)
            definitions |= statements
    return {module: _folded(tree, constants[module], constants, definitions) for module, tree in trees.items()}


def _folded(tree: ast.Module, own: Mapping[str, int], constants: Constants, drop: Iterable[ast.stmt]) -> str:
    evaluator = _Evaluator(own, _imports(tree), constants)
    folded = _Folder(evaluator, set(drop), constants).visit(tree)
    return ast.unparse(ast.fix_missing_locations(folded))
