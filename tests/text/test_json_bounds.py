"""White space, numbers and escapes in JSON mode, with a schema and without: Python's json and jsonschema say what is right."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from json_prefix import MOST_DIGITS, verdict
from json_writer import BYTES, admits, begins, written

from sampling.text import Grammars
from sampling.text.grammar import Grammar

GRAMMARS = Grammars(BYTES)
ANY_OBJECT = {"type": "object"}
KINDS = ["json_object", "json_schema"]


def grammar(kind: str) -> Grammar:
    return GRAMMARS.json_object if kind == "json_object" else GRAMMARS.json_schema(ANY_OBJECT)


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
FORMS = st.fixed_dictionaries(
    {"ensure_ascii": st.booleans()},
    optional={"indent": st.sampled_from([0, 1, 2, 3, 4, 8, "\t"]), "separators": st.just((",", ":"))},
)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=60)
@given(value=st.dictionaries(st.text(), VALUES, max_size=3), form=FORMS)
def test_what_json_dumps_writes_stays_possible(
    kind: str, value: dict[str, Any], form: dict[str, Any]
) -> None:
    """Compact, one line, or indented by any usual step; escaped or not; every integer of 64 bits and every double."""
    text = json.dumps(value, **form)
    assert admits(grammar(kind), text) or "\x7f" in text  # which llguidance wants escaped


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "text",
    [
        '{"a": {"b": [1, {}]}}',
        '{ "a" : [ 1 ] }',
        '{\r\n  "a": 1\r\n}',
        '{"a": 1\n, "b": 2}',
        '{\n        "a": [\n                1]}',
    ],
)
def test_other_white_space_that_programs_write(kind: str, text: str) -> None:
    assert admits(grammar(kind), text)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "text",
    [
        "{\n\n",
        "{ \n",
        "{  ",
        "{\n \n",
        "{\r\n\r",
        "{\t",
        "{\n \t",
        '{"a"\n',
        '{"a":\n',
        '{"a":  ',
        '{"a": 1\n\n',
        "{\n         ",
    ],
)
def test_no_blank_lines_and_no_runs(kind: str, text: str) -> None:
    """The last: a ninth space on the first level."""
    assert begins(grammar(kind), text[:-1])
    assert not begins(grammar(kind), text)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("likes", [b"\n", b" ", b" \n\t\r", b"\n{[:,"])
def test_a_hand_that_likes_white_space_writes_something_else_between(kind: str, likes: bytes) -> None:
    for seed in range(5):
        text = written(grammar(kind), likes + b"}", seed)
        assert text is not None
        assert verdict(text.encode()) == "whole"
        assert not re.search(r"\n\s*\n", text)


NUMBERS: list[dict[str, Any]] = [
    {"type": "number"},
    {"type": "integer"},
    {"type": ["integer", "null"], "minimum": 5},
    {"type": "number", "minimum": -90, "maximum": 90},
    {"type": "number", "exclusiveMinimum": 0},
    {"type": "number", "exclusiveMaximum": 0},
    {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
    {"type": "number", "minimum": 0.1, "maximum": 0.3},
    {"type": "number", "exclusiveMinimum": 1e-5, "maximum": 1e-4},
    {"type": "number", "maximum": 1e308},
    {"type": "number", "minimum": -1e-30, "exclusiveMaximum": 1e-18},
    {"type": "number", "exclusiveMinimum": -3, "exclusiveMaximum": -2.5},
    {"type": "integer", "exclusiveMinimum": -7, "exclusiveMaximum": 7},
    {"type": "integer", "minimum": -(2**63), "maximum": 2**63 - 1},
    {"type": "integer", "minimum": 2**53 + 1, "maximum": 2**53 + 9},
    {"type": "integer", "multipleOf": 7},
    {"type": "integer", "multipleOf": 1000, "exclusiveMinimum": 0},
    {"type": "number", "multipleOf": 0.25},
    {"type": "number", "multipleOf": 0.01, "minimum": -1},
    {"type": "number", "maximum": 5, "exclusiveMaximum": True, "minimum": 0},
    {"allOf": [{"type": "number"}, {"minimum": -1}, {"exclusiveMaximum": 3}, {"multipleOf": 0.5}]},
    {"anyOf": [{"type": "integer", "maximum": -3}, {"type": "number", "minimum": 10}]},
    {"$ref": "#/$defs/n", "exclusiveMaximum": 4, "$defs": {"n": {"type": "number", "minimum": -4}}},
    {"minimum": 3, "enum": [1, 2.5, 3, 4.25, None, 1e19]},
]


@pytest.mark.parametrize("schema", NUMBERS, ids=str)
@pytest.mark.parametrize("likes", [b"0123456789", b"0", b"9", b"-0.", b"-.0123456789eE+", b"-1.9"])
def test_numbers_end_within_the_bound_and_fit(schema: dict[str, Any], likes: bytes) -> None:
    """Even for a hand that writes digits as long as it may."""
    checker = jsonschema.Draft4Validator if True in schema.values() else jsonschema.Draft202012Validator
    for seed in range(6):
        text = written(GRAMMARS.json_schema(schema), likes, seed)
        assert text is not None
        assert max(map(len, re.findall(r"\d+", text)), default=0) <= MOST_DIGITS
        assert verdict(text.encode(), value=True) == "whole"
        value = json.loads(text, parse_float=Decimal)
        checker(json.loads(json.dumps(schema), parse_float=Decimal)).validate(value)


ENDS: dict[str, tuple[dict[str, Any], list[str], list[str]]] = {
    # schema, numbers that it admits, numbers that it does not
    "closed": (
        {"minimum": -1.5, "maximum": 2},
        ["-1.5", "2", "2.0", "0", "0.0", "1.50", "-0.1"],
        ["-1.51", "2.01", "-2", "3"],
    ),
    "open": (
        {"exclusiveMinimum": -1.5, "exclusiveMaximum": 2},
        ["-1.4999", "1.9999", "0.10"],
        ["-1.5", "2", "2.0"],
    ),
    "open at zero": ({"exclusiveMinimum": 0}, ["0." + "0" * 19 + "1", "0.10", "1"], ["0", "0.0", "-1"]),
    "one end": ({"maximum": 10}, ["10", "-" + "9" * 20, "-0." + "0" * 19 + "1"], ["11", "10.5"]),
    "open past the double's integers": (
        {"type": "integer", "exclusiveMaximum": 2**53 + 3, "exclusiveMinimum": 2**53 - 5},
        [str(2**53 + 2), str(2**53 - 4)],
        [str(2**53 + 4), str(2**53 - 5)],
    ),
    "open past what llguidance counts": (
        {"exclusiveMaximum": 1e19, "exclusiveMinimum": -(10**30)},
        ["1", "-1"],
        ["1" + "0" * 19],
    ),
    "open at a long number": (
        {"exclusiveMaximum": 3.9999999999999996},
        ["3.8", "3.0"],
        ["4", "3.9999999999999997"],
    ),
    "past the double's integers": ({"type": "integer", "minimum": 2**53 + 1}, [str(2**53 + 2)], [str(2**53)]),
    "a step": ({"multipleOf": 0.25}, ["0.25", "-1.50", "3", "0"], ["0.3", "1.1"]),
    "a step of integers": ({"type": "integer", "multipleOf": 3}, ["3", "-9", "0", "9" * 18], ["1", "-10"]),
    "integers": ({"type": "integer"}, ["0", "-5", "9" * 20], ["1.5", "9" * 21]),
    "numbers": (
        {"type": "number"},
        ["1e5", "1.5E-300", "0." + "1" * 20, "9" * 20],
        ["1e1000", "0." + "1" * 21, "9" * 21],
    ),
}


@pytest.mark.parametrize("case", ENDS)
def test_ends_belong_to_a_range_or_not(case: str) -> None:
    schema, inside, outside = ENDS[case]
    grammar = GRAMMARS.json_schema({"type": "number", **schema})
    for text in inside:
        jsonschema.validate(
            json.loads(text, parse_float=Decimal), json.loads(json.dumps(schema), parse_float=Decimal)
        )
        assert admits(grammar, text)
    assert not any(admits(grammar, text) for text in outside)


STRINGS = [
    '"é ツ 😀"', r'"\u00e9 \u30C4 \ud83d\uDE00"', r'"\"\\\b\f\n\r\t"', r'"\u0000\u001f\u007f"', r'"\uD7FF\uE000\uFFFF"', '""'
]  # fmt: skip


@pytest.mark.parametrize("text", STRINGS)
def test_strings_hold_any_text_escaped_or_not(text: str) -> None:
    """In values and in names, with a schema and without; a pair of escapes is one character."""
    length = len(json.loads(text))
    held = f"{{{text}: {text}}}"
    assert all(admits(grammar(kind), held) for kind in KINDS)
    assert admits(GRAMMARS.json_schema({"type": "string", "minLength": length, "maxLength": length}), text)
    assert not admits(GRAMMARS.json_schema({"type": "string", "minLength": length + 1}), text)


@pytest.mark.parametrize(
    "text", [r"\ud83d\u0041", r"\ud83d ", r'\ud83d"', r"\uDE00", r"\ud83d\ud83d", r"\ud83d\n"]
)
def test_half_a_character_never_stands_alone(text: str) -> None:
    """A lone surrogate is no text: it has no UTF-8."""
    for kind in KINDS:
        for before in ('{"', '{"a": "'):
            assert not begins(grammar(kind), before + text)
    assert not begins(GRAMMARS.json_schema({"type": "string", "maxLength": 5}), f'"{text}')


@pytest.mark.parametrize("kind", KINDS)
def test_a_hand_that_likes_escapes_writes_text(kind: str) -> None:
    for seed in range(8):
        text = written(grammar(kind), b"\\ud8cDE", seed) or written(grammar(kind), b'\\ud8cDE"}:', seed)
        assert text is None or json.loads(text) == json.loads(json.dumps(json.loads(text)).encode())
        if text is not None:
            str(json.loads(text)).encode()


def test_where_a_pattern_says_what_is_in_a_string_it_is_written_as_it_is() -> None:
    grammar = GRAMMARS.json_schema({"type": "string", "pattern": "^[a-zé]{2}$"})
    assert admits(grammar, '"né"')
    assert not begins(grammar, r'"n\u')


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("indent", [1, 2, 4, 8, "\t"])
def test_deep_values_can_be_indented(kind: str, indent: int | str) -> None:
    value: dict[str, Any] = {}
    for _ in range(30):
        value = {"a": [value]}
    text = json.dumps(value, indent=indent)
    assert admits(grammar(kind), text) == (indent != 8)  # 60 levels


TIMES = {
    "time": '"10:00:00.123456Z"',
    "date-time": '"2026-11-30T10:00:00.5+01:00"',
    "duration": '"P3Y6M4DT12H30M5S"',
}


@pytest.mark.parametrize("format_", TIMES)
@pytest.mark.parametrize("beside", [{}, {"minLength": 1}, {"allOf": [{"maxLength": 100}]}], ids=str)
def test_times_have_bounded_digits(format_: str, beside: dict[str, Any]) -> None:
    """Fractions of a second and counts in a duration have no end in RFC 3339."""
    made = GRAMMARS.json_schema({"type": "string", "format": format_, **beside})
    assert admits(made, TIMES[format_])
    for seed in range(5):
        text = written(made, b"0123456789.", seed)
        assert text is not None
        assert max(map(len, re.findall(r"\d+", text))) <= MOST_DIGITS


@pytest.mark.parametrize(
    "nothing", [{"uniqueItems": False}, {"propertyNames": {"type": "string"}}, {"propertyNames": True}]
)
def test_keywords_that_say_nothing_are_taken(nothing: dict[str, Any]) -> None:
    schema = {"type": ["object", "array"], "additionalProperties": {"type": "integer"}, **nothing}
    made = GRAMMARS.json_schema(schema)
    for text in ('{"a": 1, "b": 2}', '["x", "x"]'):
        jsonschema.Draft202012Validator(schema).validate(json.loads(text))
        assert admits(made, text)
    assert not begins(made, '{"a": "x')
