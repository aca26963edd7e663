"""MinTokens against transformers' processor of the same purpose, and in samplers of the dialects that have it."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import MinNewTokensLengthLogitsProcessor

from sampling import History, InvalidArgument, MinTokens, Sampler, SamplingParams
from sampling.dialects import DIALECTS

V = 7
WITH_MIN_TOKENS = ("vllm-0.4", "vllm", "vllm-v1", "sglang")
ids = st.lists(st.integers(0, V - 1), min_size=1, max_size=3)


def history(prompt: list[int], sampled: list[int]) -> History:
    made = History.start([prompt])
    for token in sampled:
        made.accept(torch.tensor([token]))
    return made


@given(
    st.integers(0, 4),
    ids,
    st.lists(st.integers(0, V - 1), max_size=3),
    st.lists(st.integers(0, V - 1), max_size=5),
)
def test_as_transformers_does(least: int, ends: list[int], prompt: list[int], sampled: list[int]) -> None:
    logits = torch.linspace(-1, 2, V)[None]
    theirs = MinNewTokensLengthLogitsProcessor(len(prompt), least, ends, device="cpu")
    expected = theirs(torch.tensor([[*prompt, *sampled]], dtype=torch.int64), logits)
    assert MinTokens(least, ends)(logits, history(prompt, sampled)).tolist() == expected.tolist()


def test_rows_have_their_own_numbers_and_ids() -> None:
    rows = History.start([[], [1, 1], []])
    rows.accept(torch.tensor([0, 0, -1]))
    out = MinTokens([1, 2, 3], [[2], [0, 1], []])(torch.zeros(3, 3), rows)
    assert out.tolist() == [[0, 0, 0], [-math.inf, -math.inf, 0], [0, 0, 0]]
    assert repr(MinTokens([1, 2], [[2], [0, 1]])) == "MinTokens([1, 2], [[2], [0, 1]])"


def test_what_is_no_number_or_id_is_refused() -> None:
    for least, tokens, words in [
        (-1, [0], "min_tokens: got -1, must be an integer from 0"),
        (True, [0], "min_tokens: got True"),
        (1, [-1], r"ids\[0\]: got -1, must be an integer of at least 0"),
        (1, "12", "ids: got '12', must be a list of token ids"),
        ([1, 2, 3], [[0], [1]], "ids: got '2 lists', must be one, or one for each of 3 rows"),
    ]:
        with pytest.raises(InvalidArgument, match=words):
            MinTokens(least, tokens)  # pyright: ignore[reportArgumentType]
    with pytest.raises(InvalidArgument, match="stop_token_ids: got 7, must be token ids below 7"):
        MinTokens(1, [V])(torch.zeros(1, V), history([], []))


@pytest.mark.parametrize("how", WITH_MIN_TOKENS)
def test_a_sampler_takes_no_end_token_before_its_time(how: str) -> None:
    check_no_end_token_before_its_time(how)


@pytest.mark.usefixtures("traced")
def test_nor_does_a_compiled_one() -> None:
    check_no_end_token_before_its_time("vllm", compile=True, max_history=8)


def check_no_end_token_before_its_time(how: str, **options: Any) -> None:
    """Greedy: the end token 3 is the likeliest, a bias cannot bring it back, and the row beside it has no such wish."""
    params = SamplingParams(temperature=0, min_tokens=2, stop_token_ids=[3, 5], logit_bias={3: 100})
    sampler = Sampler([params, SamplingParams(temperature=0)], vocab_size=V, dialect=how, **options)
    logits = torch.tensor([[0.0, 1.0, 4.0, 9.0, 2.0, 8.0, 3.0]] * 2)
    assert [sampler.step(logits).token_ids.tolist() for _ in range(3)] == [[2, 3], [2, 3], [3, 3]]


@pytest.mark.parametrize("how", WITH_MIN_TOKENS)
def test_log_probabilities_of_each_mode(how: str) -> None:
    """Raw ones are the model's; those after temperature know the ban: softmax by hand of [0, -inf, 2] / 2."""
    params = SamplingParams(
        temperature=2.0, seed=1, min_tokens=1, stop_token_ids=[1], logprobs=True, top_logprobs=3
    )
    modes = ["raw", "temperature", "processed"]
    sampler = Sampler([params], vocab_size=3, dialect=how, logprob_modes=modes)
    out = sampler.step(torch.tensor([[0.0, 5.0, 2.0]]))
    raw = torch.log_softmax(torch.tensor([5.0, 2.0, 0.0]), 0).tolist()
    rest = [-math.log(1 + math.exp(-1)), -1 - math.log(1 + math.exp(-1)), -math.inf]
    for mode, tokens, expected in [
        ("raw", [1, 2, 0], raw),
        ("temperature", [2, 0, 1], rest),
        ("processed", [2, 0, 1], rest),
    ]:
        told = out.modes[mode]
        assert told.top_token_ids[0].tolist() == tokens
        assert told.top_logprobs[0].tolist() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("how", DIALECTS)
def test_dialects_without_it_refuse_it(how: str) -> None:
    params = SamplingParams(min_tokens=2, stop_token_ids=[1])
    if how in WITH_MIN_TOKENS:
        Sampler([params], vocab_size=V, dialect=how)
    else:
        with pytest.raises(InvalidArgument, match=r"min_tokens: got 2, must be left out.*--dialect vllm-0.4"):
            Sampler([params], vocab_size=V, dialect=how)


def test_a_row_with_nothing_else_to_sample_says_after_which_stage() -> None:
    params = SamplingParams(min_tokens=1, stop_token_ids=[0, 1], seed=1)
    sampler = Sampler([params, SamplingParams(seed=1)], vocab_size=2, dialect="vllm")
    out = sampler.step(torch.zeros(2, 2))
    assert out.token_ids[0] == -1
    assert sampler.explain(out.status[0]) == "nothing left to sample after min_tokens"
    assert out.token_ids[1] >= 0
