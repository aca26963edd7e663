"""Bounds of a row's total weight, against the integer total in plain Python."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from fractions import Fraction

import oracle
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sampling_kernels.blocks import BLOCK, BlockedLogits
from sampling_kernels.candidates.blocks import CandidateBlocks
from sampling_kernels.candidates.constants import CANDIDATE_BLOCKS
from sampling_kernels.candidates.normalizer_bounds import block_bounds, float32_bounds
from sampling_kernels.weights import block_weights
from torch import Tensor

INF = math.inf
VOCABULARY = 128256
HardRows = Callable[[int], Tensor]


def integer_total(row: list[float], temperature: float) -> Fraction:
    """Z / 2^43 of a row after a temperature; equal logits are weighed once."""
    maximum = max(row)
    cooled = Counter(row) if temperature == 1 else Counter()
    for x, count in Counter(row).items() if temperature != 1 else ():
        cooled[oracle.f32((x - maximum) / oracle.f32(temperature))] += count
    top = max(cooled)
    return Fraction(sum(oracle.weight(x - top) * count for x, count in cooled.items() if x > -INF), 2**43)


def check_bounds(logits: Tensor, temperature: float) -> None:
    t = torch.full((len(logits), 1), temperature)
    whole = BlockedLogits.of(logits)
    sums = block_weights(whole.values, whole.maxima)
    known, unknown = CandidateBlocks.of(whole, weights=sums), CandidateBlocks.of(whole)
    total = [integer_total(row, temperature) for row in logits.tolist()]
    for low, high in (block_bounds(known, t), block_bounds(unknown, t), float32_bounds(unknown, t)):
        for z, least, most in zip(total, low[:, 0].tolist(), high[:, 0].tolist(), strict=True):
            assert least <= z <= most
    low, high = float32_bounds(unknown, t)
    assert (high - low <= high * 2.0**-15).all()


@pytest.mark.parametrize("temperature", [0.01, 0.3, 1.0, 2.0, 1e30])
def test_bounds_of_wide_rows(temperature: float) -> None:
    """Flat, peaked, and one that is banned but for a few; bfloat16 logits, so that Python can keep up."""
    torch.manual_seed(2)
    normal = torch.randn(VOCABULARY)
    logits = torch.stack([normal * 0.01, normal * 2, normal * 8, torch.zeros(VOCABULARY)])
    logits[3, 5:] = -INF
    check_bounds(logits.bfloat16().float(), temperature)


@pytest.mark.parametrize("temperature", [0.01, 0.3, 1.0, 2.0, 1e30])
@pytest.mark.parametrize("vocabulary", [2, 65, 1003])
def test_bounds_of_hard_rows(hard_rows: HardRows, vocabulary: int, temperature: float) -> None:
    check_bounds(hard_rows(vocabulary), temperature)


@given(st.floats(0.125, 33, width=32), st.floats(-50, 50, width=32), st.floats(0.03125, 50, width=32))
def test_bounds_where_all_errors_point_one_way(gap: float, maximum: float, temperature: float) -> None:
    """One token, and all others at the same distance below it: nothing averages out."""
    logits = torch.full((1, VOCABULARY), oracle.f32(maximum - oracle.f32(gap * temperature)))
    logits[0, 77] = maximum
    check_bounds(logits, temperature)


@pytest.mark.parametrize("temperature", [0.3, 1.0, 1.7])
def test_bounds_where_the_gap_itself_is_rounded(temperature: float) -> None:
    """64 rows with a maximum below 1 and all others 3 to 9 temperatures below it: the mass is theirs, and so is the error."""
    torch.manual_seed(3)
    maximum, gap = torch.rand(64, 1), 3 + 6 * torch.rand(64, 1)
    logits = (maximum - gap * temperature).repeat(1, 2**14)
    logits[:, 5:6] = maximum
    check_bounds(logits, temperature)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 1.7])
@pytest.mark.parametrize("bias", [-30.0, -3.0, 0.0, 3.0, 30.0])
def test_bounds_after_edits(temperature: float, bias: float) -> None:
    """The weights of the chunks are those from before the edits, which are all in sight; here also of the likeliest tokens."""
    torch.manual_seed(4)
    logits = (2 * torch.randn(3, BLOCK * (CANDIDATE_BLOCKS + 100))).bfloat16().float()
    whole = BlockedLogits.of(logits)
    sums = block_weights(whole.values, whole.maxima)
    ids = torch.cat([logits.topk(20).indices, torch.randint(logits.shape[1], (3, 20))], -1)
    sight = CandidateBlocks.of(whole, ids, sums)
    assert not sight.overflow.any()
    places = sight.positions_of(ids)
    after = (logits.gather(1, ids) + bias).bfloat16().float()
    sight.values.scatter_(1, places, after)
    edited = logits.scatter(1, ids, after)
    assert sight.maximum.tolist() == edited.amax(-1, keepdim=True).tolist()
    t = torch.full((3, 1), temperature)
    for low, high in (block_bounds(sight, t), float32_bounds(sight, t)):
        for row, least, most in zip(edited.tolist(), low[:, 0].tolist(), high[:, 0].tolist(), strict=True):
            assert least <= integer_total(row, temperature) <= most


@pytest.mark.parametrize("depth", [30.3, 40.0, 200.0])
def test_bounds_where_what_is_left_had_no_weight(depth: float) -> None:
    """An edit bans the only token that weighed anything; the weights of all others were rounded to 0 and tell nothing."""
    logits = torch.full((2, BLOCK * (CANDIDATE_BLOCKS + 200)), -depth)
    logits[:, 70], logits[1, BLOCK * 200 :] = 0.0, -INF
    whole, ids = BlockedLogits.of(logits), torch.full((2, 1), 70)
    sums = block_weights(whole.values, whole.maxima)
    sight = CandidateBlocks.of(whole, ids, sums)
    sight.values.scatter_(1, sight.positions_of(ids), -INF)
    left = (logits > -INF).sum(-1, keepdim=True) - 1
    low, high = block_bounds(sight, torch.ones(2, 1))
    assert (low <= left).all()
    assert (left <= high).all()
    assert (high <= left * 1.001 + BLOCK).all(), "a chunk is worth no more than 64 of its largest token"


@pytest.mark.parametrize("temperature", [0.8, 1.0])
def test_quick_bounds_are_close_where_the_weights_are_known(temperature: float) -> None:
    """A head of a hundred tokens over a wide bulk, as a language model has it: within two thousandths."""
    torch.manual_seed(5)
    logits = 2.5 * torch.randn(4, VOCABULARY)
    head = 20 - 1.8 * torch.arange(1.0, 101).log()
    logits.scatter_(1, torch.randint(VOCABULARY, (4, 100)), head.expand(4, -1))
    whole = BlockedLogits.of(logits)
    low, high = block_bounds(
        CandidateBlocks.of(whole, weights=block_weights(whole.values, whole.maxima)),
        torch.full((4, 1), temperature),
    )
    assert (high - low <= high * 2e-3).all()
