"""What a schema comes to: schemas that no finite text fits against all small values, sizes against their number by hand."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from json_writer import BYTES, admits, begins, written

from sampling.core.errors import InvalidRequest
from sampling.text import Grammars
from sampling.text.json_schema import MOST_SCHEMAS, SchemaDocument
from sampling.text.schema_size import MOST_OPTIONAL, MOST_PARTS, WrittenOut

GRAMMARS = Grammars(BYTES)
SELF = {"$ref": "#"}
Schema = dict[str, Any]


def record(required: list[str] | None = None, **properties: Any) -> Schema:
    return {
        "type": "object",
        "properties": properties,
        "required": [*properties] if required is None else required,
    }


ENDLESS: dict[str, Schema] = {
    "itself": SELF,
    "each other": {
        "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"allOf": [{"$ref": "#/$defs/a"}]}},
        "$ref": "#/$defs/a",
    },
    "required": record(a=SELF),
    "required by another member": {
        "allOf": [{"required": ["a"]}, {"properties": {"a": SELF}}],
        "type": "object",
    },
    "required beside what ends": record(
        a={"type": "null"}, b={"type": "array", "prefixItems": [SELF], "minItems": 1}
    ),
    "items": {"type": "array", "items": SELF, "minItems": 1},
    "the third item": {"type": "array", "prefixItems": [{}, {}], "items": SELF, "minItems": 3},
    "a list of items": {"type": "array", "items": [{}, SELF], "minItems": 2},
    "a property by no name": {"type": "object", "additionalProperties": SELF, "minProperties": 1},
    "a property by a pattern": {
        "type": "object",
        "patternProperties": {"^a": SELF},
        "additionalProperties": False,
        "minProperties": 1,
    },
    "one more property": {**record(["b"], b={}, a=SELF), "additionalProperties": False, "minProperties": 2},
    "every choice": {"anyOf": [record(a=SELF), {"type": "array", "items": SELF, "minItems": 2}]},
    "every choice of a type": {"type": "object", "anyOf": [{"type": "string"}, record(a={"allOf": [SELF]})]},
    "by a name": {"$anchor": "top", **record(a={"$ref": "#top"})},
    "in three steps": {
        "definitions": {
            "a": record(x={"$ref": "#/definitions/b"}),
            "b": {"oneOf": [record(y={"$ref": "#/definitions/c"}), {"type": "string", "enum": []}]},
            "c": {"type": "array", "minItems": 1, "items": {"$ref": "#/definitions/a"}},
        },
        "$ref": "#/definitions/b",
    },
    "as many items as a float says": {"type": "array", "items": SELF, "minItems": 1.0},
    "no type": {"type": []},
    "false": {"type": "array", "items": False, "minItems": 1},
}


@pytest.mark.parametrize("case", ENDLESS)
def test_what_no_finite_text_fits_is_refused(case: str) -> None:
    with pytest.raises(InvalidRequest, match="must be a schema that a finite text fits") as caught:
        GRAMMARS.json_schema(ENDLESS[case])
    assert caught.value.param == "response_format.json_schema.schema"


def choices(*options: Schema) -> Schema:
    return {"anyOf": [*options]}


NULL: Schema = {"type": "null"}
ENDING: dict[str, tuple[Schema, list[str], list[str]]] = {
    # schema, texts that it admits, beginnings that it does not, since nothing would end them
    "optional": ({**record(["b"], a=SELF, b=NULL)}, ['{"b":null}', '{"a":{"b":null},"b":null}'], []),
    "a list": (record(v=NULL, next=choices(SELF, NULL)), ['{"v":null,"next":{"v":null,"next":null}}'], []),
    "a tree": ({"type": "array", "items": SELF}, ["[]", "[[],[[]]]"], []),
    "a property that never ends": (
        {
            **record(["b"], a={"$ref": "#/$defs/e"}, b=NULL),
            "additionalProperties": False,
            "$defs": {"e": record(e={"$ref": "#/$defs/e"})},
        },
        ['{"b":null}'],
        ['{"a"'],
    ),
    "a choice that never ends": (
        {
            "type": "array",
            "items": choices({"$ref": "#/$defs/e"}, NULL),
            "$defs": {"e": record(e={"$ref": "#/$defs/e"})},
        },
        ["[null,null]"],
        ["[{"],
    ),
    "items that never end": ({"type": "array", "items": record(e={"$ref": "#/items"})}, ["[]"], ["[{"]),
    "other properties that never end": (
        {
            "type": "object",
            "additionalProperties": {"$ref": "#/$defs/e"},
            "$defs": {"e": {"type": "array", "items": {"$ref": "#/$defs/e"}, "minItems": 1}},
        },
        ["{}"],
        ['{"'],
    ),
}


@pytest.mark.parametrize("case", ENDING)
def test_what_ends_goes_on_and_nothing_else_begins(case: str) -> None:
    schema, whole, endless = ENDING[case]
    grammar = GRAMMARS.json_schema(schema)
    for text in whole:
        jsonschema.validate(json.loads(text), schema)
        assert admits(grammar, text)
    for text in endless:
        assert not begins(grammar, text)


REFERENCES = st.sampled_from(["#", "#/$defs/a", "#/$defs/b"]).map(lambda name: {"$ref": name})
LEAVES = REFERENCES | REFERENCES | st.just(NULL)
SCHEMAS = st.one_of(
    LEAVES,
    st.lists(LEAVES, min_size=1, max_size=2).map(lambda options: {"anyOf": options}),
    st.tuples(LEAVES, st.booleans()).map(lambda one: record([] if one[1] else ["x"], x=one[0])),
    st.tuples(LEAVES, st.integers(0, 2)).map(
        lambda one: {"type": "array", "items": one[0], "minItems": one[1]}
    ),
    st.tuples(LEAVES, st.integers(0, 1)).map(
        lambda one: {"type": "object", "additionalProperties": one[0], "minProperties": one[1]}
    ),
)


def small_values() -> Iterator[object]:
    """Enough to fit any of SCHEMAS that something fits: there are three, so three levels do."""
    level: list[object] = [None, {}, []]
    yield from level
    for _ in range(3):
        level = [made for one in level for made in ({"x": one}, [one], [one, one])]
        yield from level


VALUES = [*small_values()]


def fits(value: Any, schema: Schema, root: Schema, looped: tuple[int, ...] = ()) -> bool:
    """JSON Schema's words, for the keywords of SCHEMAS; where a reference leads to itself, it never comes to an end."""
    if id(schema) in looped:
        return False
    if "$ref" in schema:
        target = root if schema["$ref"] == "#" else root["$defs"][schema["$ref"][-1]]
        return fits(value, target, root, (*looped, id(schema)))
    if "anyOf" in schema:
        return any(fits(value, one, root, (*looped, id(schema))) for one in schema["anyOf"])
    if schema["type"] == "null":
        return value is None
    if schema["type"] == "array":
        return (
            isinstance(value, list)
            and len(value) >= schema["minItems"]
            and all(fits(one, schema["items"], root) for one in value)
        )
    known, others = schema.get("properties", {}), schema.get("additionalProperties")
    return (
        isinstance(value, dict)
        and len(value) >= schema.get("minProperties", 0)
        and all(name in value for name in schema.get("required", []))
        and all(
            fits(one, known.get(name, others), root) for name, one in value.items() if name in known or others
        )
    )


