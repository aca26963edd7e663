"""Constraints: which tokens they see, which logits they leave, and what a sampler makes of them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from sampling import History, InvalidArgument, LogitBias, Sampler, SamplingParams, Temperature, chain
from sampling.processors import AllowedTokens

VOCABULARY = 8


class Recording:
    """Allows fixed tokens, and remembers what it was asked."""

    def __init__(self, *tokens: int, width: int = VOCABULARY) -> None:
        self.tokens, self.width = tokens, width
        self.asked: list[list[int]] = []

    def allowed(self, sampled: Sequence[int]) -> Tensor:
        self.asked.append(list(sampled))
        mask = torch.zeros(self.width, dtype=torch.bool)
        mask[list(self.tokens)] = True
        return mask


class Spelling:
    """Allows one word, token by token; then nothing."""

    def __init__(self, *word: int) -> None:
        self.word = word

    def allowed(self, sampled: Sequence[int]) -> Tensor:
        following = self.word[len(sampled)] if len(sampled) < len(self.word) else -1
        return torch.arange(VOCABULARY) == following


def finite(logits: Tensor) -> list[list[int]]:
    return [(row > -math.inf).nonzero()[:, 0].tolist() for row in logits]


def history() -> History:
    """Three rows with prompts of 3, 0 and 1 tokens that have sampled (5, 6), (), and (7)."""
    made = History.start([[1, 2, 3], [], [4]])
    made.accept(torch.tensor([5, -1, 7]))
    made.accept(torch.tensor([6, -1, -1]))
    return made


@pytest.mark.parametrize("capacity", [None, 9])
def test_a_constraint_sees_the_sampled_tokens_of_its_row(capacity: int | None) -> None:
    rows = History.start([[1, 2, 3], [], [4]], capacity=capacity)
    rows.accept(torch.tensor([5, -1, 7]))
    rows.accept(torch.tensor([6, -1, -1]))
    constraints = [Recording(0, 2), Recording(1), Recording(3)]
    masked = AllowedTokens(constraints)(torch.zeros(3, VOCABULARY), rows)
    assert finite(masked) == [[0, 2], [1], [3]]
    assert [one.asked for one in constraints] == [[[5, 6]], [[]], [[7]]]


def test_one_constraint_serves_every_row() -> None:
    one = Recording(4)
    assert finite(AllowedTokens(one)(torch.zeros(3, VOCABULARY), history())) == [[4]] * 3
    assert one.asked == [[5, 6], [], [7]]


def test_rows_without_a_constraint_keep_every_bit() -> None:
    logits = torch.tensor([[-0.0, math.nan, math.inf, -math.inf, 1e-45, 3.0, -2.5, 0.0]]).repeat(3, 1)
    masked = AllowedTokens([None, Recording(0), None])(logits, history())
    for row in (0, 2):
        assert masked[row].view(torch.int32).tolist() == logits[row].view(torch.int32).tolist()
    assert masked[1].view(torch.int32).tolist()[0] == -(2**31)  # -0.0 is allowed and stays
    assert finite(masked)[1] == [0]
    assert AllowedTokens(None)(logits, history()) is logits


@pytest.mark.parametrize("width", [0, 3, VOCABULARY, VOCABULARY + 5])
def test_a_constraint_may_know_fewer_or_more_tokens(width: int) -> None:
    every = Recording(*range(width), width=width)
    masked = AllowedTokens(every)(torch.zeros(3, VOCABULARY), history())
    assert finite(masked) == [[*range(min(width, VOCABULARY))]] * 3


def test_a_history_of_other_rows_goes_with_their_constraints() -> None:
    constraints = [Spelling(5, 6, 1), Spelling(2, 3), Spelling(7, 4)]
    order = [2, 0, 1, 2]
    masked = AllowedTokens([constraints[row] for row in order])(
        torch.zeros(4, VOCABULARY), history().select(order)
    )
    assert finite(masked) == [[4], [1], [2], [4]]


def test_another_number_of_rows_is_refused() -> None:
    with pytest.raises(
        InvalidArgument, match="allowed_tokens: got '2 constraints', must be one for all rows, or one"
    ):
        AllowedTokens([None, Recording(1)])(torch.zeros(3, VOCABULARY), history())


@pytest.mark.parametrize("rows", [0, 2, 4])
def test_a_history_of_another_batch_is_refused(rows: int) -> None:
    other = history().select([0, 1, 2, 0][:rows])
    with pytest.raises(InvalidArgument, match=f"history: got '{rows} rows', must be of the 3 rows"):
        AllowedTokens(Recording(1))(torch.zeros(3, VOCABULARY), other)


def test_in_a_chain_and_its_trace() -> None:
    pipeline = chain(AllowedTokens(Recording(1, 2)), LogitBias({2: 1.0}), Temperature(0.5)).to("cpu")
    logits = torch.zeros(3, VOCABULARY)
    expected = torch.tensor([1, math.e**2]).double()
    probs = pipeline.probs(logits, history())
    torch.testing.assert_close(probs[:, 1:3], (expected / expected.sum()).expand(3, -1), rtol=1e-6, atol=0)
    assert probs.sum(-1).tolist() == [1, 1, 1]
    assert "allowed_tokens" in str(pipeline.trace(logits, history()))


def test_a_sampler_writes_what_its_constraints_allow() -> None:
    """Whatever the bias, and whoever leaves or comes; log probabilities of the mode raw do not see the constraint."""
    params = SamplingParams(temperature=2.0, seed=3, logit_bias={0: 100.0})
    sampler = Sampler([params, params], vocab_size=VOCABULARY, constraints=[Spelling(5, 2, 7), None])
    logits = torch.zeros(2, VOCABULARY)
    first = sampler.step(logits)
    assert first.token_ids.tolist() == [5, 0]
    torch.testing.assert_close(first.logprobs, torch.full((2,), -math.log(VOCABULARY)))
    sampler.remove([1])
    assert sampler.add(params, [5, 5], constraint=Spelling(6, 1)) == 1
    assert sampler.step(logits).token_ids.tolist() == [2, 6]
    assert sampler.step(logits).token_ids.tolist() == [7, 1]
    over = sampler.step(logits)
    assert over.token_ids.tolist() == [-1, -1]
    assert sampler.explain(int(over.status[0])) == "nothing left to sample after allowed_tokens"


def test_a_row_with_nothing_left_leaves_the_others_alone() -> None:
    params = [SamplingParams(seed=seed) for seed in (1, 2)]
    logits = torch.randn(2, VOCABULARY, generator=torch.Generator().manual_seed(0))
    alone = Sampler(params[1:], vocab_size=VOCABULARY).step(logits[1:])
    both = Sampler(params, vocab_size=VOCABULARY, constraints=[Spelling(), None]).step(logits)
    assert both.token_ids.tolist() == [-1, *alone.token_ids.tolist()]
    assert both.status[1] == 0


class Saying:
    """Says something, whatever was sampled."""

    def __init__(self, answer: object) -> None:
        self.answer = answer

    def allowed(self, sampled: Sequence[int]) -> object:
        return self.answer


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (torch.tensor([3, 4]), r"torch.int64 \(2,\) on cpu"),  # ids: not the tokens 0 and 1
        (torch.full((VOCABULARY,), math.nan), r"torch.float32 \(8,\)"),
        (torch.ones(VOCABULARY, dtype=torch.uint8), r"torch.uint8 \(8,\)"),
        (torch.ones(1, VOCABULARY, dtype=torch.bool), r"torch.bool \(1, 8\)"),
        (torch.ones(VOCABULARY, dtype=torch.bool, device="meta"), r"torch.bool \(8,\) on meta"),
        ([True] * VOCABULARY, r"\[True"),
        ({3}, r"\{3\}"),
        (None, "None"),
    ],
)
def test_what_is_no_mask_is_refused(answer: object, said: str) -> None:
    constraints = [None, Saying(answer), None]
    with pytest.raises(
        InvalidArgument, match=rf"^allowed of row 1: got '?{said}.*must be a tensor bool \[C\]"
    ):
        AllowedTokens(constraints)(torch.zeros(3, VOCABULARY), history())  # pyright: ignore[reportArgumentType]


def test_what_has_no_allowed_is_no_constraint() -> None:
    with pytest.raises(InvalidArgument, match=r"^allowed_tokens: got .*with a method allowed\(sampled\)"):
        AllowedTokens([None, object()])  # pyright: ignore[reportArgumentType]
    with pytest.raises(InvalidArgument, match=r"^constraint: got .*with a method allowed\(sampled\)"):
        Sampler(num_slots=1, vocab_size=4).add(SamplingParams(), [], constraint=object())  # pyright: ignore[reportArgumentType]
