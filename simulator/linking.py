"""Links the device modules into one module for each part that is loaded at once.

On a device every module, and every name that one module imports from another, costs heap; a boot loads them all anyway.
So the core becomes one module and each app another, with every global name of the program different. Modules keep their
order of import and their contents.
"""

import ast
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Part:
    """A module of the result. name: as it is imported. modules: what it holds, dependencies first."""

    name: str
    modules: Sequence[str]


@dataclass(frozen=True)
class _Program:
    """globals: (module, name) -> name in the result. parts: module -> part that holds it."""

    globals: Mapping[tuple[str, str], str]
    parts: Mapping[str, str]


def _stored(scope: Iterable[ast.AST]) -> set[str]:
    """Names that these statements bind, functions and classes included, nested scopes and `global` ones not."""
    found: set[str] = set()
    nodes = list(scope)
    for node in nodes:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
            continue
        if isinstance(node, ast.Lambda):
            continue
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        elif isinstance(node, ast.ExceptHandler) and node.name:
            found.add(node.name)
        elif isinstance(node, ast.Import):
            found |= {alias.asname or alias.name for alias in node.names}
        found |= _stored(ast.iter_child_nodes(node))
    return found - {name for node in nodes if isinstance(node, ast.Global) for name in node.names}


def _order(trees: Mapping[str, ast.Module]) -> list[str]:
    """Every module behind those that it imports when it is loaded."""
    done: list[str] = []

    def visit(module: str) -> None:
        if module in done or module not in trees:
            return
        for node in trees[module].body:
            if isinstance(node, ast.ImportFrom) and node.module:
                visit(node.module)
                for alias in node.names:
                    visit(f"{node.module}.{alias.name}")
        done.append(module)

    for module in sorted(trees):
        visit(module)
    return done


class _Linker(ast.NodeTransformer):
    """Rewrites one module of a part for the one namespace."""

    def __init__(self, module: str, tree: ast.Module, program: _Program) -> None:
        self._module = module
        self._program = program
        self._part = program.parts[module]
        self._imports: dict[str, tuple[str, str]] = {}
        self._bound: list[tuple[bool, set[str]]] = []  # scopes from outside: is it a class, names
        self._late: list[dict[str, str]] = []  # of the same scopes: name of a module that is loaded there -> module
        self._own = _stored(tree.body)
        self.foreign: set[str] = set()

    def _global(self, module: str, name: str, context: ast.expr_context) -> ast.expr:
        """The expression for a global of the program, in this part or through the part that holds it."""
        new = self._program.globals[module, name]
        part = self._program.parts[module]
        if part == self._part:
            return ast.Name(new, context)
        if not any(module in scope.values() for scope in self._late):
            self.foreign.add(part)
        return ast.Attribute(ast.Name(_alias(part), ast.Load()), new, context)

    def _is_local(self, name: str) -> bool:
        """True when an enclosing scope binds the name; a class's names are not seen by the functions in it."""
        inner = len(self._bound) - 1
        scopes = enumerate(self._bound)
        return any(name in names and (depth == inner or not a_class) for depth, (a_class, names) in scopes)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.AST | None:
        module = str(node.module)
        inside = [a for a in node.names if module in self._program.parts or f"{module}.{a.name}" in self._program.parts]
        for alias in inside:
            self._imports[alias.asname or alias.name] = (module, alias.name)
        if len(inside) < len(node.names):
            return node  # of the interpreter
        late = [alias for alias in inside if self._is_late(f"{module}.{alias.name}")]
        if late:
            self._late[-1] |= {alias.asname or alias.name: f"{module}.{alias.name}" for alias in late}
            parts = sorted({self._program.parts[f"{module}.{alias.name}"] for alias in late})
            return ast.ImportFrom(module, [ast.alias(_alias(part)) for part in parts], 0)
        loaded = self._program.parts.get(module, self._part)
        if loaded == self._part or not self._bound:
            return None
        names = [ast.alias(self._found_as(module, a.name, loaded), a.asname or a.name) for a in node.names]
        for alias in inside:  # loaded only where it is needed: the import stays
            del self._imports[alias.asname or alias.name]
            self._bound[-1][1].add(alias.asname or alias.name)
        return ast.ImportFrom(loaded, names, 0)

    def _found_as(self, module: str, name: str, part: str) -> str:
        """What a part calls a global of this module. Its own module's names are found where they were: what is loaded
        late may be another program's, like that of an update.
        """
        return name if module == part else self._program.globals[module, name]

    def _is_late(self, module: str) -> bool:
        """True for a module of another part that a function imports: it is loaded only where it is needed."""
        return bool(self._bound) and self._program.parts.get(module, self._part) != self._part

    def visit_Name(self, node: ast.Name) -> ast.expr:
        if self._is_local(node.id):
            return node
        if node.id in self._imports:
            return self._global(*self._imports[node.id], node.ctx)
        if (self._module, node.id) in self._program.globals:
            return self._global(self._module, node.id, node.ctx)
        return node

    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        if isinstance(node.value, ast.Name) and not self._is_local(node.value.id):
            module, name = self._imports.get(node.value.id, ("", ""))
            if f"{module}.{name}" in self._program.parts:
                return self._global(f"{module}.{name}", node.attr, node.ctx)
        self.generic_visit(node)
        return node

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> ast.AST:
        node.decorator_list = [self.visit(one) for one in node.decorator_list]
        if not self._bound:
            node.name = self._program.globals[self._module, node.name]
        return self._scope(node, node.args, node.body)

    visit_FunctionDef = _function  # noqa: N815  # names of ast.NodeVisitor
    visit_AsyncFunctionDef = _function  # noqa: N815

    def visit_Lambda(self, node: ast.Lambda) -> ast.AST:
        return self._scope(node, node.args, [node.body])

    def _scope(self, node: ast.AST, arguments: ast.arguments, body: Iterable[ast.AST]) -> ast.AST:
        arguments.defaults = [self.visit(one) for one in arguments.defaults]
        everyone = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]
        self._bound.append((False, _stored(body) | {one.arg for one in everyone if one}))
        self._late.append({})
        for one in everyone:
            if one:
                one.annotation = None
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            node.returns = None
            node.body = self._visit_all(node.body) or [ast.Pass()]
        elif isinstance(node, ast.Lambda):
            node.body = self.visit(node.body)
        self._bound.pop()
        self._late.pop()
        return node

    def _visit_all(self, nodes: list[ast.stmt]) -> list[ast.stmt]:
        return [found for found in (self.visit(node) for node in nodes) if found is not None]

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        node.bases = [self.visit(base) for base in node.bases]
        if not self._bound:
            node.name = self._program.globals[self._module, node.name]
        self._bound.append((True, _stored(node.body)))
        self._late.append({})
        node.body = self._visit_all(node.body)
        self._bound.pop()
        self._late.pop()
        return node

    def visit_Global(self, node: ast.Global) -> ast.Global:
        node.names = [self._program.globals[self._module, name] for name in node.names]
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST | None:
        """An annotation says nothing to a device."""
        if node.value is None:
            return None
        return ast.Assign([self.visit(node.target)], self.visit(node.value))


