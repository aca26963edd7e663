"""Grammars: masks against a plain reading of RFC 8259, values against Python's json and jsonschema."""

from __future__ import annotations

import builtins
import functools
import json
import math
import random
import re
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NoReturn

import jsonschema
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from json_prefix import verdict
from json_writer import Listed
from scripted import byte_tokenizer
from transformers import PreTrainedTokenizerFast

from sampling.core.errors import InvalidRequest
from sampling.processors import Constraint
from sampling.text import Grammars, Vocabulary
from sampling.text import grammar as grammar_module
from sampling.text.grammar import Grammar
from sampling.text.schema_grammar import schema_grammar

SPACES = [*(b" " * n for n in (1, 3, 7, 8, 9)), b"\n" + b" " * 15, b"\r\n", b"\t\t", b"\n\t", b"\n\n", b" \n"]
PIECES = [
    *[bytes([byte]) for byte in b'{}[]":,\\/bu0123456789aAfF-+.eE\n\t\r\x00\x1f\x7f'],
    *SPACES,
    *[
        b'{"',
        b'":',
        b'": "',
        b'",',
        b'"}',
        b"}}",
        b'{"a',
        b"{}",
        b" }",
        b'\\"',
        b"\\u00",
        b"\\ud8",
        b"\\uD83D\\u",
        b"\\udC0",
        b"dE",
        b"\\\\",
    ],
    *[
        b"true",
        b"tru",
        b"e}",
        b"rue",
        b"fals",
        b"null",
        b"nul",
        b"l",
        b"1.",
        b"1e",
        b"E-1",
        b"00",
        b"-0",
        b"1" * 19,
        b"0" * 20,
    ],
    *[b",\n    ", b'\n"', b"[[", b"]]", b"],[", b"[1,", b"NaN", b"Infinity", b"'", b"//", b"\xef\xbb\xbf"],
    *[
        "é".encode(),
        b"\xc3",
        b"\xa9",
        b"\xf0\x9f",
        b"\x98",
        b"\x80",
        b"\xed\xa0",
        b"\xe2\x82",
        b"\xff",
        b'\xa9"',
    ],
    *[b"{", b'"'],  # once more, under other ids
    *[None, b"", None],
]
OTHER_END, GAP, END = range(len(PIECES) - 3, len(PIECES))
SMALL = Listed(PIECES, {END, OTHER_END, 10**6})


@pytest.fixture(scope="module")
def small() -> Grammar:
    return Grammars(SMALL).json_object


@pytest.fixture(scope="module")
def llama3(llama3_tokenizer: PreTrainedTokenizerFast) -> Grammars:
    return Grammars(Vocabulary(llama3_tokenizer, {128_001, 128_008, 128_009}))


def ids(constraint: Constraint, sampled: Sequence[int]) -> set[int]:
    return set(constraint.allowed(sampled).nonzero()[:, 0].tolist())


def allowed_by_the_rfc(sampled: Sequence[int]) -> set[int]:
    """By brute force: the tokens after which the text can still become an object, and the end tokens after one."""
    text = b"".join(PIECES[token] or b"" for token in sampled)
    spelled = {i for i, piece in enumerate(PIECES) if piece and verdict(text + piece) != "neither"}
    return spelled | ({END, OTHER_END} if verdict(text) == "whole" else set())


def joined(vocabulary: Vocabulary, tokens: Sequence[int]) -> bytes:
    return b"".join(vocabulary.bytes_of(token) or b"" for token in tokens)


def refuse(word: str) -> NoReturn:
    raise AssertionError(word)


@functools.cache
def liking_short_texts(vocabulary: Vocabulary) -> torch.Tensor:
    """Logits that favour what ends strings, arrays and objects, so that texts end, too."""
    pieces = [vocabulary.bytes_of(token) or b"" for token in range(len(vocabulary))]
    brief = torch.tensor([piece[:1] in (b'"', b"}", b"]", b",") for piece in pieces])
    return brief.float() * math.log(0.7 * len(pieces) / int(brief.sum()))


