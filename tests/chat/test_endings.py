"""Where a choice ends or goes on, as vLLM and SGLang have it, and usage in every chunk."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from chatting import CHATTING
from pages import ASK, PROMPT_TOKENS, joined
from scripted import byte_tokenizer, saying, scripted

from sampling.core.errors import InvalidRequest

ENGINES = ("vllm-0.4", "vllm", "vllm-v1", "sglang")
EOS = 257  # of a byte tokenizer without merged tokens


def answer(
    pieces: list[str], how: str, *, end: bool = True, stream: bool = False, **fields: Any
) -> dict[str, Any]:
    """The response, or what its chunks add up to."""
    fields |= {"stream_options": {"include_usage": True}} if stream else {}
    response = saying(pieces, end=end).chat(ASK, dialect=how, stream=stream, **fields)
    return joined(response) if stream else response


def told(response: dict[str, Any]) -> tuple[Any, ...]:
    """Content, reasons and number of tokens."""
    (choice,) = response["choices"]
    tokens = response["usage"]["completion_tokens"]
    return choice["message"]["content"], choice["finish_reason"], choice["stop_reason"], tokens


@pytest.mark.parametrize("how", ENGINES)
@pytest.mark.parametrize("stream", [False, True])
def test_ignored_end_tokens_are_sampled_and_say_nothing(how: str, stream: bool):
    """The script says a, b and then end tokens for ever."""
    assert told(answer(["a", "b"], how, stream=stream, max_tokens=6)) == ("ab", "stop", None, 3)
    going_on = answer(["a", "b"], how, stream=stream, max_tokens=6, ignore_eos=True)
    assert told(going_on) == ("ab", "length", None, 6)


@pytest.mark.parametrize("how", ENGINES)
@pytest.mark.parametrize("stream", [False, True])
def test_stop_tokens_end_a_choice_and_are_its_reason(how: str, stream: bool):
    fields: dict[str, Any] = {"stream": stream, "max_tokens": 6, "stop_token_ids": [ord("b"), ord("x")]}
    assert told(answer(["a", "b", "c"], how, **fields)) == ("a", "stop", ord("b"), 2)
    # vLLM's scheduler ends at them in any case, SGLang's looks at no token under ignore_eos
    ignoring = told(answer(["a", "b", "c"], how, **fields, ignore_eos=True))
    assert ignoring == (("abc", "length", None, 6) if how == "sglang" else ("a", "stop", ord("b"), 2))
    # an end token is none of them, also where a request says so
    assert told(answer(["a"], how, stream=stream, stop_token_ids=[EOS])) == ("a", "stop", None, 2)


def test_stop_tokens_are_ids_of_the_vocabulary():
    with pytest.raises(InvalidRequest, match="stop_token_ids: got 258, must be token ids below 258"):
        answer(["a"], "vllm", stop_token_ids=[258])
    answer(["a"], "vllm", stop_token_ids=[EOS, 0])


@pytest.mark.parametrize("how", ENGINES)
@pytest.mark.parametrize("stream", [False, True])
def test_nothing_ends_a_choice_before_its_least_tokens(how: str, stream: bool):
    """The model wants to end after a, or to say b, which is a stop token: for three tokens it must not."""
    fields: dict[str, Any] = {"stream": stream, "max_tokens": 5, "temperature": 0, "min_tokens": 3}
    _, reason, stop_reason, tokens = told(answer(["a"], how, **fields))
    assert (reason, stop_reason, tokens) == ("stop", None, 4)
    content, reason, stop_reason, tokens = told(
        answer(["b"], how, end=False, **fields, stop_token_ids=[ord("b")])
    )
    assert (reason, stop_reason, tokens) == ("stop", ord("b"), 4)
    assert "b" not in content


@pytest.mark.parametrize("how", ENGINES)
def test_as_many_as_the_most_is_the_most_that_can_be_the_least(how: str):
    assert told(answer(["a"], how, temperature=0, max_tokens=3, min_tokens=3))[1:] == ("length", None, 3)
    with pytest.raises(
        InvalidRequest, match="min_tokens: got 4, must be at most 3, the most tokens of a choice"
    ):
        answer(["a"], how, max_tokens=3, min_tokens=4)
    room = 200 - PROMPT_TOKENS
    with pytest.raises(InvalidRequest, match=f"min_tokens: got {room + 1}, must be at most {room}"):
        answer(["a"], how, min_tokens=room + 1)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("stop", "least", "now", "then"),
    [
        ("ab", 1, "", ""),
        ("ab", 2, "ab", ""),  # completed by the second token
        ("ab", 3, "ab", "ab"),  # begun in the third token, completed by the fourth
        ("ba", 2, "a", "a"),  # begun in the second token, completed by the third
        ("b", 2, "aba", "a"),
        ("aba", 3, None, ""),
        ("abab", 4, None, ""),
    ],
)
def test_vllm_looks_for_stop_strings_behind_the_least_tokens(
    stream: bool, stop: str, least: int, now: str | None, then: str
):
    """It counts if its end is behind the first min_tokens tokens, in 0.4 also in the last of them; in SGLang always.

    Source: vLLM 0.32, detokenizer.py; vLLM 0.4.3, stop_checker.py; SGLang 0.5.23, schedule_batch.py.
    """
    at_once = "abab"[: "abab".find(stop)]
    for how, content in (("vllm", now), ("vllm-v1", now), ("vllm-0.4", then), ("sglang", at_once)):
        got = told(
            answer(["a", "b", "a", "b"], how, stream=stream, stop=stop, min_tokens=least, temperature=0)
        )
        assert got[:3] == (("abab", "stop", None) if content is None else (content, "stop", stop)), how


@pytest.mark.parametrize("how", ENGINES)
@pytest.mark.parametrize("field", [{"ignore_eos": True}, {"min_tokens": 1}])
def test_a_json_object_can_not_go_on(how: str, field: dict[str, Any]):
    (name,) = field
    with pytest.raises(
        InvalidRequest, match=f"{name}: got .*must be left out with a response_format other than text"
    ):
        answer(["{", "}"], how, response_format={"type": "json_object"}, **field)
    answer(["{", "}"], how, response_format={"type": "json_object"}, ignore_eos=False, min_tokens=0)
    answer(["a"], how, response_format={"type": "text"}, max_tokens=3, **field)


@pytest.mark.parametrize("stream", [False, True])
def test_every_token_has_an_entry_in_vllm_also_one_without_text(stream: bool):
    """Its server lists what was sampled: a, an ignored end token, b."""
    script = torch.full((3, EOS + 1), -20.0)
    script[[0, 1, 2], [ord("a"), EOS, ord("b")]] = 20.0
    fields: dict[str, Any] = {"ignore_eos": True, "max_tokens": 3, "logprobs": True, "stream": stream}
    for how, expected in (("vllm", ["a", "<eos>", "b"]), ("sglang", ["a", "b"])):
        response = scripted(script, byte_tokenizer()).chat(ASK, dialect=how, **fields)
        (choice,) = (joined(response) if stream else response)["choices"]
        assert choice["message"]["content"] == "ab"
        assert [entry["token"] for entry in choice["logprobs"]["content"]] == expected


# stream_options


def usages(how: str, **options: bool) -> list[Any]:
    """What each chunk of a stream of two choices tells, by the index of its choice; None for the one without."""
    chunks = saying(["a", "b"]).chat(ASK, dialect=how, stream=True, n=2, stream_options=options)
    return [
        (chunk["choices"][0]["index"] if chunk["choices"] else None, chunk.get("usage", "left out"))
        for chunk in chunks
    ]


def counted(tokens: int) -> dict[str, int]:
    return {
        "prompt_tokens": PROMPT_TOKENS,
        "completion_tokens": tokens,
        "total_tokens": PROMPT_TOKENS + tokens,
    }


@pytest.mark.parametrize("how", ["vllm", "vllm-v1", "sglang"])
def test_usage_in_every_chunk(how: str):
    """Role, a, b, end: the choice's own tokens so far; at last the request's."""
    found = usages(how, include_usage=True, continuous_usage_stats=True)
    assert found[-1] == (None, counted(6))
    for index in range(2):
        assert [usage for i, usage in found[:-1] if i == index] == [
            counted(0),
            counted(1),
            counted(2),
            counted(3),
        ]


def test_usage_in_every_chunk_alone():
    """In vLLM only with include_usage (its `should_include_usage`), in SGLang with or without."""
    assert {usage for _, usage in usages("vllm", continuous_usage_stats=True)} == {"left out"}
    found = usages("sglang", continuous_usage_stats=True)
    assert None not in [index for index, _ in found]
    assert found[-1] == (1, counted(3))


@pytest.mark.parametrize("how", CHATTING)
def test_usage_is_at_the_end_wherever_it_is_asked_for(how: str):
    """In the last chunk of a choice, as the page has it, or in one of its own."""
    fields = {"dialect": how, "stream": True, "top_p": 0.9}
    *others, last = saying(["a"]).chat(ASK, **fields, stream_options={"include_usage": True})
    assert last["usage"] == counted(2)
    assert all(chunk["usage"] is None for chunk in others)
    for options in ({"include_usage": False}, {"include_usage": None}, {}):
        without = [*saying(["a"]).chat(ASK, **fields, stream_options=options)]
        plain = [*saying(["a"]).chat(ASK, **fields)]
        assert [chunk.get("usage") for chunk in without] == [chunk.get("usage") for chunk in plain]
