"""Decisions in floats: wherever they call themselves sure, the integers decide alike, and for usual rows they are sure."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from itertools import accumulate

import oracle
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sampling_kernels.candidates.float_filters import (
    argsort_descending,
    exp_logits,
    filter_inverse_cdf,
    filter_min_p,
    filter_top_p,
)
from torch import Tensor

INF = math.inf
VOCABULARY = 128256
HardRows = Callable[[int], Tensor]
levels = st.sampled_from([0.0, -0.0, 1.0, -1.0, 2.5, -13.75, -20.0, -31.0, -INF])
finite = st.floats(-10, 3, width=32)
rows = st.lists(st.one_of(levels, st.floats(-40, 3, width=32)), max_size=25)
nudges = st.sampled_from(
    [0.0, 2.0**-53, -(2.0**-53), 1e-12, -1e-12, 1e-8, -1e-8, 1e-7, -1e-7, 2e-6, -2e-6, 1e-3]
)
slacks = st.sampled_from([0.0, 1e-9, 1e-6, 1e-4, 1e-2])


def usual_rows(count: int) -> Tensor:
    """Candidates as a language model has them: a few likely ones and a tail."""
    torch.manual_seed(1)
    scale = torch.linspace(1, 6, count)[:, None]
    return scale * torch.randn(count, 129)


def wide(numbers: list[float]) -> Tensor:
    return torch.tensor(numbers, dtype=torch.float64)[:, None]


def of_words(us: list[int]) -> tuple[Tensor, Tensor]:
    return torch.tensor([u >> 32 for u in us]), torch.tensor([u & 0xFFFFFFFF for u in us])


@given(rows, finite)
def test_masses_are_exponentials(row: list[float], highest: float) -> None:
    row = [*row, highest]
    for got, x in zip(exp_logits(torch.tensor([row]))[0].tolist(), row, strict=True):
        assert got == pytest.approx(math.exp(x - max(row)), rel=1e-14)


@given(rows, finite, st.sampled_from(["lowest_id", "highest_id"]))
def test_the_order_of_places_is_that_of_tokens(row: list[float], highest: float, tie_break: str) -> None:
    row = [*row, highest]
    got = argsort_descending(torch.tensor([row]), tie_break=tie_break)
    assert got.tolist() == [oracle.order(row, tie_break)]


def check_top_p(row: list[float], ps: list[float], slack: float, tie_break: str) -> list[bool]:
    """Where it is sure, both rules for an exact hit have to keep what it keeps; where it was sure."""
    logits = torch.tensor([row]).expand(len(ps), -1)
    mass = exp_logits(logits)
    total = Fraction(sum(oracle.weights(row)), 2**43)
    least, most = float(total) * (1 - slack) - 1e-12, float(total) * (1 + slack) + 1e-12
    bounds = wide([least] * len(ps)), wide([most] * len(ps))
    kept, sure = filter_top_p(logits, mass, wide(ps), *bounds, tie_break=tie_break)
    for p, mask, certain in zip(ps, kept.tolist(), sure.tolist(), strict=True):
        for stops in (True, False) if certain else ():
            rules = {"tie_break": tie_break, "stops_at_equality": stops}
            assert {i for i, one in enumerate(mask) if one} == oracle.nucleus(row, str(p), **rules)
    return sure.tolist()


def prefix_shares(row: list[float], tie_break: str) -> list[float]:
    w = oracle.weights(row)
    running = list(accumulate(w[i] for i in oracle.order(row, tie_break)))
    return [float(Fraction(one, running[-1])) for one in running]


@given(rows, finite, st.floats(0, 1, exclude_max=True), slacks, st.sampled_from(["lowest_id", "highest_id"]))
def test_top_p(row: list[float], highest: float, p: float, slack: float, tie_break: str) -> None:
    check_top_p([*row, highest], [p, 0.0, 1e-12, 1 - 1e-9], slack, tie_break)


@given(rows, finite, nudges, slacks, st.sampled_from(["lowest_id", "highest_id"]))
def test_top_p_beside_the_share_of_a_prefix(
    row: list[float], highest: float, nudge: float, slack: float, tie_break: str
) -> None:
    row = [*row, highest]
    shares = [p + nudge for p in prefix_shares(row, tie_break)]
    check_top_p(row, [p for p in shares if 0 <= p < 1] or [0.5], slack, tie_break)


@pytest.mark.parametrize("equal", [2, 3, 7, 10, 100])
def test_top_p_of_equal_logits_is_not_sure_of_an_exact_hit(equal: int) -> None:
    ps = [j / equal for j in range(1, equal)]
    for low in (True, False):
        assert not any(check_top_p([0.5] * equal, ps, 0.0, low))
        assert all(check_top_p([0.5] * equal, [p + 1e-3 for p in ps], 0.0, low))


@pytest.mark.parametrize("gap", [0.0066650002263486385, 0.00427549984306097])
def test_top_p_is_not_sure_where_weights_and_exponentials_part(gap: float) -> None:
    """So far below the maximum, a weight is 145 units of 2^-43 above the exponential, or 140 below it: of a hundred, 1.6e-9."""
    row = [0.0, *[-gap] * 100, *[-1.0] * 20]
    apart = oracle.weight(-gap) - 2**43 * math.exp(-gap)
    assert abs(apart) > 139
    for low in (True, False):
        assert not any(check_top_p(row, prefix_shares(row, low)[20:100], 0.0, low))


@pytest.mark.parametrize("p", [0.0, 1e-12])
def test_top_p_is_sure_of_the_first_token(p: float) -> None:
    logits = torch.tensor([[0.0, 1.0, 1.0]])
    total = exp_logits(logits).sum(-1, keepdim=True)
    kept, sure = filter_top_p(logits, exp_logits(logits), wide([p]), total, total)
    assert (kept.tolist(), sure.tolist()) == ([[False, True, False]], [True])


def test_top_p_is_sure_only_if_both_totals_say_the_same() -> None:
    """The first token holds half of 2 and less than half of 2.5."""
    logits = torch.tensor([[0.0, -0.5]])
    kept, sure = filter_top_p(logits, exp_logits(logits), wide([0.45]), wide([2.0]), wide([2.1]))
    assert (kept.tolist(), sure.tolist()) == ([[True, False]], [True])
    _, sure = filter_top_p(logits, exp_logits(logits), wide([0.45]), wide([2.0]), wide([2.5]))
    assert sure.tolist() == [False]


@given(rows, finite, st.floats(0, 1))
def test_min_p(row: list[float], highest: float, p: float) -> None:
    check_min_p([*row, highest], [p, 1e-12, 1 - 1e-9, 1.0])


@given(rows, finite, nudges)
def test_min_p_beside_a_weight(row: list[float], highest: float, nudge: float) -> None:
    row = [*row, highest]
    ps = [w / 2**43 + nudge for w in oracle.weights(row)]
    check_min_p(row, [p for p in ps if 0 <= p <= 1] or [0.5])


def test_min_p_of_nothing_keeps_what_has_no_mass() -> None:
    kept, _ = filter_min_p(exp_logits(torch.tensor([[0.0, -1000.0, -INF]])), wide([0.0]))
    assert kept.tolist() == [[True] * 3]


def check_min_p(row: list[float], ps: list[float]) -> None:
    mass = exp_logits(torch.tensor([row])).expand(len(ps), -1)
    kept, sure = filter_min_p(mass, wide(ps))
    for p, mask, certain in zip(ps, kept.tolist(), sure.tolist(), strict=True):
        assert not certain or {i for i, one in enumerate(mask) if one} == oracle.min_p(row, str(p))


def check_draw(row: list[float], us: list[int]) -> list[bool]:
    w = oracle.weights(row)
    places, sure = filter_inverse_cdf(exp_logits(torch.tensor([row])).expand(len(us), -1), *of_words(us))
    for u, place, certain in zip(us, places.tolist(), sure.tolist(), strict=True):
        assert 0 <= place < len(row)
        assert not certain or place == oracle.pick(w, u)
    return sure.tolist()


@given(rows, finite, st.lists(st.integers(0, 2**64 - 1), max_size=5))
def test_draws(row: list[float], highest: float, us: list[int]) -> None:
    check_draw([*row, highest], [0, 2**64 - 1, *us])


def first_past(row: list[float]) -> list[int]:
    """For each running sum but the last, the least u that passes it."""
    running = list(accumulate(oracle.weights(row)))
    return sorted({-(-(one << 64) // running[-1]) for one in running if 0 < one < running[-1]})


offsets = st.sampled_from(
    [0, 1, -1, 2**20, -(2**20), 2**38, -(2**38), 2**42, -(2**42), 2**45, -(2**45), 2**50]
)


@given(rows, finite, offsets)
def test_draws_beside_a_running_sum(row: list[float], highest: float, offset: int) -> None:
    row = [*row, highest]
    us = [u + offset for u in first_past(row)]
    check_draw(row, [u for u in us if 0 <= u < 2**64])


@pytest.mark.parametrize("equal", [2, 3, 7, 129])
def test_a_draw_is_not_sure_at_a_running_sum(equal: int) -> None:
    row = [0.25] * equal
    for offset in (-1, 0, 1):
        assert not any(check_draw(row, [u + offset for u in first_past(row)]))
    assert all(check_draw(row, [u + 2**52 for u in first_past(row)]))


def test_usual_rows_are_sure() -> None:
    """At most one in a hundred is not: of 129 running sums, each takes 2 MARGIN of the unit interval, 2.5e-4 together."""
    logits = usual_rows(100)
    mass, p = exp_logits(logits), wide([0.9] * 100)
    total = mass.sum(-1, keepdim=True)
    words = torch.randint(2**32, (2, 100))
    nucleus = filter_top_p(logits, mass, p, total * (1 - 2.0**-16), total * (1 + 2.0**-16))
    for _, sure in (nucleus, filter_min_p(mass, 0 * p + 0.05), filter_inverse_cdf(mass, *words)):
        assert int(sure.sum()) >= 99


@pytest.mark.compiled
def test_compiled_equals_eager(compiled: Callable[..., Callable[..., list[Tensor]]]) -> None:
    """Masks, and whether they are sure; sums in another order differ by far less than a margin."""

    def every(logits: Tensor, p: Tensor, high: Tensor, low: Tensor) -> list[Tensor]:
        mass = exp_logits(logits)
        total = mass.sum(-1, keepdim=True)
        nucleus = filter_top_p(logits, mass, p, total, total)
        return [*nucleus, *filter_min_p(mass, p / 9), *filter_inverse_cdf(mass, high, low)]

    args = usual_rows(4), wide([0.9, 0.5, 0.7, 0.99]), *of_words([3 * 2**61, 2**60, 5**27, 2**62 + 7])
    assert all(map(torch.equal, compiled(every)(*args), every(*args)))
