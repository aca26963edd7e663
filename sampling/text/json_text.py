"""The grammar of JSON texts as a model may write them: RFC 8259, with nothing in it that could go on for ever but its contents.

White space is what compact and pretty printing write: a space, or a line feed and the indentation of the line. Numbers have as
many digits as programs print.
"""

from __future__ import annotations

MOST_DIGITS = 20  # in a row, before or after the point: a 64-bit integer has no more
MOST_EXPONENT_DIGITS = 3  # as the largest and the smallest double have
INDENTATION = 8  # most spaces, in place of a tab, for each level
LEVELS = 8  # that are told apart; the last stands for all deeper ones
DEEPEST_INDENTATION = 256  # there, spaces or tabs

OPTIONS = '%llguidance {"no_forcing": true}\n'
NUMBER = (
    rf"-?(0|[1-9][0-9]{{0,{MOST_DIGITS - 1}}})(\.[0-9]{{1,{MOST_DIGITS}}})?"
    rf"([eE][+-]?[0-9]{{1,{MOST_EXPONENT_DIGITS}}})?"
)
ESCAPED_CHARACTER = (  # an escaped surrogate is half of a character, so it comes with the other half
    r"u([0-9A-CE-Fa-ce-f][0-9A-Fa-f]{3}|[Dd][0-7][0-9A-Fa-f]{2}"
    r"|[Dd][89ABab][0-9A-Fa-f]{2}\\u[Dd][C-Fc-f][0-9A-Fa-f]{2})"
)
STRING = rf'"([^"\\\x00-\x1F]|\\(["\\\/bfnrt]|{ESCAPED_CHARACTER}))*"'
SCALARS = rf"""
scalar: STRING | NUMBER | "true" | "false" | "null"
STRING: /{STRING}/
NUMBER: /{NUMBER}/
SPACE: " "
"""


def json_text(start: str) -> str:
    """Return the grammar of a JSON text, in llguidance's Lark format; nothing comes before or after it.

    Names may come twice in an object, as the RFC's grammar has it.

    Args:
        start: "object", or "value" for any JSON value.

    Source: RFC 8259.
    """
    levels = "".join(level(depth) for depth in range(1, LEVELS + 1))
    return f"{OPTIONS}start: {start}\nvalue: object | array | scalar\nobject: object1\narray: array1\n{levels}{SCALARS}"


def level(depth: int) -> str:
    """Return the rules of what an object or an array of a depth holds; the outermost one has depth 1."""
    last = depth == LEVELS
    inner = depth if last else depth + 1
    spaces, tabs = [DEEPEST_INDENTATION] * 2 if last else (INDENTATION * depth, depth)
    return rf"""
object{depth}: "{{" gap{depth} (member{depth} ("," gap{depth} member{depth})*)? "}}"
member{depth}: STRING SPACE? ":" SPACE? value{depth} gap{depth}
array{depth}: "[" gap{depth} (item{depth} ("," gap{depth} item{depth})*)? "]"
item{depth}: value{depth} gap{depth}
value{depth}: object{inner} | array{inner} | scalar
gap{depth}: GAP{depth}?
GAP{depth}: / |\r?\n( {{0,{spaces}}}|\t{{0,{tabs}}})/
"""
