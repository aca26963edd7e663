"""Schemas as clients write them, jsonschema says what fits: references, drafts, formats; and the trial of each."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from json_writer import BYTES, admits

from sampling.core.errors import InvalidRequest
from sampling.helper import Helper
from sampling.text import Grammars, grammar

GRAMMARS = Grammars(BYTES)
TEXT = {"type": "string"}
DRAFT_7, DRAFT_4 = ({"$schema": f"http://json-schema.org/draft-0{n}/schema#"} for n in (7, 4))
Schema = dict[str, Any]


def holding(reference: str, **more: Any) -> Schema:
    return {"type": "object", "properties": {"a": {"$ref": reference}}, "required": ["a"], **more}


REFERENCES: dict[str, Schema] = {
    "definitions": holding("#/$defs/t", **{"$defs": {"t": TEXT}}),
    "of older drafts": holding("#/definitions/t", definitions={"t": TEXT}, **DRAFT_7),
    "where no keyword has schemas": holding(
        "#/components/schemas/t", components={"schemas": {"t": {"$ref": "#/components/u"}}, "u": TEXT}
    ),
    "escaped": holding("#/$defs/a~1b%25~0c", **{"$defs": {"a/b%~c": TEXT}}),
    "with a space": holding("#/$defs/Page[int] of", **{"$defs": {"Page[int] of": TEXT}}),
    "in a list": holding("#/$defs/t/anyOf/1", **{"$defs": {"t": {"anyOf": [{}, TEXT]}}}),
    "in properties": holding("#/properties/b", properties={"a": {"$ref": "#/properties/b"}, "b": TEXT}),
    "anchor": holding("#here", **{"$defs": {"t": {"$anchor": "here", **TEXT}}}),
    "anchor of older drafts": holding("#here", definitions={"t": {"$id": "#here", **TEXT}}, **DRAFT_7),
    "whole address": holding(
        "https://example.com/s.json#/$defs/t", **{"$id": "https://example.com/s.json", "$defs": {"t": TEXT}}
    ),
    "relative address": holding(
        "t.json", **{"$id": "https://example.com/s.json", "$defs": {"t": {"$id": "t.json", **TEXT}}}
    ),
    "within another address": holding(
        "#/$defs/t",
        **{
            "$defs": {"t": {"$id": "other", "$ref": "#/$defs/u", "$defs": {"u": TEXT}}, "u": {"type": "null"}}
        },
    ),
    "annotated": holding(
        "#/$defs/t", **{"$defs": {"t": {"title": "T", "$ref": "#/$defs/u", "description": "d"}, "u": TEXT}}
    ),
    "with keywords beside": holding(
        "#/$defs/t", **{"$defs": {"t": {"$ref": "#/$defs/u", "maxLength": 3}, "u": {**TEXT, "minLength": 1}}}
    ),
    "to anything": holding("#/$defs/t", **{"$defs": {"t": True}}),
    "a property called $ref": {
        "type": "object",
        "properties": {"$ref": TEXT, "a": {"$ref": "#/properties/$ref"}},
        "required": ["a"],
    },
}


@pytest.mark.parametrize("case", REFERENCES)
def test_references_mean_what_jsonschema_says(case: str) -> None:
    schema = REFERENCES[case]
    checker = jsonschema.validators.validator_for(schema)(schema)
    for value in ({"a": "xyz"}, {"a": None}, {"a": 1}, {}):
        assert admits(GRAMMARS.json_schema(schema), json.dumps(value)) == checker.is_valid(value)


@pytest.mark.parametrize(
    "reference",
    [
        "#/$defs/none",
        "#/$defs/t/type",
        "#none",
        "https://example.com/x.json",
        "file:///etc/passwd",
        "x.json",
        "#/",
        "#/allOf/0",
        5,
        None,
        "http://[",
    ],
)
def test_references_that_lead_nowhere_are_refused_and_nothing_is_fetched(reference: Any) -> None:
    with pytest.raises(
        InvalidRequest, match=r"within this one: nothing is fetched|a URI reference"
    ) as caught:
        GRAMMARS.json_schema(holding(reference, **{"$defs": {"t": TEXT}}))
    assert caught.value.param == "response_format.json_schema.schema.properties.a.$ref"


DRAFTS: dict[str, tuple[Schema, list[Any], list[Any]]] = {
    # schema, what fits, what does not
    "list of items": (
        {**DRAFT_7, "type": "array", "items": [TEXT], "additionalItems": False},
        [["a"], []],
        [[1], ["a", "b"]],
    ),
    "exclusive by a boolean": (
        {
            **DRAFT_4,
            "type": "number",
            "minimum": 1,
            "exclusiveMinimum": True,
            "maximum": 3,
            "exclusiveMaximum": False,
        },
        [2, 1.5, 3],
        [1, 3.5],
    ),
    "no longer excluded": ({"type": "number", "minimum": 1, "exclusiveMinimum": 0.5}, [1, 2], [0.75]),
    "counts that are floats": (
        {"type": "string", "minLength": 2.0, "maxLength": 3.0},
        ["ab", "abc"],
        ["a", "abcd"],
    ),
    "a number that is an integer": ({"type": "array", "maxItems": 1.0}, [[], [1]], [[1, 2]]),
    "unknown keywords": ({"type": "string", "x-order": 3, "deprecated": True, "example": "a"}, ["a"], [1]),
    "values": (
        {"enum": [1, 1.5, "é", None, [], {"a": [True]}]},
        [1, 1.5, "é", None, [], {"a": [True]}],
        [2, "e", [1]],
    ),
    "integers that are written as floats": ({"type": "integer", "enum": [1.0, 2.5, -3.0]}, [1, -3], [2]),
    "values beside a type": ({"type": ["integer", "string"], "enum": [1, "a", None]}, [1, "a"], [None]),
}


@pytest.mark.parametrize("case", DRAFTS)
def test_keywords_mean_what_jsonschema_says(case: str) -> None:
    schema, good, bad = DRAFTS[case]
    checker = jsonschema.validators.validator_for(schema)(schema)
    for value in (*good, *bad):
        assert checker.is_valid(value) == (value in good)
        assert admits(GRAMMARS.json_schema(schema), json.dumps(value, ensure_ascii=False)) == (value in good)


@pytest.mark.parametrize(
    "name", ["uri-reference", "int64", "password", "idn-email", "regex", "json-pointer", "", "é" * 300]
)
def test_a_format_that_is_not_known_is_an_annotation(name: str) -> None:
    """As JSON Schema has it: Validation, section 7.2.1."""
    for schema in ({"type": "string", "format": name}, {"format": name}):
        assert admits(GRAMMARS.json_schema(schema), '"any text"')
    assert admits(GRAMMARS.json_schema({"type": "integer", "format": name}), "12")


KNOWN_FORMATS = {
    "date": ("2024-02-29", "2024-13-01"),
    "time": ("12:34:56Z", "12:34"),
    "date-time": ("2024-02-29T12:34:56+01:00", "2024-02-29"),
    "duration": ("P1DT2H", "1 day"),
    "email": ("a.b@example.com", "a b@example.com"),
    "hostname": ("example.com", "-example-"),
    "ipv4": ("127.0.0.1", "256.0.0.1"),
    "ipv6": ("fe80::1", "fe80:::1"),
    "uuid": ("123e4567-e89b-12d3-a456-426614174000", "123e4567"),
    "uri": ("https://example.com/a?b#c", "no uri"),
}


@pytest.mark.parametrize("name", KNOWN_FORMATS)
def test_a_format_that_is_known_is_kept(name: str) -> None:
    good, bad = KNOWN_FORMATS[name]
    kept = GRAMMARS.json_schema({"type": "string", "format": name})
    assert admits(kept, json.dumps(good))
    assert not admits(kept, json.dumps(bad))


def test_x_guidance_is_a_property_like_any_other() -> None:
    schema = {"type": "object", "properties": {"x-guidance": TEXT}, "required": ["x-guidance"]}
    assert admits(GRAMMARS.json_schema(schema), '{"x-guidance": "a"}')
    assert admits(
        GRAMMARS.json_schema({"const": {"x-guidance": 1, "%llguidance": 2}}),
        '{"x-guidance": 1, "%llguidance": 2}',
    )


def test_a_schema_is_left_as_it_was() -> None:
    schema = {"$id": "a", "minimum": 1, "format": "x", "properties": {"a": {"$ref": "#"}}, "minItems": 2.0}
    before = json.dumps(schema)
    GRAMMARS.json_schema(schema)
    assert json.dumps(schema) == before


@pytest.mark.parametrize(
    ("does", "seconds", "words"),
    [
        ("while True: pass", 0.1, r"compiles within 0\.1 seconds"),
        ("raise MemoryError", 60.0, r"compiles with at most \d+ bytes of memory"),
    ],
    ids=["time", "memory"],
)
def test_a_schema_that_takes_too_much_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, does: str, seconds: float, words: str
) -> None:
    """What a schema would have to do for that is not known; a trial that does it is."""
    program = tmp_path / "program.py"
    program.write_text(f"def answer(question):\n    {does}\n")
    greedy = Helper(program, memory=2**30, longest=2**20)
    monkeypatch.setattr(grammar, "TRIAL", greedy)
    monkeypatch.setattr(grammar, "SECONDS", seconds)
    with pytest.raises(InvalidRequest, match=words) as caught:
        GRAMMARS.json_schema({"const": does})
    assert caught.value.param == "response_format.json_schema.schema"
    greedy.close()
    monkeypatch.undo()
    assert admits(GRAMMARS.json_schema({"const": does}), f'"{does}"')


def test_the_trial_knows_what_the_compiler_knows() -> None:
    """The regular expression is refused there, and with the same words."""
    assert "unclosed group" in (grammar.tried('start: %json {"type": "string", "pattern": "("}') or "")
    assert grammar.tried('start: %json {"type": "string"}') is None
