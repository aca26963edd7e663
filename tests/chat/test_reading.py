"""JSON is read strictly: all that is JSON is read as the json module does, and nothing else is let in."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampling.chat.request import ChatRequest
from sampling.core.errors import InvalidRequest
from sampling.core.reading import DEEPEST, read_json

SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=12
)
STYLES = st.fixed_dictionaries(
    {"ensure_ascii": st.booleans(), "indent": st.sampled_from([None, 0, 3, "\t"]), "sort_keys": st.booleans()}
)


@given(VALUES, STYLES)
def test_all_json_is_read(value, style):
    """As text and as bytes: the value that was written, with its types."""
    text = json.dumps(value, **style)
    for given_text in (text, text.encode()):
        got = read_json(given_text)
        assert got == value
        assert repr(got) == repr(json.loads(text))  # 1 and 1.0 and True differ, as do 0.0 and -0.0


JSON_LIKE = st.lists(
    st.sampled_from(
        [
            *'{}[],:"\\ \n1-+.e',
            '"a"',
            "true",
            "null",
            "nul",
            "0",
            "00",
            "1e5",
            "NaN",
            "Infinity",
            "\\u0061",
            "\ufeff",
        ]
    ),
    max_size=9,
).map("".join)


@given(JSON_LIKE | st.text())
def test_any_text_is_read_or_refused(text):
    """What the json module refuses is refused, and so are repeated keys and NaN; there is no other exception."""
    try:
        expected = repr(strict(text))
    except ValueError:
        with pytest.raises(InvalidRequest, match=r"^body: got "):
            read_json(text)
    else:
        assert repr(read_json(text)) == expected


def strict(text: str) -> Any:
    """The json module's reading, refusing what RFC 8259 does not have and what it leaves to chance."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len({key for key, _ in pairs}) < len(pairs):
            raise ValueError(pairs)
        return dict(pairs)

    return json.loads(text, object_pairs_hook=once, parse_constant=float_without_name)


def float_without_name(word: str) -> float:
    raise ValueError(word)


@given(st.binary())
def test_any_bytes_are_read_or_refused(raw):
    try:
        expected = repr(strict(raw.decode("utf-8", errors="strict")))
    except ValueError:
        with pytest.raises(InvalidRequest):
            read_json(raw)
    else:
        assert repr(read_json(raw)) == expected


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ('{"a": 1, "a": 1}', "'a'"),
        ('{"a": 1, "b": 2, "\\u0061": 3}', "'a'"),
        ('{"": 1, "": 2}', "''"),
        ('[{"x": {"n": null, "n": null}}]', "'n'"),
    ],
)
def test_a_key_twice_is_refused_by_name(text, key):
    words = f"body: got {key} twice in one object, must be JSON that names each key once"
    with pytest.raises(InvalidRequest, match=f"^{words}$"):
        read_json(text)


def test_a_key_may_come_again_in_another_object():
    assert read_json('{"a": {"a": [{"a": 1}, {"a": 2}]}, "A": 3}') == {
        "a": {"a": [{"a": 1}, {"a": 2}]},
        "A": 3,
    }


@pytest.mark.parametrize("word", ["NaN", "Infinity", "-Infinity"])
@pytest.mark.parametrize("around", ["{}", "[{}]", '{{"temperature": {}}}'])
def test_numbers_that_json_does_not_have_are_refused(word, around):
    with pytest.raises(InvalidRequest, match=f"^body: got {word}, must be JSON, which has no such number$"):
        read_json(around.format(word))


OPENINGS = [("[", "]"), ('{"a":', "}"), ('[{"b":', "}]"), (' [ "x" , ', " , 1 ] ")]