def _alias(part: str) -> str:
    return part.rsplit(".", 1)[-1]


def link(sources: Mapping[str, str], core: str, apps: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """{module: source} of the parts alone.

    core: becomes the core, together with all that no app claims. apps: module that becomes a part -> modules that only
    it uses. The packages themselves ("firmware.__init__") are dropped.
    """
    trees = {module: ast.parse(source) for module, source in sources.items() if not module.endswith(".__init__")}
    claimed = {module: app for app, modules in apps.items() for module in (app, *modules)}
    parts = {module: claimed.get(module, core) for module in trees}
    names = [(module, name) for module in sorted(trees) for name in sorted(_globals(trees[module]))]
    program = _Program({pair: f"g{number}" for number, pair in enumerate(names)}, parts)
    order = _order(trees)
    return {part: _part(part, [m for m in order if parts[m] == part], trees, program) for part in (core, *apps)}


def _globals(tree: ast.Module) -> set[str]:
    """Names that a module defines; modules of the interpreter keep their names."""
    imported = {a.asname or a.name for node in tree.body if isinstance(node, ast.Import) for a in node.names}
    return _stored(tree.body) - imported


def _part(part: str, modules: Iterable[str], trees: Mapping[str, ast.Module], program: _Program) -> str:
    body: list[ast.stmt] = []
    foreign: set[str] = set()
    for module in modules:
        linker = _Linker(module, trees[module], program)
        tree = linker.visit(trees[module])
        foreign |= linker.foreign
        body += tree.body
    imports = [ast.ImportFrom(name.rsplit(".", 1)[0], [ast.alias(_alias(name))], 0) for name in sorted(foreign)]
    linked = ast.fix_missing_locations(ast.Module([*imports, *body], []))
    exported = [f"{name} = {program.globals[part, name]}" for name in sorted(_public(part, program))]
    return "\n".join([ast.unparse(linked), *exported, ""])


def _public(part: str, program: _Program) -> set[str]:
    """Names of the part's own module: whoever starts the program finds them where they were."""
    return {name for module, name in program.globals if module == part and not name.startswith("_")}
