"""The small changes that `benchmarks/mutation/mutants.py` makes."""

from __future__ import annotations

import ast
from textwrap import dedent
from typing import Any

import pytest

mutation = pytest.importorskip(
    "benchmarks.mutation.mutants", reason="a source distribution holds no benchmarks"
)


def mutants_of(source: str) -> list[Any]:
    return list(mutation.mutants(dedent(source)))


@pytest.mark.parametrize(
    ("expression", "changed"),
    [
        ("a < b", ["a <= b"]),
        ("a <= b < c", ["a < b < c", "a <= b <= c"]),
        ("a == b", ["a != b"]),
        ("a is not b", ["a is b"]),
        ("a + b", ["a - b", "a"]),
        ("a << b", ["a >> b", "a"]),
        ("a ^ b", ["a & b", "a"]),
        ("a ** b", ["a * b", "a"]),
        ("a and b", ["a or b", "a", "b"]),
        ("~a", ["a"]),
        ("-a", ["a"]),
        ("a[0]", ["a[1]"]),
        ("a[1]", ["a[0]", "a[2]"]),
        ("a[-1]", ["a[0]"]),
        ("-2.5", ["-5.0", "2.5"]),
        ("-0.0", ["1.0", "0.0"]),
        ("f(True)", ["f(False)"]),
        ("math.inf", ["-math.inf"]),
        ("-math.inf", ["math.inf"]),
        ("a.amax(b, keepdim=True)", ["a.amin(b, keepdim=True)", "a.amax(b, keepdim=False)"]),
        ("min(a, b)", ["max(a, b)"]),
        ("a.double()", ["a.float()"]),
        ("a.clamp(min=b)", ["a.clamp(max=b)", "a"]),
        ("a.clamp_(max=b)", ["a.clamp_(min=b)", "a"]),
        ("a.sub_(b)", ["a.add_(b)", "a"]),
        ("torch.sqrt(a)", ["a"]),
        ("torch.where(a, b, c)", ["torch.where(a, c, b)", "c"]),
        ("f(dtype=g(1), device=g(2), size=3)", ["f(dtype=g(1), device=g(2), size=4)"]),
        ("a if b else c", ["a if not b else c"]),
        ("[a for a in b if c]", ["[a for a in b if not c]"]),
        ("'a text, and ' f'{1 + 1}'", []),
    ],
)
def test_changes_of_an_expression(expression: str, changed: list[str]) -> None:
    found = mutants_of(f"z = {expression}")
    assert [mutant.after for mutant in found] == [ast.unparse(ast.parse(f"z = {one}")) for one in changed]
    assert {mutant.before for mutant in found} <= {ast.unparse(ast.parse(f"z = {expression}"))}


def test_changes_of_statements() -> None:
    source = """
        for a in b:
            if c:
                continue
            d.append(a)
            e += a
    """
    assert [(mutant.before, mutant.after) for mutant in mutants_of(source)] == [
        ("if c:", "if not c:"),
        ("continue", "break"),
        ("d.append(a)", "pass"),
        ("e += a", "e -= a"),
        ("e += a", "pass"),
    ]


def test_what_stays_as_it_is() -> None:
    source = """
        "A text."
        import os
        __all__ = ["a" + "b"]
        Alias = int | None
        if TYPE_CHECKING:
            LIMIT = 1
        class Kind:
            "A text."
            field: Value[1]
            def f(self, a: Value[2]) -> Value[3]:
                assert a > 4
                raise ValueError(f"{a + 5}", 6)
    """
    assert mutants_of(source) == []


def test_a_mutant_says_where_it_is_and_holds_the_changed_module() -> None:
    source = """\
        SIZE = 7
        class Kind:
            def f(self, *, flag=True):
                return SIZE
    """
    first, second = mutants_of(source)
    assert (first.line, first.column, first.function) == (1, 7, "")
    assert (first.before, first.after) == ("SIZE = 7", "SIZE = 8")
    assert (second.line, second.function) == (3, "Kind.f")
    assert (second.before, second.after) == ("def f(self, *, flag=True):", "def f(self, *, flag=False):")
    assert second.source == ast.unparse(ast.parse(dedent(source).replace("True", "False")))


def test_no_change_is_made_twice() -> None:
    assert [mutant.after for mutant in mutants_of("z = a and a")] == ["z = a or a", "z = a"]
