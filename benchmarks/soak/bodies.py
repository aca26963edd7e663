"""Chat completion requests as text: valid ones, and ones that are broken in every way that JSON, UTF-8 and HTTP allow."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from benchmarks.soak.judge import LARGEST_BODY

PATHS = ("/v1/chat/completions", "/llm/v1/chat/completions")
NAMES = ("sampling-toy", "meta-llama/Meta-Llama-3-8B-Instruct")
MOST_ROWS = 4
MOST_TOKENS = 4

Json = Any


@dataclass(frozen=True)
class Sent:
    """A request as it is sent.

    Args:
        kind: What was done to it.
        body: Its body.
        path: Where it goes.
        headers: Its headers but those that the client adds.
        parts: In how many chunks without a length; 0 for a body with a length.
    """

    kind: str
    body: bytes
    path: str = PATHS[0]
    headers: dict[str, str] = field(default_factory=dict[str, str])
    parts: int = 0


@dataclass(frozen=True)
class Raw:
    """JSON, or what looks like it, word for word."""

    text: str


@dataclass(frozen=True)
class Pairs:
    """An object that may have a key more than once."""

    items: tuple[tuple[str, Json], ...]


def written(value: Json) -> str:
    """A value as JSON text; lone surrogates as escapes."""
    match value:
        case Raw():
            return value.text
        case Pairs():
            return "{" + ", ".join(f"{json.dumps(key)}: {written(item)}" for key, item in value.items) + "}"
        case dict():
            return written(Pairs(tuple(value.items())))
        case list():
            return "[" + ", ".join(map(written, value)) + "]"
        case _:
            return json.dumps(value)


def nested(levels: int, opening: str = "[", closing: str = "]", inside: str = "1") -> Raw:
    """A value so many levels deep."""
    return Raw(opening * levels + inside + closing * levels)


def short_text(size: int = 20) -> SearchStrategy[str]:
    """Text of any characters that UTF-8 can hold."""
    return st.text(st.characters(codec="utf-8"), max_size=size)


def json_schema_format(schema: Json) -> Json:
    """The response format of a JSON schema."""
    return {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}


def both(fields: dict[str, Json], others: dict[str, Json]) -> dict[str, Json]:
    """Fields from two places."""
    return {**fields, **others}


PART = st.fixed_dictionaries({"type": st.just("text"), "text": short_text()})
CONTENT = short_text() | st.lists(PART, min_size=1, max_size=2)
MESSAGES = st.lists(
    st.fixed_dictionaries(
        {"role": st.sampled_from(["system", "user", "assistant"]), "content": CONTENT},
        optional={"name": short_text(5)},
    ),
    min_size=1,
    max_size=3,
)
SCHEMAS = st.sampled_from(
    [
        {"type": "object"},
        {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]},
        {"enum": ["x", 1, None]},
        {"type": "string", "pattern": "^(a+)+$", "maxLength": 3},
        {"$ref": "#/nowhere"},
        {"type": "nonsense"},
        {"not": {}},
        False,
    ]
)
FORMATS = st.one_of(
    st.sampled_from([{"type": "text"}, {"type": "json_object"}]),
    st.builds(json_schema_format, SCHEMAS),
)
IDS = st.integers(0, 2047).map(str)
PENALTY = st.floats(-2, 2) | st.integers(-2, 2)
SHARE = st.floats(0, 1) | st.integers(0, 1)
OPTIONAL: dict[str, SearchStrategy[Json]] = {
    "temperature": st.floats(0, 2) | st.integers(0, 2),
    "top_p": SHARE,
    "frequency_penalty": PENALTY,
    "presence_penalty": PENALTY,
    "repetition_penalty": st.floats(0.5, 2),
    "min_p": SHARE,
    "seed": st.integers(-(2**63), 2**64 - 1),
    "top_k": st.integers(0, 2**31),
    "n": st.integers(1, MOST_ROWS) | st.integers(1, MOST_ROWS).map(float),
    "logit_bias": st.dictionaries(IDS, st.floats(-100, 100) | st.integers(-100, 100), max_size=4),
    "stop": short_text(4).filter(bool) | st.lists(short_text(4).filter(bool), max_size=4),
    "stream": st.booleans(),
    "response_format": FORMATS,
    "stream_options": st.none(),
}
LOGPROBS = st.one_of(
    st.fixed_dictionaries({}, optional={"logprobs": st.booleans()}),
    st.fixed_dictionaries({"logprobs": st.just(value=True), "top_logprobs": st.integers(0, 20)}),
)
REQUIRED = {
    "model": st.sampled_from(NAMES),
    "messages": MESSAGES,
    "max_tokens": st.integers(1, MOST_TOKENS),
}
REQUESTS: SearchStrategy[dict[str, Json]] = st.builds(
    both,
    st.fixed_dictionaries(REQUIRED, optional={name: value | st.none() for name, value in OPTIONAL.items()}),
    LOGPROBS,
)
FIELDS = (*REQUIRED, *OPTIONAL, "logprobs", "top_logprobs", "user", "")

NUMERALS = ("1e999", "-1e999", "1e-999", "NaN", "Infinity", "-Infinity", "-0", "1.0", "1E2", "01", ".5", "+1")
HUGE = ("1" + "0" * 5000, "-" + "9" * 4300, "0." + "1" * 5000, "1" * 400, "1e" + "9" * 500)
NUMBERS = (0, -1, 0.5, -1e-9, 2.000001, 20.5, 2**31, 2**63, 2**64, -(2**63) - 1, 5e-324, 1.7e308)
STRINGS = ("", "1", "true", "\ud800", "a\udfffb", "\udc00\ud800", "\x00", "\ufeff", "é" * 2000, "x" * 1025)
DEPTHS = (10, 95, 98, 99, 100, 101, 500, 2000, 100_000)
WRONG: SearchStrategy[Json] = st.one_of(
    st.sampled_from([None, True, False, [], {}, [[]], [None], {"": None}, ["a"] * 5, [""], ["x"] * 4097]),
    st.sampled_from(NUMERALS + HUGE).map(Raw),
    st.sampled_from(NUMBERS),
    st.sampled_from(STRINGS),
    st.sampled_from(DEPTHS).map(nested),
    st.sampled_from(DEPTHS).map(lambda levels: nested(levels, '{"a":', "}")),
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=8,
    ),
)
KEYS = st.sampled_from(
    ["role", "content", "name", "type", "json_schema", "schema", "0", "2048", "-1", "01", "x", ""]
)

Request = dict[str, Json]
Draw = Callable[[SearchStrategy[Any]], Any]


def replaced(draw: Draw, request: Request) -> Json:
    """A field is wrong."""
    return {**request, draw(st.sampled_from(FIELDS)): draw(WRONG)}


def replaced_inside(draw: Draw, request: Request) -> Json:
    """Something in a message, a format, a list or a table is wrong."""
    name = draw(st.sampled_from(["messages", "response_format", "stop", "logit_bias"]))
    inner = draw(OPTIONAL.get(name, MESSAGES))
    inner = [inner] if isinstance(inner, str) else inner  # one stop string
    if isinstance(inner, list):
        wrong = {**(draw(MESSAGES)[0]), draw(KEYS): draw(WRONG)} if name == "messages" else draw(WRONG)
        return {**request, name: [*inner, wrong]}
    return {**request, name: {**inner, draw(KEYS): draw(WRONG)}}


def dropped(draw: Draw, request: Request) -> Json:
    """A field is not there."""
    name = draw(st.sampled_from(sorted(request)))
    return {key: value for key, value in request.items() if key != name}


def doubled(draw: Draw, request: Request) -> Json:
    """A field comes twice, at the top or in the last message."""
    if draw(st.booleans()):
        name = draw(st.sampled_from(sorted(request)))
        return Pairs((*request.items(), (name, draw(st.just(request[name]) | WRONG))))
    last = request["messages"][-1]
    twice = Pairs((*last.items(), ("content", last["content"])))
    return {**request, "messages": [*request["messages"][:-1], twice]}


def unknown(draw: Draw, request: Request) -> Json:
    """A field that nobody knows, or another model."""
    return {
        **request,
        draw(st.text() | st.sampled_from(["Model", "model ", "max_completion_tokens"])): draw(WRONG),
    }


def other_model(draw: Draw, request: Request) -> Json:
    """A model that is not served."""
    return {**request, "model": draw(st.text())}


def several(draw: Draw, request: Request) -> Json:
    """Several fields are wrong."""
    return {**request, **draw(st.dictionaries(st.sampled_from(FIELDS), WRONG, min_size=2, max_size=5))}


def untouched(_: Draw, request: Request) -> Json:
    """Nothing is wrong."""
    return request


def other_value(draw: Draw, _: Request) -> Json:
    """No object of fields."""
    return draw(WRONG)


def cut(draw: Draw, body: bytes) -> bytes:
    """The end is missing."""
    return body[: draw(st.integers(0, len(body) - 1))]


def changed(draw: Draw, body: bytes) -> bytes:
    """A byte is another one."""
    place = draw(st.integers(0, len(body) - 1))
    return body[:place] + draw(st.binary(min_size=1, max_size=1)) + body[place + 1 :]


def inserted(draw: Draw, body: bytes) -> bytes:
    """Something is in between: broken UTF-8, other characters, half a value."""
    place = draw(st.integers(0, len(body)))
    known = [
        b"\xff",
        b"\xc3(",
        b"\xed\xa0\x80",
        b"\xf4\x90\x80\x80",
        b"\xc0\xaf",
        b"\x00",
        b"\\",
        b"\\ud800",
        b'"',
        b"}",
    ]
    return body[:place] + draw(st.sampled_from(known) | st.binary(max_size=4)) + body[place:]


def encoded(draw: Draw, body: bytes) -> bytes:
    """Not UTF-8, or not as such."""
    text = body.decode()
    ways = [text.encode(name) for name in ("utf-16", "utf-32-le", "utf-8-sig", "utf-7")]
    return draw(st.sampled_from([*ways, gzip.compress(body, mtime=0)]))


def surrounded(draw: Draw, body: bytes) -> bytes:
    """Something before and after: white space is allowed, all else is not."""
    ends = st.sampled_from([b"", b" ", b"\r\n\t", b"\x0b", b"\xc2\xa0", b"{}", b",", b"//", b" " * 70_000])
    return draw(ends) + body + draw(ends)


def junk(draw: Draw, _: bytes) -> bytes:
    """Anything."""
    return draw(
        st.binary(max_size=200) | st.sampled_from([b"", b"null", b"a=1&b=2", b"[" * 100_000, b"{" * 3000])
    )


def large(draw: Draw, body: bytes) -> bytes:
    """As long as is read, a byte longer, and ten megabytes."""
    size = draw(st.sampled_from([LARGEST_BODY - 1, LARGEST_BODY, LARGEST_BODY + 1, 10_000_000]))
    long = {"spaces": body, "string": b'{"model": "', "list": b'{"stop": [', "nothing": b""}[
        draw(st.sampled_from(["spaces", "string", "list", "nothing"]))
    ]
    filler = draw(st.sampled_from([b" ", b"x", b'"",', b"[", b"9", b"\xff"]))
    return (long + filler * (size // len(filler) + 1))[:size]


LARGE = tuple(
    Sent(f"{size} bytes", (start + filler * size)[:size], parts=parts)
    for size in (LARGEST_BODY, LARGEST_BODY + 1, 10_000_000)
    for start, filler in ((b"{}", b" "), (b'{"model": "', b"x"), (b"", b"["))
    for parts in (0, 7)
)

CHANGES = (
    *[untouched] * 4,
    replaced,
    replaced,
    replaced,
    replaced_inside,
    replaced_inside,
    dropped,
    doubled,
    unknown,
    other_model,
    several,
    other_value,
)
DAMAGES = (*(cut, changed, changed, inserted, inserted, encoded, surrounded, junk) * 3, large)
HEADERS = st.fixed_dictionaries(
    {},
    optional={
        "content-type": st.sampled_from(
            [
                "application/json",
                "text/plain",
                "application/x-www-form-urlencoded",
                "multipart/form-data",
                "?",
                "a/b; charset=x",
            ]
        ),
        "content-encoding": st.sampled_from(["gzip", "identity", "br", "x"]),
        "accept": st.sampled_from(["text/event-stream", "*/*", "application/xml", ";q=x"]),
        "authorization": st.sampled_from(["Bearer x", "Bearer", "Basic \xe9", "x" * 5000]),
        "x-request-id": st.text(st.characters(min_codepoint=161, max_codepoint=255), max_size=20),
        "accept-charset": st.sampled_from(["utf-16", "\xff"]),
    },
)


@st.composite
def sent_requests(draw: Draw) -> Sent:
    """A request, valid or broken in one way."""
    change, damage = draw(st.sampled_from(CHANGES)), draw(st.none() | st.sampled_from(DAMAGES))
    if damage is None:
        kind, body = change.__name__, written(change(draw, draw(REQUESTS))).encode()
    else:
        kind, body = damage.__name__, damage(draw, written(draw(REQUESTS)).encode())
    parts = draw(st.sampled_from([0, 0, 0, 1, 7]))
    return Sent(kind, body, draw(st.sampled_from(PATHS)), draw(HEADERS), parts)