def written(grammar: Grammar, vocabulary: Vocabulary, seed: int, most: int) -> tuple[list[int], bool]:
    """What a model with random logits writes, and whether it ended by itself."""
    random_numbers = torch.Generator().manual_seed(seed)
    constraint, tokens = grammar.constraint(), []
    while len(tokens) < most:
        logits = torch.randn(len(vocabulary), generator=random_numbers) / 2 + liking_short_texts(vocabulary)
        weights = logits.exp() * constraint.allowed(tokens)
        tokens.append(int(weights.multinomial(1, generator=random_numbers)))
        if tokens[-1] in vocabulary.end_ids:
            return tokens, True
    return tokens, False


def test_the_oracle_agrees_with_pythons_json() -> None:
    """Strings of JSON's characters, valid and invalid: `json.loads` decides what is whole."""
    rng = random.Random(0)
    whole = 0
    for _ in range(20_000):
        text = rng.choice(["{", '{"', '{"a":', '{"a":{}']) + "".join(
            rng.choices('{}[]":,10.e-\\u t\n', [*[3] * 16, 1], k=rng.randint(0, 7))
        )
        text = rng.choice([text, text + "}", text + '"}', text + '":1}']).rstrip()
        try:
            json.loads(text, parse_constant=refuse)
        except ValueError:
            assert verdict(text.encode()) != "whole", text
        else:
            whole += 1
            unusual = re.search(r"[ \n]\n|(?<![ \n]) {2}|\n *:|: *\n", text)
            assert verdict(text.encode()) == "whole" or unusual, text
    assert whole > 300


@settings(max_examples=60)
@given(rng=st.randoms(use_true_random=False))
def test_exactly_the_tokens_that_keep_an_object_possible(small: Grammar, rng: random.Random) -> None:
    """Brute force over a vocabulary of awkward tokens, along a random way through what the RFC allows."""
    constraint, tokens = small.constraint(), []
    for _ in range(30):
        expected = allowed_by_the_rfc(tokens)
        assert ids(constraint, tokens) == expected, joined(SMALL, tokens)
        going_on = sorted(expected - SMALL.end_ids)
        if not going_on:
            break
        tokens.append(rng.choice(going_on))


@settings(max_examples=60)
@given(tokens=st.lists(st.integers(0, len(PIECES) + 3), max_size=6))
def test_after_any_tokens_at_all(small: Grammar, tokens: list[int]) -> None:
    """What no object begins with has no next token, and nothing goes wrong."""
    readable = all(token < len(PIECES) and PIECES[token] for token in tokens)
    fine = readable and (not tokens or verdict(joined(SMALL, tokens)) != "neither")
    assert ids(small.constraint(), tokens) == (allowed_by_the_rfc(tokens) if fine else set())


@settings(max_examples=40)
@given(rng=st.randoms(use_true_random=False))
def test_a_history_that_goes_back_is_read_afresh(small: Grammar, rng: random.Random) -> None:
    kept = small.constraint()
    histories = [written(small, SMALL, rng.randint(0, 99), rng.randint(1, 12))[0] for _ in range(3)]
    for _ in range(12):
        history = rng.choice(histories)
        sampled = history[: rng.randint(0, len(history))]
        assert ids(kept, sampled) == ids(small.constraint(), sampled)


@pytest.mark.parametrize("after", [0, 10**6, 2**40, END, GAP])
def test_nothing_comes_after_an_end_token_or_an_id_that_has_no_text(small: Grammar, after: int) -> None:
    whole = [PIECES.index(b"{}")]
    assert ids(small.constraint(), whole) == {END, OTHER_END}
    assert ids(small.constraint(), [*whole, after]) == set()
    assert ids(small.constraint(), [PIECES.index(b"{"), after, PIECES.index(b"}")]) == set()


def test_a_model_without_end_tokens_never_ends() -> None:
    endless = Grammars(Listed([b"{", b"}"], {7})).json_object.constraint()
    assert ids(endless, [0]) == {1}
    assert ids(endless, [0, 1]) == set()