def refusal_of(schema: Schema) -> str | None:
    try:
        GRAMMARS.json_schema(schema)
    except InvalidRequest as error:
        return str(error)
    return None


@settings(max_examples=100)
@given(root=SCHEMAS, a=SCHEMAS, b=SCHEMAS)
def test_refused_is_what_no_value_fits(root: Schema, a: Schema, b: Schema) -> None:
    schema = {**root, "$defs": {"a": a, "b": b}}
    refusal = refusal_of(schema)
    if any(fits(value, schema, schema) for value in VALUES):
        assert refusal is None
        text = written(GRAMMARS.json_schema(schema), b'n}]"x', 0)
        assert text is None or fits(json.loads(text), schema, schema)
    else:
        assert refusal is not None
        assert "finite" in refusal


def doubled(times: int, twice: Callable[[Schema], Schema]) -> Schema:
    """Each definition holds the one before twice."""
    defs: dict[str, Schema] = {"d0": {"type": "string"}}
    for i in range(times):
        defs[f"d{i + 1}"] = twice({"$ref": f"#/$defs/d{i}"})
    return {"$defs": defs, "$ref": f"#/$defs/d{times}"}


GROWING: dict[str, Callable[[Schema], Schema]] = {
    "references with keywords beside them": lambda one: record(
        a={**one, "minProperties": 0}, b={**one, "minProperties": 0}
    ),
    "choices with keywords beside them": lambda one: {"anyOf": [one, one], "minLength": 1},
    "members": lambda one: {
        "type": "array",
        "prefixItems": [{"allOf": [one, {"title": "x"}, {"minItems": 1}]}] * 2,
    },
    "members of one name": lambda one: {
        "allOf": [record(a=choices(one, one)), record(a={"type": ["object", "string"]})]
    },
}


