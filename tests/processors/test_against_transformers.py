"""Our processors against transformers' own, on random rows away from float ties, and on equal logits."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from transformers.generation.logits_process import (
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from sampling import History, MinP, RepetitionPenalty, Temperature, TopK, TopP
from sampling.processors import Processor

NO_IDS = torch.zeros(8, 1, dtype=torch.int64)


def random_rows(vocabulary: int = 500) -> Tensor:
    torch.manual_seed(1)
    return torch.randn(8, vocabulary) * torch.tensor([0.1, 0.5, 1.0, 2.0, 3.0, 5.0, 8.0, 12.0])[:, None]


def ours(processor: Processor, logits: Tensor) -> Tensor:
    return processor(logits, History.start([[]] * len(logits)))


@pytest.mark.parametrize("penalty", [0.5, 1.1, 1.3, 2.0, 5.0])
def test_repetition(penalty: float) -> None:
    torch.manual_seed(2)
    logits, ids = random_rows(50), torch.randint(50, (8, 20))
    theirs = RepetitionPenaltyLogitsProcessor(penalty)(ids, logits.clone())
    history = History.start(ids[:, :12].tolist())
    for column in ids[:, 12:].T:
        history.accept(column)
    got = RepetitionPenalty(penalty)(logits, history)
    assert (got - theirs).abs().max() <= 1.2e-7 * theirs.abs().max()  # one float32 ulp
    unseen = torch.ones(8, 50).scatter(1, ids, 0.0).bool()
    assert torch.equal(got[unseen], theirs[unseen])


@pytest.mark.parametrize("t", [0.1, 0.7, 1.3, 2.0])
def test_temperature_up_to_a_shift(t: float) -> None:
    logits = random_rows()
    theirs = TemperatureLogitsWarper(t)(NO_IDS, logits)
    shift = theirs.amax(-1, keepdim=True)
    tolerance = 2.4e-7 * theirs.abs().amax(-1, keepdim=True)
    assert ((ours(Temperature(t), logits) - (theirs - shift)).abs() <= tolerance).all()


@pytest.mark.parametrize("k", [1, 2, 40, 499, 500])
def test_top_k(k: int) -> None:
    logits = random_rows()
    assert torch.equal(ours(TopK(k), logits), TopKLogitsWarper(k)(NO_IDS, logits))


@pytest.mark.parametrize("p", [0.05, 0.3, 0.5, 0.8, 0.9, 0.95])
def test_top_p(p: float) -> None:
    logits = random_rows()
    assert torch.equal(ours(TopP(p), logits), TopPLogitsWarper(p)(NO_IDS, logits))


@pytest.mark.parametrize("p", [0.001, 0.05, 0.2, 0.9])
def test_min_p(p: float) -> None:
    logits = random_rows()
    assert torch.equal(ours(MinP(p), logits), MinPLogitsWarper(p)(NO_IDS, logits))


@pytest.mark.parametrize(("equal", "p"), [(4, 0.5), (8, 0.75), (8, 0.25), (16, 0.5)])
def test_which_of_equal_logits_top_p_keeps(equal: int, p: float) -> None:
    """Dyadic masses, so that transformers' float32 sums are exact: it keeps the highest ids.

    Up to 16 tokens only: from there on torch.sort is not stable on every CPU (AVX-512 sorts are not), and which of many
    equal logits transformers keeps depends on the machine. How many it keeps does not: see below.
    """
    logits = torch.zeros(1, equal)
    theirs = TopPLogitsWarper(p)(NO_IDS, logits)
    assert (theirs[0] > -math.inf).nonzero().flatten().tolist() == list(range(equal - int(p * equal), equal))
    assert torch.equal(ours(TopP(p, tie_break="highest_id"), logits), theirs)


@pytest.mark.parametrize(("equal", "p"), [(64, 0.75), (256, 0.5), (1024, 0.25)])
def test_how_many_of_equal_logits_top_p_keeps(equal: int, p: float) -> None:
    logits = torch.zeros(1, equal)
    theirs = TopPLogitsWarper(p)(NO_IDS, logits)
    assert (theirs > -math.inf).sum() == (ours(TopP(p), logits) > -math.inf).sum() == int(p * equal)


def test_which_of_equal_logits_at_the_boundary_top_p_keeps() -> None:
    """A peak of one half and, below it, eight sixteenths: float32 logits cannot be this exact, so p stays between hits."""
    logits = torch.tensor([[0.0, 0.0, math.log(8.0), 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]])
    theirs = TopPLogitsWarper(0.7)(NO_IDS, logits)
    assert torch.equal(ours(TopP(0.7, tie_break="highest_id"), logits), theirs)


def test_top_k_keeps_all_that_equal_the_last() -> None:
    logits = torch.tensor([[1.0, 2.0, 1.0, 1.0, 3.0, 0.0]])
    theirs = TopKLogitsWarper(3)(NO_IDS, logits)
    assert (theirs > -math.inf).sum() == 5
    assert torch.equal(ours(TopK(3, keep_ties=True, tie_break="highest_id"), logits), theirs)