def test_an_end_token_with_a_text_ends_the_message_and_writes_nothing() -> None:
    constraint = Grammars(Listed([b"{", b"}", b" "], {2})).json_object.constraint()
    assert ids(constraint, [0]) == {1}
    assert ids(constraint, [0, 1]) == {2}
    assert ids(constraint, [0, 2]) == ids(constraint, [0, 2, 1]) == set()


def check_object(vocabulary: Vocabulary, tokens: Sequence[int], ended: bool) -> None:
    text = joined(vocabulary, tokens)
    if ended:
        assert isinstance(json.loads(text, parse_constant=refuse), dict)
    assert verdict(text) == ("whole" if ended else verdict(text))
    assert verdict(text) != "neither", text


@pytest.mark.parametrize("seed", range(40))
def test_byte_tokens(seed: int) -> None:
    tokenizer = byte_tokenizer('{"', "true", '": ', "  \n  ", "é")
    vocabulary = Vocabulary(tokenizer, {tokenizer.eos_token_id})
    grammar = Grammars(vocabulary).json_object
    tokens, ended = written(grammar, vocabulary, seed, 80)
    check_object(vocabulary, tokens, ended)


def test_llama3(llama3: Grammars) -> None:
    ended = 0
    for seed in range(40):
        tokens, done = written(llama3.json_object, llama3.vocabulary, seed, 40)
        check_object(llama3.vocabulary, tokens, done)
        ended += done
    assert 5 <= ended < 40


def test_llama3s_masks_token_by_token(llama3: Grammars, llama3_tokenizer: PreTrainedTokenizerFast) -> None:
    """A hundred tokens at a time, allowed or not, after the tokens of an object with all kinds of values."""
    text = '{"naïve 🙂": [1.5e-3, -0, true, null, {}], "\\u00e9\\n": {"a": "b\\"c"},\n    "z": ""}'
    sampled = llama3_tokenizer(text, add_special_tokens=False).input_ids
    constraint, rng = llama3.json_object.constraint(), random.Random(0)
    for place in range(len(sampled) + 1):
        allowed = ids(constraint, sampled[:place])
        spelled = joined(llama3.vocabulary, sampled[:place])
        for token in [*rng.sample(range(128_000), 50), *rng.sample(sorted(allowed), min(50, len(allowed)))]:
            if token not in llama3.vocabulary.end_ids:
                fits = verdict(spelled + (llama3.vocabulary.bytes_of(token) or b"")) != "neither"
                assert (token in allowed) == fits
        special = {token for token in allowed if token >= 128_000}
        assert special == (set(llama3.vocabulary.end_ids) if place == len(sampled) else set())


PERSON = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 5},
        "age": {"type": "integer", "minimum": 0, "maximum": 150},
        "tags": {"type": "array", "items": {"enum": ["a", "b", 3, None]}, "minItems": 1, "maxItems": 3},
    },
    "required": ["name", "age"],
    "additionalProperties": False,
}
TREE = {
    "$defs": {
        "node": {
            "type": "object",
            "properties": {"v": {"type": "boolean"}, "next": {"$ref": "#/$defs/node"}},
            "required": ["v"],
            "additionalProperties": False,
        }
    },
    "$ref": "#/$defs/node",
}
SCHEMAS: list[dict[str, Any]] = [
    PERSON,
    TREE,
    {"type": "integer"},
    {"type": "array", "items": {"type": "number"}, "maxItems": 4},
    {"enum": ["red", "green", 1, None, ["x"]]},
    {"anyOf": [{"type": "boolean"}, {"type": "string", "pattern": "^[a-c]{2,4}$"}]},
    {"type": "object", "additionalProperties": {"type": "null"}},
    {},
]


