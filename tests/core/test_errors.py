"""Errors are one short line, whatever was sent, and still name the field, the value and what is allowed."""

from __future__ import annotations

import json
import pickle
import time
from collections import UserString

import pytest

from sampling import load
from sampling.chat.request import ChatRequest
from sampling.cli.main import main
from sampling.core.errors import (
    CheckpointError,
    InvalidRequest,
    RowError,
    listed,
    printable,
    shortened,
    shown,
)
from sampling.core.params import SamplingParams

LONG = 300_000
QUESTION = [{"role": "user", "content": "x"}]


def nested(levels: int) -> object:
    """Lists in lists."""
    value: object = []
    for _ in range(levels):
        value = [value]
    return value


VALUES = [
    "x" * LONG,
    "\x00" * LONG,
    "\ud800" * LONG,
    "\U0001f600" * LONG,
    b"\xff" * LONG,
    10**LONG,
    -(10**LONG),
    ["x" * LONG] * 1000,
    [0] * LONG,
    ("x",) * LONG,
    {"x" * LONG: 1},
    {str(index): [index] for index in range(LONG)},
    nested(LONG),
    {"a": {"b": [{"c" * LONG: nested(1000)}]}},
]
IDS = [f"{index}-{type(value).__name__}" for index, value in enumerate(VALUES)]


@pytest.mark.parametrize("value", VALUES, ids=IDS)
def test_the_message_is_short_and_names_the_field_and_what_is_allowed(value):
    message = str(InvalidRequest("top_p", value, "a number from 0 to 1"))
    assert message.startswith("top_p: got ")
    assert message.endswith(", must be a number from 0 to 1")
    assert len(message) <= 130
    assert message.isprintable()


@pytest.mark.parametrize(
    "value", ["short", 7, -1.5, None, True, [], (), (1,), [1, "2"], {"a": {"b": (1, [2])}}, b"\x00"]
)
def test_a_short_value_is_shown_as_python_writes_it(value):
    assert shown(value) == repr(value)


def test_a_long_value_is_shown_as_python_begins_to_write_it():
    for value in ([*range(1000)], {index: str(index) for index in range(1000)}, "it's\n" * 1000, 10**200):
        assert shown(value) == repr(value)[:77] + "..."


def test_to_show_a_value_takes_no_longer_when_it_is_large():
    """A hundred thousand times the text in less than a thousand times the time, which leaves room for a busy machine."""

    def fastest(value):
        times = []
        for _ in range(20):
            started = time.perf_counter()
            shown(value)
            times.append(time.perf_counter() - started)
        return min(times)

    assert fastest([["x" * 100] * 1000] * 1000) < 1000 * fastest([["x"]])


def test_a_value_that_can_not_be_shown_hides_no_error():
    class Silent:
        def __repr__(self):
            raise RuntimeError

    assert str(InvalidRequest("n", Silent(), "an integer")) == (
        "n: got Silent that cannot be shown, must be an integer"
    )


REQUESTS = [
    ({"x" * LONG: 1}, "xxx"),
    ({"x" * LONG: "y" * LONG}, "xxx"),
    ({"\x1b[2J\n" * LONG: "v"}, r"\x1b[2J\n"),
    ({"model": ["m" * LONG]}, "model"),
    ({"stop": ["s" * LONG] * 3}, "stop"),
    ({"stop": {"s" * LONG: 1}}, "stop"),
    ({"logit_bias": {"9" * LONG: 1}}, "logit_bias"),
    ({"logit_bias": {"5": "b" * LONG}}, "logit_bias[5]"),
    ({"temperature": "t" * LONG}, "temperature"),
    ({"seed": 10**LONG}, "seed"),
    ({"messages": [{"role": "r" * LONG, "content": ""}]}, "messages[0].role"),
    ({"messages": [{"role": "user", "content": "", "k" * LONG: ""}]}, "messages[0].kkk"),
    ({"messages": [{"role": "user", "content": ["c" * LONG]}]}, "messages[0].content"),
    (
        {"response_format": {"type": "json_schema", "json_schema": {"k" * LONG: 1}}},
        "response_format.json_schema.k",
    ),
    ({"response_format": {"type": "f" * LONG}}, "response_format.type"),
    ({"stream_options": {"k" * LONG: nested(1000)}}, "stream_options.k"),
]


