"""Puts the body of a function in the place of its only call: on a device every function costs heap, called or not.

The sources are written for people, in short functions, many of which have one caller. Such a function goes where its
call stands, and the program does the same, under these conditions:
    nothing else names it; it takes what it is given by position; it has no default, decorator or scope of its own;
    it returns at its end only, or its call is itself what is returned;
    nothing that the call could change is evaluated before it in its statement;
    a coroutine, which lives long, gets no new names: what they hold would live as long.
What is an error before need not be the same one after: a local that was never set may hold what an earlier round left.
"""

import ast
import copy
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

_Function = ast.FunctionDef | ast.AsyncFunctionDef
# What a body may not hold: a scope of its own, or names that are bound in another one.
_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda, ast.ListComp, ast.SetComp, ast.DictComp)
_OTHER_NAMES = (ast.GeneratorExp, ast.Yield, ast.YieldFrom, ast.Global, ast.Nonlocal, ast.Import, ast.ImportFrom)
_BARRED = (*_SCOPES, *_OTHER_NAMES, ast.NamedExpr, ast.Delete)
# Statements that evaluate one expression, once, before anything else of them happens.
_LEADING = {ast.Expr: "value", ast.Return: "value", ast.Assign: "value", ast.If: "test"}


@dataclass
class _Callee:
    """A function that may go into its caller. home: the body that it is defined in. is_method: of a class."""

    node: _Function
    home: list[ast.stmt]
    is_method: bool

    def __post_init__(self) -> None:
        first = self.node.body[0]
        is_text = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
        self.body = self.node.body[1:] if is_text else self.node.body
        inside = [node for statement in self.body for node in ast.walk(statement)]
        self.names = {node.id for node in inside if isinstance(node, ast.Name)}
        self.bound = _bound(self.node) - set(self.parameters)
        handlers = {node.name for node in inside if isinstance(node, ast.ExceptHandler) and node.name}
        self.stored = handlers | {
            node.id for node in inside if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load)
        }
        returns = [node for node in inside if isinstance(node, ast.Return)]
        self.ends_once = not returns or (len(returns) == 1 and self.body[-1] is returns[0])
        self.fits = bool(self.body) and not any(isinstance(node, _BARRED) for node in inside) and self._is_plain()

    def _is_plain(self) -> bool:
        given = self.node.args
        special = (given.defaults, given.posonlyargs, given.kwonlyargs, given.vararg, given.kwarg)
        return not any(special) and not self.node.decorator_list and "super" not in self.names

    @property
    def parameters(self) -> list[str]:
        return [one.arg for one in self.node.args.args]

    @property
    def result(self) -> ast.expr | None:
        """What a function that ends once returns at that end."""
        last = self.body[-1]
        return last.value if isinstance(last, ast.Return) else None


@dataclass
class _Site:
    """Where a call stands: caller, the block and the place in it, the call with the await before it."""

    caller: _Function
    block: list[ast.stmt]
    at: int
    call: ast.Call
    whole: ast.expr

    @property
    def statement(self) -> ast.stmt:
        return self.block[self.at]

    @property
    def expression(self) -> ast.expr | None:
        """What the statement evaluates first and once; None for a statement of another kind."""
        name = _LEADING.get(type(self.statement))
        found: ast.expr | None = getattr(self.statement, name) if name else None
        return found


class _Replace(ast.NodeTransformer):
    """Other names and expressions in a copy of a body. names: local -> new local. values: name -> expression."""

    def __init__(self, names: Mapping[str, str], values: Mapping[str, ast.expr]) -> None:
        self._names = names
        self._values = values

    def visit_Name(self, node: ast.Name) -> ast.expr:
        if node.id in self._values:
            return copy.deepcopy(self._values[node.id])
        node.id = self._names.get(node.id, node.id)
        return node

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> ast.ExceptHandler:
        node.name = self._names.get(node.name, node.name) if node.name else None
        self.generic_visit(node)
        return node