@pytest.mark.parametrize("schema", SCHEMAS, ids=lambda schema: str(schema)[:30])
def test_values_fit_their_schema(schema: dict[str, Any]) -> None:
    tokenizer = byte_tokenizer('{"', "true", '": ', '", "', "name")
    vocabulary = Vocabulary(tokenizer, {tokenizer.eos_token_id})
    grammar = Grammars(vocabulary).json_schema(schema)
    ended = 0
    for seed in range(20):
        tokens, done = written(grammar, vocabulary, seed, 150)
        if done:
            text = joined(vocabulary, tokens).decode()
            assert text == text.strip()
            jsonschema.validate(json.loads(text, parse_constant=refuse), schema)
        ended += done
    assert ended >= 5


def nested(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(levels):
        schema = {"type": "object", "properties": {"a": schema}, "required": ["a"]}
    return schema


def looped() -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "array"}
    schema["items"] = schema
    return schema


CHOICES = [
    {"anyOf": [{"type": "object", "properties": {f"{i}{j}": {}}} for j in range(2)]} for i in range(24)
]
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "no such type": ({"type": "objekt"}, "Invalid type: objekt"),
    "type of another kind": ({"type": 5}, "type must be a string"),
    "properties of another kind": ({"properties": "x"}, "properties must be an object"),
    "no schema": ({"properties": {"a": 5}}, "schema must be an object or boolean"),
    "contradiction": ({"type": "string", "enum": [1]}, "a schema that a finite text fits"),
    "no length": ({"type": "string", "minLength": 3, "maxLength": 2}, r"minLength \(3\) is greater"),
    "no number": ({"type": "number", "minimum": 3, "maximum": 2}, r"minimum \(3\) is greater"),
    "unsupported": ({"not": {}}, "Unimplemented keys"),
    "regular expression": ({"type": "string", "pattern": "("}, "unclosed group"),
    "too deep": (nested(60), "a JSON object of at most 100 levels"),
    "far too deep": (nested(5000), "a JSON object"),
    "in itself": (looped(), "a JSON object"),
    "too many combinations": ({"allOf": CHOICES}, "at most 5000 parts"),
    "NaN": ({"const": float("nan")}, "a JSON object"),
    "no JSON": ({"const": {1, 2}}, "a JSON object"),
    "lone surrogate": ({"const": "\ud800"}, "surrogates not allowed"),
    "huge number": ({"type": "integer", "minimum": 10**400}, r"up to 10\^18"),
    "number of many digits": ({"const": 1e-30}, "at most 20 digits|more than 20 digits"),
    "integer that is no double": ({"enum": [1, 2**53 + 1]}, "integers that no double is"),
    "options": ({"type": "object", "x-guidance": {"lenient": True}}, "left out"),
    "options within": ({"items": {"x-guidance": {"lenient": True}}}, "items.x-guidance: .* left out"),
    "unknown draft": ({"$schema": "https://example.com/schema"}, "a draft from 4 to 2020-12"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_can_not_be_served_is_refused_by_name(case: str) -> None:
    schema, message = REFUSED[case]
    with pytest.raises(InvalidRequest, match=message) as caught:
        Grammars(SMALL).grammar("json_schema", schema)
    assert caught.value.param.startswith("response_format.json_schema.schema")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "string", "pattern": "^(.*a.{20})+$"},
        {"type": "string", "pattern": "((a{1000}){1000}){1000}"},
        {"type": "string", "maxLength": 10**9},
        {"type": "array", "minItems": 10**9},
        {"anyOf": [{"type": "string", "pattern": f"^.*{chr(97 + i)}.{{{20 + i}}}$"} for i in range(24)]},
    ],
    ids=lambda schema: str(schema)[:40],
)
def test_a_costly_schema_never_raises(schema: dict[str, Any], llama3: Grammars) -> None:
    """It goes on, or it gets stuck and allows nothing."""
    grammar = llama3.json_schema(schema)
    constraint, tokens, rng = grammar.constraint(), [], random.Random(0)
    for _ in range(40):
        allowed = sorted(ids(constraint, tokens))
        if not allowed:
            break
        tokens.append(rng.choice(allowed))


def test_text_has_no_grammar_and_an_object_has_one_for_all() -> None:
    grammars = Grammars(SMALL)
    assert grammars.grammar("text") is None
    assert grammars.grammar("json_object") is grammars.grammar("json_object")
    assert grammars.grammar("json_schema", PERSON) is not grammars.grammar("json_schema", PERSON)


