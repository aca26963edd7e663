"""Requests that are refused, each with its message."""

import math

import pytest
from scripted import saying

from sampling.chat.request import ChatRequest
from sampling.core.errors import InvalidArgument, InvalidRequest

ASK = [{"role": "user", "content": "?"}]

STOP = "must be a list of at most 4 strings of 1 to 1024 characters, or one such string"

REFUSED = [
    ({"temperature": 2.1}, "temperature: got 2.1, must be a number from 0 to 2"),
    ({"temperature": math.nan}, "temperature: got nan, must be a number from 0 to 2"),
    ({"temperature": True}, "temperature: got True, must be a number from 0 to 2"),
    ({"top_p": -0.1}, "top_p: got -0.1, must be a number from 0 to 1"),
    ({"frequency_penalty": "1"}, "frequency_penalty: got '1', must be a number from -2 to 2"),
    ({"presence_penalty": math.inf}, "presence_penalty: got inf, must be a number from -2 to 2"),
    ({"logprobs": True, "top_logprobs": 21}, "top_logprobs: got 21, must be an integer from 0 to 20"),
    ({"top_logprobs": 3}, "top_logprobs: got 3, must be left out (or 0) unless logprobs is true"),
    ({"logit_bias": {"5": 101}}, "logit_bias[5]: got 101, must be a number from -100 to 100"),
    ({"logit_bias": {"x": 1}}, "logit_bias: got 'x', must be keyed by token ids, integers of at least 0"),
    ({"logit_bias": {"7": 1, 7: 1}}, "logit_bias: got 7, must be given once: token id 7 appears twice"),
    ({"stop": ["a", "b", "c", "d", "e"]}, STOP),
    ({"stop": [""]}, f"stop: got [''], {STOP}"),
    ({"stop": ""}, f"stop: got '', {STOP}"),
    ({"stop": 1}, f"stop: got 1, {STOP}"),
    ({"n": 0}, "n: got 0, must be an integer from 1 to 1024"),
    ({"n": 10**12}, "n: got 1000000000000, must be an integer from 1 to 1024"),
    ({"temperature": 10**400}, "must be a number from 0 to 2"),
    ({"stop": ["\ud800"]}, "stop[0]: got '\\ud800', must be valid Unicode"),
    ({"model": "\ud800"}, "model: got '\\ud800', must be valid Unicode"),
    ({"max_tokens": 0}, "max_tokens: got 0, must be an integer from 1 to 2147483647"),
    ({"max_tokens": 2.5}, "max_tokens: got 2.5, must be an integer from 1 to 2147483647"),
    ({"seed": 2**64}, "must be an integer from -9223372036854775808 to 18446744073709551615"),
    ({"max_tokens": 10**400}, "must be an integer from 1 to 2147483647"),
    ({"max_tokens": 10**5000}, "max_tokens: got an integer of about 5000 digits, must be an integer from 1"),
    ({"stop": ["x" * 1025]}, STOP),
    ({"stop": "x" * 1025}, STOP),
    ({"stop": "\ud800"}, "stop: got '\\ud800', must be valid Unicode"),
    ({"stream": "yes"}, "stream: got 'yes', must be true or false"),
    ({"stream_options": {}}, "stream_options: got {}, must be left out unless stream is true"),
    ({"stream_options": {"usage": True}}, "stream_options.usage: got True, must be left out"),
    ({"stream_options": {"include_usage": 1}}, "stream_options.include_usage: got 1, must be true or false"),
    ({"response_format": "text"}, "response_format: got 'text', must be an object with type, json_schema"),
    (
        {"response_format": {"type": "xml"}},
        "response_format.type: got 'xml', must be one of text, json_object",
    ),
    ({"response_format": {"type": []}}, "response_format.type: got [], must be one of text, json_object"),
    (
        {"response_format": {"type": "text", "strict": True}},
        "response_format.strict: got True, must be left out",
    ),
    (
        {"response_format": {"type": "json_object", "json_schema": {}}},
        "response_format.json_schema: got {}, must be left out unless the type is json_schema",
    ),
    (
        {"response_format": {"type": "json_schema"}},
        "response_format.json_schema: got None, must be an object",
    ),
    (
        {"response_format": {"type": "json_schema", "json_schema": {"schema": "object"}}},
        "response_format.json_schema.schema: got 'object', must be a JSON schema, an object",
    ),
    ({"temprature": 1}, "temprature: got 1, must be left out: there is no such field"),
    ({"messages": []}, "messages: got [], must be a list of 1 to 4096 messages"),
    ({"messages": "hi"}, "messages: got 'hi', must be a list of 1 to 4096 messages"),
    ({"messages": ASK * 4097}, "messages: got '4097 messages', must be a list of 1 to 4096 messages"),
    ({"\ud800": 1}, "\\ud800: got 1, must be left out: there is no such field"),
    (
        {"messages": [{"role": "robot", "content": ""}]},
        "messages[0].role: got 'robot', must be one of system, user",
    ),
    ({"messages": [{"role": "user"}]}, "messages[0].content: got None, must be a string"),
    ({"messages": [{"role": "user", "content": "\ud800"}]}, "messages[0].content"),
    (
        {"messages": [*ASK, {"role": "user", "content": "a", "nmae": "b"}]},
        "messages[1].nmae: got 'b', must be left out",
    ),
]


@pytest.mark.parametrize(("fields", "message"), REFUSED, ids=[str(index) for index in range(len(REFUSED))])
def test_bad_fields_are_refused_by_name(fields, message):
    with pytest.raises(InvalidRequest) as caught:
        saying(["a"]).chat(**{"messages": ASK, **fields})
    assert message in str(caught.value)
    assert caught.value.param.split("[")[0].split(".")[0] in ("\\ud800", *fields)


def test_bias_on_an_id_past_the_logits_is_refused_by_name():
    model = saying(["a"])
    width = model.model.config.vocab_size
    with pytest.raises(InvalidRequest, match=f"logit_bias: got {width}, must be token ids below {width}"):
        model.chat(ASK, logit_bias={str(width): 1})
    model.chat(ASK, logit_bias={str(width - 1): -1})


def test_messages_left_out_is_refused():
    with pytest.raises(InvalidRequest, match="messages"):
        ChatRequest.parse({})


def test_null_counts_as_left_out():
    request = ChatRequest.parse({"messages": ASK, "stop": None, "seed": None, "max_tokens": None})
    assert (request.stop, request.params.seed, request.max_tokens) == ((), None, None)


def test_unknown_dialect_is_refused():
    with pytest.raises(InvalidArgument, match=r"dialect: got 'vlm', must be one of qstash, openai"):
        saying(["a"]).chat(ASK, dialect="vlm")


def test_numbers_are_read_as_json_has_them():
    request = ChatRequest.parse(
        {"messages": ASK, "temperature": 1, "logit_bias": {"12": -1}, "seed": -(2**63)}
    )
    assert request.params.logit_bias == {12: -1.0}
    assert request.params.seed == -(2**63)