@pytest.mark.parametrize(("fields", "param"), REQUESTS, ids=[str(index) for index in range(len(REQUESTS))])
def test_a_request_of_any_size_gets_a_short_error(fields, param):
    with pytest.raises(InvalidRequest) as refused:
        ChatRequest.parse({"messages": QUESTION, **fields})
    assert len(str(refused.value)) <= 500
    assert str(refused.value).isprintable()
    assert refused.value.param.startswith(param)
    assert str(refused.value).startswith(f"{refused.value.param}: got ")
    assert len(refused.value.param) <= 100
    assert " must be " in str(refused.value)


@pytest.mark.parametrize("kind", [CheckpointError, RowError])
def test_errors_of_one_text_are_short_too_and_keep_both_ends(kind):
    message = str(kind("/models/" + "folder/" * 1000 + "config.json: \x1b[2J vocab_size: got\n7, must be 8"))
    assert len(message) == 500
    assert message.startswith("/models/folder/")
    assert message.endswith(r"config.json: \x1b[2J vocab_size: got\n7, must be 8")


def test_a_short_error_crosses_the_border_of_a_process_as_it_is():
    error = InvalidRequest("f" * 1000, ["v" * 1000], "w" * 1000)
    copy = pickle.loads(pickle.dumps(error))
    assert (str(copy), copy.param, copy.allowed) == (str(error), error.param, error.allowed)


def test_a_list_of_names_shows_the_first_and_their_number():
    assert listed(["a", "b"]) == "a, b"
    assert listed([]) == ""
    words = listed([f"model-{index}" for index in range(1000)])
    assert words.startswith("model-0, model-1, ")
    assert words.endswith(", ... (1000 in all)")
    assert len(words) <= 150
    assert len(listed(["m" * LONG] * 3)) <= 150


def test_a_text_is_cut_in_the_middle():
    assert shortened("abcdefghij", 10) == "abcdefghij"
    assert shortened("abcdefghijk", 10) == "abcd...ijk"


def test_what_is_printable_stays():
    assert printable("Straße \U0001f600 中") == "Straße \U0001f600 中"
    assert printable("a\nb\x7f\ud800\u202e") == r"a\nb\x7f\ud800\u202e"


def test_the_value_is_kept_whole():
    value = UserString("u" * LONG)
    assert InvalidRequest("user", value, "text").value is value


def test_parameters_from_python_get_short_errors():
    with pytest.raises(InvalidRequest) as refused:
        SamplingParams(temperature="t" * LONG)
    assert len(str(refused.value)) <= 200


def test_a_checkpoint_gets_short_errors(tmp_path):
    for value in ("x" * LONG, ["x" * LONG], {"x" * LONG: 1}):
        (tmp_path / "config.json").write_text(
            json.dumps({"model_type": "llama", "num_attention_heads": value})
        )
        with pytest.raises(CheckpointError) as refused:
            load(tmp_path)
        assert len(str(refused.value)) <= 500
        assert str(tmp_path) in str(refused.value)
        assert "num_attention_heads: got " in str(refused.value)


COMMANDS = [
    ["x" * LONG],
    ["chat", "hello", "--" + "x" * LONG],
    ["chat", "hello", "--temperature", "x" * LONG],
    ["chat", "hello", "--logit-bias", "[" + "1," * LONG],
    ["chat", "hello", "--dialect", "\n" * LONG],
    ["chat", "hello", "--model", "/" + "x/" * LONG],
    ["serve", "--served-model-name", *["x" * 1000] * 300, "--host", "y" * LONG],
    ["verify", "x" * LONG],
]


@pytest.mark.parametrize("command", COMMANDS, ids=[str(index) for index in range(len(COMMANDS))])
def test_the_command_line_gives_short_errors(capsys, command):
    try:
        code = main(command)
    except SystemExit as end:  # as argparse ends
        code = end.code
    printed = capsys.readouterr()
    assert (code, printed.out) == (2, "")
    assert printed.err.count("\n") == 1
    assert len(printed.err) <= 600