def test_choices_in_many_threads(llama3: Grammars) -> None:
    """Each thread with a constraint of its own writes what it writes alone."""

    def write(seed: int) -> list[int]:
        return written(llama3.json_object, llama3.vocabulary, seed, 30)[0]

    with ThreadPoolExecutor(4) as pool:
        assert [*pool.map(write, range(8))] == [*map(write, range(8))]


def test_without_llguidance_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any, **more: Any) -> Any:
        if name == "llguidance":
            raise ModuleNotFoundError("No module named 'llguidance'", name=name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    assert Grammars(SMALL).grammar("text") is None
    with pytest.raises(InvalidRequest, match=r"pip install 'sampling-reference\[json\]'") as caught:
        Grammars(SMALL).grammar("json_object")
    assert caught.value.param == "response_format.type"


def test_llguidance_is_imported_when_it_is_needed() -> None:
    code = "import sys, sampling.text, sampling.chat.completion; sys.exit('llguidance' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


BAD = {"type": "string", "pattern": "("}
FAULTS: list[tuple[dict[str, Any], str, object]] = [
    ({"properties": {"name": BAD}}, ".properties.name.pattern", "("),
    ({"properties": {"ok": {}, "name": {"not": {"type": "null"}}}}, ".properties.name.not", {"type": "null"}),
    ({"properties": {"a": {"items": {"type": "strin"}}}}, ".properties.a.items.type", "strin"),
    ({"properties": {"a": {"uniqueItems": True}}}, ".properties.a.uniqueItems", True),
    ({"properties": {"a": {"anyOf": [{"type": "string"}, BAD]}}}, ".properties.a.anyOf.1.pattern", "("),
    ({"$ref": "#/$defs/X", "$defs": {"X": {"properties": {"b": BAD}}}}, ".$defs.X.properties.b.pattern", "("),
    (
        {"properties": {"a": {"$ref": "#/definitions/a~1b"}}, "definitions": {"a/b": BAD}},
        ".definitions.a/b.pattern",
        "(",
    ),
    (
        {
            "properties": {"a": {"$ref": "#/$defs/N"}},
            "$defs": {"N": {"properties": {"next": {"$ref": "#/$defs/N"}, "v": {"not": {}}}}},
        },
        ".$defs.N.properties.v.not",
        {},
    ),
    (
        {"allOf": [{"properties": {"a": {"minimum": "x", "type": "integer"}}}]},
        ".allOf.0.properties.a.minimum",
        "x",
    ),
    ({"not": {}}, "", {"not": {}}),
]


@pytest.mark.parametrize(("schema", "path", "value"), FAULTS, ids=[path for _, path, _ in FAULTS])
def test_the_part_of_a_schema_that_is_refused_is_named(
    schema: dict[str, Any], path: str, value: object
) -> None:
    with pytest.raises(InvalidRequest, match="a schema that llguidance supports") as caught:
        Grammars(SMALL).grammar("json_schema", schema)
    assert caught.value.param == f"response_format.json_schema.schema{path}"
    assert caught.value.value == value
    assert "%24" not in str(caught.value)


def test_a_reference_is_shown_as_it_was_written() -> None:
    text = schema_grammar({"properties": {"a": {"$ref": "#/$defs/X"}}, "$defs": {"X": {"type": "null"}}})
    assert "#/$defs/X" in text


def test_a_large_schema_is_refused_without_very_many_trials(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []
    trial = grammar_module.refusal_by_trial
    monkeypatch.setattr(grammar_module, "refusal_by_trial", lambda one: asked.append(one) or trial(one))
    wide = {"properties": {**{f"p{number}": {} for number in range(300)}, "last": BAD}}
    with pytest.raises(InvalidRequest) as caught:
        Grammars(SMALL).grammar("json_schema", wide)
    assert caught.value.param == "response_format.json_schema.schema"
    assert len(asked) <= 65