class _Swap(ast.NodeTransformer):
    """One expression in the place of another."""

    def __init__(self, old: ast.expr, new: ast.expr) -> None:
        self._old = old
        self._new = new

    def visit(self, node: ast.AST) -> ast.AST:
        return self._new if node is self._old else super().visit(node)


def _bound(function: _Function) -> set[str]:
    """Names that a function binds: parameters, assignments, exceptions."""
    found = {one.arg for one in ast.walk(function.args) if isinstance(one, ast.arg)}
    for node in ast.walk(function):
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            found.add(node.id)
        elif isinstance(node, ast.ExceptHandler) and node.name:
            found.add(node.name)
    return found


def _blocks(function: _Function) -> Iterator[list[ast.stmt]]:
    """Every list of statements of a function, without those of scopes inside it."""
    waiting: list[ast.AST] = [function]
    while waiting:
        node = waiting.pop()
        for name in ("body", "orelse", "finalbody"):
            block = getattr(node, name, None)
            if isinstance(block, list) and block:
                yield block
                waiting += [one for one in block if not isinstance(one, _SCOPES)]
        waiting += getattr(node, "handlers", [])


def _own_expressions(statement: ast.stmt) -> Iterator[ast.AST]:
    """Nodes of the expressions of a statement; not of statements or scopes inside it."""
    waiting = [node for node in ast.iter_child_nodes(statement) if isinstance(node, ast.expr | ast.withitem)]
    while waiting:
        node = waiting.pop()
        yield node
        waiting += [] if isinstance(node, _BARRED) else [*ast.iter_child_nodes(node)]  # type: ignore[list-item]


