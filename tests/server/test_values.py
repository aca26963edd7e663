"""Very many values are refused before Python reads them, and ordinary requests never are."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from server.live import CHAT

from sampling.core.errors import InvalidRequest
from sampling.server import values
from sampling.server.values import MOST_VALUES, VALUE, require_few_values

TEXTS = st.text(st.sampled_from('a",:[]{}\\\n é\ud800'))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXTS,
    lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner),
)


def count(value: Any) -> int:
    """How many values a value is, keys left aside."""
    held = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + sum(map(count, held))


@given(VALUES, st.booleans(), st.sampled_from([None, 0, 2]))
def test_values_are_counted_as_a_parser_finds_them(value, ascii_only, indent):
    text = json.dumps(value, ensure_ascii=ascii_only, indent=indent).encode(errors="replace")
    assert sum(1 for _ in VALUE.finditer(text)) == count(json.loads(text))


@given(VALUES, st.integers(1, 12))
def test_one_value_more_than_may_be_is_refused(value, most):
    text = json.dumps(value).encode()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(values, "MOST_VALUES", most)
        if count(value) <= most:
            require_few_values(text)
        else:
            with pytest.raises(
                InvalidRequest, match=f"^body: got more than {most} values, must be JSON of at"
            ):
                require_few_values(text)


@pytest.mark.parametrize(
    "broken", [b'"' + b'\\"' * 300_000, b'{"' * 300_000, b'"\\' * 300_001, b'"a",' * 131_072]
)
def test_what_is_no_json_is_counted_in_time_that_grows_with_it(broken):
    """An end that is looked for from every quotation mark would take minutes."""
    with suppress(InvalidRequest):
        require_few_values(broken)


MANY = {
    "lists": b'{"x": [' + b"[]," * 300_000 + b"[]]}",
    "objects": b'{"chat_template_kwargs": {"x": [' + b"{}," * 300_000 + b"{}]}}",
    "numbers": b'{"stop_token_ids": [' + b"1," * 400_000 + b"1]}",
    "strings": b'{"stop": [' + b'"",' * 300_000 + b'""]}',
    "levels": b"[" * 1_000_000,
}


@pytest.mark.parametrize("body", MANY.values(), ids=MANY)
def test_a_body_of_very_many_values_is_refused_unread(server, monkeypatch, body):
    monkeypatch.setattr("sampling.server.values.read_json", lambda _: pytest.fail("it was read"))
    reply = server.send(CHAT, body)
    assert (reply.status, reply.error["param"]) == (400, "body")
    words = f"body: got more than {MOST_VALUES} values, must be JSON of at most {MOST_VALUES} lists, objects,"
    assert reply.error["message"].startswith(words)


def test_a_bias_for_each_token_of_llama_3_may_be_given_and_any_text(server):
    """Both have more commas, or brackets, than a request may have values."""
    require_few_values(json.dumps({"logit_bias": {str(token): -100 for token in range(128_256)}}).encode())
    body = {"messages": [{"role": "user", "content": ",[{" * 100_000}]}
    require_few_values(json.dumps(body).encode())
    assert server.chat([{"role": "user", "content": "x"}], max_tokens=1, user=None).status == 200