@pytest.mark.parametrize(("opening", "closing"), OPENINGS)
def test_a_hundred_levels_are_read_and_no_more(opening, closing):
    each = opening.count("[") + opening.count("{")

    def nested(levels: int) -> str:
        return opening * (levels // each) + "0" + closing * (levels // each)

    assert json.dumps(read_json(nested(DEEPEST))) == json.dumps(json.loads(nested(DEEPEST)))
    for levels in (DEEPEST + each, 1000, 1_000_000):
        with pytest.raises(InvalidRequest, match=r"^body: got .*must be JSON of at most 100 levels$"):
            read_json(nested(levels))


def test_depth_is_that_of_the_deepest_place():
    deep = "[" * 99 + "0" + "]" * 99
    assert read_json(f"[{deep}, {deep}]") == [json.loads(deep)] * 2
    with pytest.raises(InvalidRequest, match="at most 100 levels"):
        read_json(f'{{"a": 1, "b": [[], {deep}], "c": 2}}')


@pytest.mark.parametrize("innermost", ["[]", "{}"])
def test_an_empty_list_or_object_is_a_level_too(innermost):
    assert read_json("[" * 99 + innermost + "]" * 99) == json.loads("[" * 99 + innermost + "]" * 99)
    with pytest.raises(InvalidRequest, match="at most 100 levels"):
        read_json("[" * 100 + innermost + "]" * 100)


def test_brackets_in_strings_are_no_levels():
    assert read_json(json.dumps("[" * 10_000)) == "[" * 10_000


@pytest.mark.parametrize(
    "raw",
    [
        b'"\xff"',
        b'"\xc3\x28"',
        b'"\xe4\xb8',  # cut short
        b'"\xc0\xaf"',  # "/" in two bytes
        b'"\xed\xa0\x80"',  # a surrogate
        b'"\xf4\x90\x80\x80"',  # past U+10FFFF
        '"é"'.encode("latin-1"),
    ],
)
def test_bytes_that_are_no_utf_8_are_refused_with_their_place(raw):
    with pytest.raises(InvalidRequest, match=r"^body: got b.*, must be JSON in UTF-8 \(.* at byte 1\)$"):
        read_json(raw)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-be"])
def test_a_byte_order_mark_or_another_encoding_is_refused(encoding):
    """Python's own `json.loads` guesses all of these from bytes; RFC 8259 allows none."""
    raw = '{"n": 1}'.encode(encoding)
    assert json.loads(raw) == {"n": 1}
    with pytest.raises(InvalidRequest, match=r"^body: got "):
        read_json(raw)
    with pytest.raises(InvalidRequest, match=r"^body: got "):
        read_json('\ufeff{"n": 1}')


@pytest.mark.parametrize(
    "text", ["", " ", "{", "[1,]", '{"a": 1,}', "{} {}", "'a'", "01", "1.", "+1", "// 1", '"\t"']
)
def test_what_is_no_json_is_refused(text):
    with pytest.raises(InvalidRequest, match=r"^body: got .*must be JSON"):
        read_json(text)


def test_huge_integers_are_exact_or_refused():
    """Up to what Python reads, an integer keeps all its digits; its field says what is too large."""
    digits = "9" * 4000
    assert read_json(f"[{digits}, -{digits}]") == [int(digits), -int(digits)]
    with pytest.raises(InvalidRequest, match=r"^body: got .*must be JSON \("):
        read_json("9" * 5000)
    with pytest.raises(InvalidRequest, match=r"^seed: got .*must be an integer from"):
        parsed(f'"seed": {digits}')
    assert parsed(f'"seed": {2**64 - 1}').params.seed == 2**64 - 1
    assert parsed(f'"seed": {-(2**63)}').params.seed == -(2**63)


def parsed(fields: str) -> ChatRequest:
    """A request with these fields in its text."""
    body = read_json(f'{{"messages": [{{"role": "user", "content": "?"}}], {fields}}}')
    assert isinstance(body, dict)
    return ChatRequest.parse(body)


def test_a_number_past_the_floats_is_left_to_its_field():
    assert read_json("[1e400, -1e400]") == [math.inf, -math.inf]
    with pytest.raises(InvalidRequest, match=r"^temperature: got inf, must be a number from 0 to 2$"):
        parsed('"temperature": 1e400')
    with pytest.raises(InvalidRequest, match=r"^max_tokens: got inf, must be an integer from 1"):
        parsed('"max_tokens": 1e400')


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        (r'"stop": ["\ud800"]', "stop[0]"),
        (r'"model": "a\udfff"', "model"),
    ],
)
def test_lone_surrogates_are_left_to_their_field(fields, param):
    """They are JSON, by the letter of RFC 8259, but no text: the field that needs text refuses them."""
    assert read_json(r'["\ud800", "\ud83d\ude42"]') == ["\ud800", "🙂"]
    with pytest.raises(
        InvalidRequest, match="must be valid Unicode: a lone surrogate has no UTF-8 bytes"
    ) as refused:
        parsed(fields)
    assert refused.value.param == param


def test_a_lone_surrogate_in_a_message_is_refused_by_its_place():
    body = read_json(r'{"messages": [{"role": "user", "content": "a\ud83d"}]}')
    assert isinstance(body, dict)
    with pytest.raises(InvalidRequest, match="lone surrogate") as refused:
        ChatRequest.parse(body)
    assert refused.value.param == "messages[0].content"


def test_errors_are_short_and_can_be_sent():
    for text in ("[" * 10_000_000, '"' + "x" * 10_000_000, '{"\ud800": 1, "\ud800": 2}', "\ud800"):
        with pytest.raises(InvalidRequest) as refused:
            read_json(text, "request")
        assert refused.value.param == "request"
        assert len(str(refused.value)) < 250
        str(refused.value).encode()