@dataclass
class _Inliner:
    """One module of the program. mentions: name -> how often any module names it. rebound: attributes that change after
    construction.
    """

    tree: ast.Module
    mentions: Mapping[str, int]
    rebound: set[str]
    made: int = 0
    outer: list[_Function] = field(init=False)  # functions that stand in no other
    taken: set[str] = field(init=False)

    def __post_init__(self) -> None:
        homes = [self.tree.body, *(node.body for node in self.tree.body if isinstance(node, ast.ClassDef))]
        self.outer = [node for home in homes for node in home if isinstance(node, _Function)]
        self.taken = {node.id for node in ast.walk(self.tree) if isinstance(node, ast.Name)}

    def run(self, is_candidate: Callable[[str], bool]) -> None:
        homes = [(self.tree.body, False)]
        homes += [(node.body, True) for node in self.tree.body if isinstance(node, ast.ClassDef)]
        defined = Counter(node.name for node in ast.walk(self.tree) if isinstance(node, _Function))
        for home, is_method in homes:
            for node in [one for one in home if isinstance(one, _Function)]:
                # Defined twice, a class that extends another could mean its own.
                if is_candidate(node.name) and self.mentions[node.name] == 1 == defined[node.name]:
                    self._try(_Callee(node, home, is_method))

    def _try(self, callee: _Callee) -> None:
        site = self._find(callee) if callee.fits else None
        if site and self._put(callee, site):
            callee.home.remove(callee.node)
            if not callee.home:
                callee.home.append(ast.Pass())

    def _find(self, callee: _Callee) -> _Site | None:
        """The one call, where it is one that a body can stand for."""
        roots = callee.home if callee.is_method else [self.tree]
        functions = [node for root in roots for node in ast.walk(root) if isinstance(node, _Function)]
        for caller in functions:
            for block in _blocks(caller):
                for at, statement in enumerate(block):
                    for node in _own_expressions(statement):
                        if isinstance(node, ast.Call) and _calls(node, callee):
                            return self._site(callee, _Site(caller, block, at, node, node))
        return None

    def _site(self, callee: _Callee, site: _Site) -> _Site | None:
        given = len(site.call.args) + (1 if callee.is_method else 0)
        if site.caller is callee.node or site.call.keywords or given != len(callee.parameters):
            return None
        if site.caller not in self.outer:
            return None  # a local of the function around it would stand for a global
        if any(isinstance(node, ast.Starred | ast.NamedExpr) for one in site.call.args for node in ast.walk(one)):
            return None
        if isinstance(callee.node, ast.AsyncFunctionDef):
            around = [node for node in _own_expressions(site.statement) if isinstance(node, ast.Await)]
            site.whole = next((node for node in around if node.value is site.call), site.call)
            if site.whole is site.call:
                return None
        free = callee.names - callee.bound - set(callee.parameters)
        return None if free & _bound(site.caller) else site

    def _put(self, callee: _Callee, site: _Site) -> bool:
        """The body for the call; False when it cannot be."""
        values, first = self._bind(callee, site)
        if _lives_long(site.caller) and (first or callee.bound):
            return False
        whole = site.expression is site.whole
        if whole and isinstance(site.statement, ast.Return):
            body = [*callee.body, *([] if _always_ends(callee.body) else [ast.Return(None)])]
        elif not callee.ends_once:
            return False
        elif whole and isinstance(site.statement, ast.Expr):
            body = list(callee.body)
            if isinstance(body[-1], ast.Return):
                body[-1:] = [ast.Expr(body[-1].value)] if body[-1].value else []
        else:
            return self._hoist(callee, site, values, first)
        site.block[site.at : site.at + 1] = [*first, *self._copy(callee, values, body)] or [ast.Pass()]
        return True

    def _hoist(self, callee: _Callee, site: _Site, values: Mapping[str, ast.expr], first: Sequence[ast.stmt]) -> bool:
        """The body before the statement, its result in the place of the call."""
        if callee.result is None:
            return False
        before = list(callee.body[:-1])
        if (first or before) and not (site.expression and self._leads(site.expression, site)):
            return False
        *moved, last = self._copy(callee, values, [*before, ast.Expr(callee.result)])
        assert isinstance(last, ast.Expr)  # made just above
        _Swap(site.whole, last.value).visit(site.statement)
        site.block[site.at : site.at] = [*first, *moved]
        return True

    def _bind(self, callee: _Callee, site: _Site) -> tuple[dict[str, ast.expr], list[ast.stmt]]:
        """(parameter -> expression for it, assignments that go first)."""
        values: dict[str, ast.expr] = {}
        first: list[ast.stmt] = []
        given = list(site.call.args)
        if callee.is_method:
            assert isinstance(site.call.func, ast.Attribute)  # of self
            given.insert(0, site.call.func.value)
        locals_ = _bound(site.caller)
        for name, value in zip(callee.parameters, given, strict=True):
            if name not in callee.stored and _is_inert(value, locals_):
                values[name] = value
            else:
                new = self._name()
                first.append(ast.Assign([ast.Name(new, ast.Store())], value))
                values[name] = ast.Name(new, ast.Load())
        return values, first

    def _name(self) -> str:
        """One that nothing here has, what another run of this put here included."""
        self.made += 1
        while f"inlined{self.made}" in self.taken:
            self.made += 1
        return f"inlined{self.made}"

    def _copy(self, callee: _Callee, values: Mapping[str, ast.expr], body: Sequence[ast.stmt]) -> list[ast.stmt]:
        names = {name: self._name() for name in sorted(callee.bound)}
        stored = {name: value.id for name, value in values.items() if isinstance(value, ast.Name)}
        kept = {name: value for name, value in values.items() if name not in stored}
        replace = _Replace({**names, **stored}, kept)
        found: list[ast.stmt] = [replace.visit(copy.deepcopy(one)) for one in body]
        return found

    def _leads(self, expression: ast.expr, site: _Site) -> bool:
        """True when the call is evaluated before everything in the expression that it could change."""
        locals_ = _bound(site.caller)
        node: ast.expr = expression
        while node is not site.whole:
            inner = next((one for one in _in_order(node) if not self._is_settled(one, locals_)), None)
            if inner is None:
                return False
            node = inner
        return True

    def _is_settled(self, node: ast.expr, locals_: set[str]) -> bool:
        """True for what no call can change: a local, a constant, an attribute that is bound once."""
        while isinstance(node, ast.Attribute) and node.attr not in self.rebound:
            node = node.value
        return _is_inert(node, locals_) or (isinstance(node, ast.Name) and node.id not in self.rebound)