@pytest.mark.parametrize("case", GROWING)
def test_what_grows_is_counted_before_it_is_compiled(case: str) -> None:
    """Ten times would compile; as often as a request could say it, it would take all memory."""
    GRAMMARS.json_schema(doubled(4, GROWING[case]))
    for times in (14, 60, 400):
        with pytest.raises(InvalidRequest, match=f"at most {MOST_PARTS} parts"):
            WrittenOut(SchemaDocument(doubled(times, GROWING[case])))


def test_plain_references_are_shared_and_do_not_grow() -> None:
    grammar = GRAMMARS.json_schema(doubled(60, lambda one: record([], a=one, b=one)))
    assert admits(grammar, '{"b":{"a":{}}}')


def test_schemas_that_nothing_refers_to_are_counted_before_they_are_looked_at() -> None:
    unused = {"type": "integer", "$defs": {f"d{i}": {} for i in range(MOST_SCHEMAS)}}
    with pytest.raises(InvalidRequest, match=f"at most {MOST_SCHEMAS} parts, used or not"):
        SchemaDocument(unused)
    del unused["$defs"]["d0"]
    assert len(SchemaDocument(unused).schemas) == MOST_SCHEMAS


LARGE: dict[str, tuple[Schema, str]] = {
    "properties": (record(**{f"p{i}": {} for i in range(MOST_PARTS)}), "parts"),
    "optional properties": (
        record(["p0"], **{f"p{i}": {} for i in range(MOST_OPTIONAL + 2)}),
        "1001 optional properties in one object', must be at most 1000",
    ),
    "patterns": (
        {"type": "object", "patternProperties": {f"^{i}x": {} for i in range(51)}},
        "51 patternProperties in one object', must be at most 50",
    ),
    "values": ({"enum": [*range(MOST_PARTS + 1)]}, "parts"),
    "a value of values": ({"const": {"a": [[1]] * MOST_PARTS}}, "parts"),
    "required names": ({"type": "object", "required": [f"p{i}" for i in range(MOST_PARTS)]}, "parts"),
    "items": ({"prefixItems": [{"type": "null"}] * MOST_PARTS}, "parts"),
    "choices": ({"anyOf": [{"const": i} for i in range(MOST_PARTS)]}, "parts"),
    "choices of choices": (
        {"allOf": [choices(*({"required": [f"{n}{i}"]} for i in range(80))) for n in "ab"], "type": "object"},
        "parts",
    ),
    "choices that say nothing": ({"allOf": [{"anyOf": [{}] * 400}, {"anyOf": [{}] * 400}]}, "parts"),
    "members": ({"allOf": [{"properties": {f"p{i}": {}}} for i in range(1000)]}, "parts"),
    "large once, chosen often": (
        {
            "anyOf": [{"required": [f"q{i}"]} for i in range(100)],
            "properties": {"x": record(**{f"p{i}": {} for i in range(100)})},
        },
        "parts",
    ),
}


@pytest.mark.parametrize("case", LARGE)
def test_what_is_large_is_refused(case: str) -> None:
    schema, words = LARGE[case]
    with pytest.raises(InvalidRequest, match=words):
        GRAMMARS.json_schema(schema)


def test_what_is_not_too_large() -> None:
    names = [f"p{i}" for i in range(MOST_OPTIONAL)]
    assert begins(GRAMMARS.json_schema(record(["p0"], **{name: {} for name in names})), '{"p0":1,"p999":1')
    assert begins(
        GRAMMARS.json_schema({"enum": [f"value {i}" for i in range(MOST_PARTS - 100)]}), '"value 4899'
    )


@pytest.mark.parametrize(
    "schema",
    [
        record([], n={"type": "object", **SELF}),
        record([], n={"allOf": [SELF], "minProperties": 0}),
        {"anyOf": [SELF, {"type": "string"}], "minLength": 1},
        {"type": "string", **SELF},
    ],
    ids=str,
)
def test_a_reference_that_would_be_written_out_for_ever(schema: Schema) -> None:
    with pytest.raises(InvalidRequest, match="no reference that has keywords beside it leads back to itself"):
        GRAMMARS.json_schema(schema)
