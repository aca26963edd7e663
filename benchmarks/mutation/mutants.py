"""Mutants: copies of a module with one small change that its tests should notice.

Docstrings, texts, annotations, imports, `raise`, `assert`, `__all__`, type aliases, dtypes and devices stay as they are.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any


def both_ways(*pairs: tuple[Any, Any]) -> dict[Any, Any]:
    """Each of two for the other."""
    return dict(pairs) | {b: a for a, b in pairs}


COMPARISONS = both_ways(
    *((ast.Lt, ast.LtE), (ast.Gt, ast.GtE), (ast.Eq, ast.NotEq), (ast.Is, ast.IsNot), (ast.In, ast.NotIn))
)
ARITHMETIC = {
    **both_ways((ast.Add, ast.Sub), (ast.Mult, ast.Div), (ast.LShift, ast.RShift), (ast.BitAnd, ast.BitOr)),
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.FloorDiv,
    ast.Pow: ast.Mult,
    ast.BitXor: ast.BitAnd,
}
RENAMED = both_ways(
    *(("amax", "amin"), ("max", "min"), ("maximum", "minimum"), ("any", "all"), ("double", "float")),
    *(("floor", "ceil"), ("floor_product", "ceil_product"), ("zeros", "ones"), ("zeros_like", "ones_like")),
    *(("add", "sub"), ("mul", "div"), ("logical_and", "logical_or")),
)
# Calls that may be left out: their first operand has the type of their result.
UNWRAPPED = {
    *("round", "floor", "ceil", "clamp", "minimum", "maximum", "sqrt", "log", "log1p", "pow", "neg"),
    *("add", "sub", "mul", "div", "flip", "expand", "masked_fill"),
}
NO_CHILDREN = {"annotation", "returns", "decorator_list", "bases", "op", "ops", "ctx", "type_params"}
UNTOUCHED = (ast.Raise, ast.Assert, ast.Import, ast.ImportFrom, ast.JoinedStr)


@dataclass(frozen=True)
class Mutant:
    """One change.

    Args:
        line: Where, counted from 1.
        column: Where, counted from 0.
        function: The qualified name of the function or class around it; empty at the top of the module.
        before: The statement, without the block under it.
        after: The statement with the change.
        source: The whole changed module.
    """

    line: int
    column: int
    function: str
    before: str
    after: str
    source: str


@dataclass(frozen=True)
class Place:
    """A node of the tree, and where it hangs: `parent.field`, or item `index` of that list."""

    node: ast.AST
    parent: ast.AST
    field: str
    index: int | None
    statement: ast.stmt | None
    function: str

    def put(self, node: ast.AST) -> None:
        """Hang another node there."""
        if self.index is None:
            setattr(self.parent, self.field, node)
        else:
            getattr(self.parent, self.field)[self.index] = node


def mutants(source: str) -> Iterator[Mutant]:
    """All mutants of a module, in the order of its text."""
    tree = ast.parse(source)
    seen = {ast.unparse(tree)}
    for place in places(tree, None, ""):
        node, statement = place.node, place.statement
        assert statement is not None
        before = header(statement)
        for new in [*negated_test(place), *replacements(place)]:
            place.put(ast.copy_location(new, node))
            after, changed = header(new if node is statement else statement), ast.unparse(tree)
            place.put(node)
            if changed not in seen:
                seen.add(changed)
                yield Mutant(node.lineno, node.col_offset, place.function, before, after, changed)


def places(node: ast.AST, statement: ast.stmt | None, function: str) -> Iterator[Place]:
    """Every statement and expression below a node that may be changed."""
    for field, value in ast.iter_fields(node):
        if field in NO_CHILDREN:
            continue
        for index, child in enumerate(value) if isinstance(value, list) else [(None, value)]:
            if not isinstance(child, ast.AST) or untouched(child):
                continue
            around = child if isinstance(child, ast.stmt) else statement
            if isinstance(child, ast.stmt | ast.expr):
                yield Place(child, node, field, index, around, function)
            named = isinstance(child, ast.FunctionDef | ast.ClassDef)
            inside = f"{function}.{child.name}".lstrip(".") if named else function
            yield from places(child, around, inside)


def untouched(node: ast.AST) -> bool:
    """Whether a node and all below it stay as they are."""
    match node:
        case ast.Expr(ast.Constant()) | ast.If(ast.Name("TYPE_CHECKING")):
            return True
        case ast.Assign([ast.Name(name)]):  # a name like `Words` is that of a type
            return name == "__all__" or (name[0].isupper() and not name.isupper())
        case ast.keyword(arg):
            return arg in ("dtype", "device")
    return isinstance(node, UNTOUCHED)


def header(statement: ast.AST) -> str:
    """A statement without the block under it, in one line."""
    alone = copy.copy(statement)
    if hasattr(alone, "body"):
        alone.body, alone.orelse, alone.decorator_list = [ast.Pass()], [], []
    return " ".join(ast.unparse(alone).removesuffix("pass" if hasattr(alone, "body") else "").split())


def negated_test(place: Place) -> list[ast.AST]:
    """The opposite of a condition."""
    if place.field not in ("test", "ifs") or isinstance(place.node, ast.UnaryOp):
        return []
    return [ast.UnaryOp(ast.Not(), place.node)]


def replacements(place: Place) -> Iterator[ast.AST]:
    """What may stand in the place of a node."""
    match place.node:
        case ast.Compare(left, ops, comparators):
            for i, op in enumerate(ops):
                yield ast.Compare(left, [*ops[:i], COMPARISONS[type(op)](), *ops[i + 1 :]], comparators)
        case ast.BinOp(left, op, right):
            yield ast.BinOp(left, ARITHMETIC[type(op)](), right)
            yield left
        case ast.AugAssign(target, op, value):
            yield ast.AugAssign(target, ARITHMETIC[type(op)](), value)
            yield ast.Pass()
        case ast.BoolOp(op, values):
            yield ast.BoolOp(ast.Or() if isinstance(op, ast.And) else ast.And(), values)
            yield from values
        case ast.UnaryOp(ast.USub(), ast.Constant(value)):
            yield from map(ast.Constant, other_numbers(-value))
        case ast.UnaryOp(_, operand):
            yield operand
        case ast.Constant(value) if not isinstance(place.parent, ast.UnaryOp):
            yield from map(ast.Constant, other_numbers(value))
        case ast.Attribute(_, "inf") if not isinstance(place.parent, ast.UnaryOp):
            yield ast.UnaryOp(ast.USub(), place.node)
        case ast.Call():
            yield from other_calls(place.node)
        case ast.Expr(ast.Call()):
            yield ast.Pass()
        case ast.Break():
            yield ast.Continue()
        case ast.Continue():
            yield ast.Break()
        case _:
            pass


def other_numbers(value: object) -> list[bool | int | float]:
    """Numbers to take for a number: 0 and 1 for each other, n + 1, twice a float, the other sign, the other truth."""
    match value:
        case bool():
            return [not value]
        case int():
            return [0, 2] if value == 1 else [value + 1]
        case float():
            return [2 * value or 1.0, -value]
    return []


def other_calls(call: ast.Call) -> Iterator[ast.AST]:
    """The sibling of a function, swapped alternatives, the other bound, or the first operand alone."""
    func, args, keywords = call.func, call.args, call.keywords
    name = func.attr if isinstance(func, ast.Attribute) else func.id if isinstance(func, ast.Name) else ""
    plain = name.removesuffix("_")  # methods that work in place end in one
    if plain in RENAMED:
        other = RENAMED[plain] + name[len(plain) :]
        renamed = ast.Attribute(func.value, other) if isinstance(func, ast.Attribute) else ast.Name(other)
        yield ast.Call(renamed, args, keywords)
    if plain == "where":
        yield ast.Call(func, [args[0], args[2], args[1]], keywords)
        yield args[2]
    if plain == "clamp":
        others = [ast.keyword({"min": "max", "max": "min"}[str(k.arg)], k.value) for k in keywords]
        yield ast.Call(func, args, others)
    if plain in UNWRAPPED:
        of_module = isinstance(func, ast.Attribute) and getattr(func.value, "id", "") in ("torch", "math")
        yield args[0] if of_module or isinstance(func, ast.Name) else func.value
