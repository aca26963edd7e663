"""From a JSON schema to llguidance's grammar, with what llguidance does otherwise than JSON Schema made good."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping

from sampling.core.errors import InvalidRequest
from sampling.text.json_schema import Schema, SchemaDocument, listed
from sampling.text.json_text import MOST_DIGITS, OPTIONS
from sampling.text.schema_numbers import bound_numbers
from sampling.text.schema_size import WrittenOut

OWN = "x-guidance"  # llguidance's options
ESCAPES = {"json_allow_general_unicode_escapes": True}
LONGEST_FORMAT = 64  # characters of a name that may be known
WITH_DIGITS = ("time", "date-time", "duration")
BOUNDED_DIGITS = rf"^[^0-9]*([0-9]{{1,{MOST_DIGITS}}}[^0-9]+)*[0-9]{{0,{MOST_DIGITS}}}$"
SAYING_NOTHING = {"uniqueItems": ("false",), "propertyNames": ("true", "{}", '{"type": "string"}')}
COUNTS = ("minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties")


def schema_grammar(schema: Mapping[str, object]) -> str:
    """Return the grammar of a JSON schema, in llguidance's Lark format.

    Strings may have escapes, but not where a pattern or a format says what is in them. A `format` that llguidance does not know
    is an annotation, as JSON Schema has it.

    Raises:
        InvalidRequest: No JSON schema, one that is too large, or one that no finite text fits.

    Source: JSON Schema 2020-12, Validation, section 7.2.1.
    """
    document = SchemaDocument(schema)
    for one in document.schemas:
        if OWN in one:
            raise InvalidRequest(document.name(one, OWN), one[OWN], "left out")
        ease(one)
    for one in WrittenOut(document).endless():  # where something else will do, nothing begins what never ends
        one.pop("$ref", None)
        one["enum"] = []
    for one in document.schemas:
        bound_numbers(document, one)
        bound_format(one)
    return f"{OPTIONS}start: %json {json.dumps({**document.root, OWN: ESCAPES})}"


def ease(schema: Schema) -> None:
    """Say what llguidance does not understand as it does."""
    for keyword in COUNTS:
        if isinstance(value := schema.get(keyword), float) and value.is_integer():
            schema[keyword] = int(value)
    if isinstance(name := schema.get("format"), str) and not known_format(name[:LONGEST_FORMAT]):
        del schema["format"]
    for keyword, values in SAYING_NOTHING.items():
        if json.dumps(schema.get(keyword)) in values:
            del schema[keyword]


def bound_format(schema: Schema) -> None:
    """Bound the digits in a row of times, whose fractions and counts have no end."""
    if schema.get("format") in WITH_DIGITS:
        schema["allOf"] = [*listed(schema, "allOf"), {"pattern": BOUNDED_DIGITS}]


@functools.lru_cache(maxsize=256)
def known_format(name: str) -> bool:
    """Whether llguidance checks a `format` of strings."""
    from llguidance import LLMatcher

    schema = json.dumps({"type": "string", "format": name})
    return "Unknown format" not in LLMatcher.validate_grammar(LLMatcher.grammar_from_json_schema(schema))