def _in_order(node: ast.expr) -> Sequence[ast.expr]:
    """The parts of an expression that are evaluated for certain, in their order."""
    if isinstance(node, ast.Call):
        return [node.func, *node.args]
    if isinstance(node, ast.BinOp):
        return [node.left, node.right]
    if isinstance(node, ast.Compare):
        return [node.left, node.comparators[0]]
    if isinstance(node, ast.BoolOp):
        return [node.values[0]]
    if isinstance(node, ast.UnaryOp):
        return [node.operand]
    if isinstance(node, ast.Subscript):
        return [node.value, node.slice]
    if isinstance(node, ast.Tuple | ast.List):
        return node.elts
    if isinstance(node, ast.IfExp):
        return [node.test]
    return [node.value] if isinstance(node, ast.Attribute | ast.Await) else []


def _calls(node: ast.Call, callee: _Callee) -> bool:
    if callee.is_method:
        func = node.func
        of_self = isinstance(func, ast.Attribute) and isinstance(func.value, ast.Name) and func.value.id == "self"
        return of_self and isinstance(func, ast.Attribute) and func.attr == callee.node.name
    return isinstance(node.func, ast.Name) and node.func.id == callee.node.name


def _is_inert(node: ast.expr, locals_: set[str]) -> bool:
    return isinstance(node, ast.Constant) or (isinstance(node, ast.Name) and node.id in locals_)


def _lives_long(function: _Function) -> bool:
    yields = any(isinstance(node, ast.Yield | ast.YieldFrom) for node in ast.walk(function))
    return yields or isinstance(function, ast.AsyncFunctionDef)


def _always_ends(body: Sequence[ast.stmt]) -> bool:
    return isinstance(body[-1], ast.Return | ast.Raise)


def _mentions(trees: Mapping[str, ast.Module]) -> tuple[Counter[str], set[str]]:
    """(how often each name is named, names that are bound again after they were made)."""
    found: Counter[str] = Counter()
    rebound: set[str] = set()
    for tree in trees.values():
        fresh = {id(node) for init in ast.walk(tree) if _is_init(init) for node in ast.walk(init)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Name | ast.Attribute):
                name = node.id if isinstance(node, ast.Name) else node.attr
                found[name] += 1
                if isinstance(node, ast.Attribute) and not isinstance(node.ctx, ast.Load) and id(node) not in fresh:
                    rebound.add(name)
            elif isinstance(node, ast.ImportFrom):
                found.update(alias.name for alias in node.names)
            elif isinstance(node, ast.Global):
                rebound.update(node.names)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found[node.value] += 1  # getattr(), and what else may look for a name
                rebound.add(node.value)  # setattr()
            elif isinstance(node, _Function) and node.decorator_list:
                rebound.add(node.name)  # a property may say something else every time
    return found, rebound


def _is_init(node: ast.AST) -> bool:
    return isinstance(node, ast.FunctionDef) and node.name == "__init__"


def inline(sources: Mapping[str, str], is_candidate: Callable[[str], bool]) -> dict[str, str]:
    """{module: source}, the same program in fewer functions.

    is_candidate: by its name, may this function go? True only for names that nobody outside `sources` calls, and that
    mean one thing in all of them.
    """
    trees = {module: ast.parse(source) for module, source in sources.items()}
    mentions, rebound = _mentions(trees)
    for tree in trees.values():
        _Inliner(tree, mentions, rebound).run(is_candidate)
    return {module: ast.unparse(ast.fix_missing_locations(tree)) for module, tree in trees.items()}


def inline_private(source: str) -> str:
    """One module, whose private functions and methods only itself can call."""
    return inline({"": source}, lambda name: name.startswith("_") and not name.startswith("__"))[""]


def inline_linked(parts: Mapping[str, str]) -> dict[str, str]:
    """The parts of a linked program (see linking.py): every global has a name of its own there, g and a number."""
    return inline(parts, lambda name: name[0] == "g" and name[1:].isdigit())
