"""Integer weights: bit for bit the documented algorithm, within the documented distance of the real exponential."""

from __future__ import annotations

import math
from collections.abc import Callable

import mpmath
import oracle
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sampling_kernels import reference
from sampling_kernels.blocks import blocked
from sampling_kernels.weights import (
    LARGEST_VOCABULARY,
    block_weights,
    total_variation_bound,
    weights,
    weights_as_float64,
)
from torch import Tensor

INF = math.inf
floats32 = st.floats(width=32, allow_nan=False, allow_infinity=False)
rows = st.lists(st.one_of(floats32, st.floats(-40, 0, width=32), st.just(-INF)), max_size=30)


def in_floats(logits: Tensor) -> Tensor:
    return weights_as_float64(logits, logits.amax(-1, keepdim=True))


def in_halves(logits: Tensor) -> Tensor:
    """Either half as a part of the row."""
    maximum, half = logits.amax(-1, keepdim=True), logits.shape[-1] // 2
    return torch.cat([weights(logits[:, s], maximum) for s in (slice(half), slice(half, None))], -1)


Form = Callable[[Tensor], Tensor]
every_form = pytest.mark.parametrize("form", [reference.weights, weights, in_floats, in_halves])


def by_code(row: list[float], form: Form = reference.weights) -> list[int]:
    return form(torch.tensor([row])).tolist()[0]


@every_form
@given(rows, floats32)
def test_equals_the_documented_algorithm(form: Form, row: list[float], at_least: float) -> None:
    row = [*row, at_least]
    assert by_code(row, form) == oracle.weights(row)


@every_form
@pytest.mark.parametrize("scale", [1e-6, 1e-2, 1.0, 5.0, 20.0, 1e4, 1e38])
def test_equals_the_documented_algorithm_on_random_rows(form: Form, scale: float) -> None:
    torch.manual_seed(1)
    logits = torch.randn(4, 700).clamp(-3, 3) * scale
    logits[torch.rand(logits.shape) < 0.1] = -INF
    assert form(logits).tolist() == [oracle.weights(row) for row in logits.tolist()]


@pytest.mark.parametrize("vocabulary", [1, 2, 63, 64, 65, 127, 1003])
def test_chunks_weigh_what_their_tokens_do(hard_rows: Callable[[int], Tensor], vocabulary: int) -> None:
    logits = hard_rows(vocabulary)
    chunks = blocked(logits)
    expected = [oracle.weights(row) for row in logits.tolist()]
    sums = [[sum(w[i : i + 64]) for i in range(0, vocabulary, 64)] for w in expected]
    assert block_weights(chunks, chunks.amax(-1)).tolist() == sums
    for one, line in zip(chunks, sums, strict=True):
        assert block_weights(one[None], one.amax(-1)[None]).tolist() == [line]


@pytest.mark.parametrize("heavy", [0, 1, 9, 10, 11, 19])
@pytest.mark.parametrize("gap", [30.4, 30.5, 31.0, 31.5, 60.0, INF])
def test_chunks_far_below_the_maximum(heavy: int, gap: float) -> None:
    """Of twenty chunks all but a few lie at the gap, where a weight is 1, or 0; their reference.weights may go uncomputed."""
    row = [-gap] * (64 * 20)
    row[64 * heavy] = 0.0
    row[: 64 * heavy : 64] = [-1.0] * heavy
    chunks, w = blocked(torch.tensor([row])), oracle.weights(row)
    assert block_weights(chunks, chunks.amax(-1)).tolist() == [
        [sum(w[i : i + 64]) for i in range(0, 1280, 64)]
    ]


def test_chunks_of_rows_without_meaning_are_no_error() -> None:
    chunks = blocked(torch.full((1, 300), math.nan))
    assert block_weights(chunks, chunks.amax(-1)).shape == (1, 5)


def test_rows_in_blocks_weigh_the_same() -> None:
    """3 rows of 2^16 + 1 tokens are taken in three blocks; each has a few levels, so that Python can keep up."""
    torch.manual_seed(7)
    logits = torch.randint(-33, 4, (3, 2**16 + 1)).float() + torch.tensor([[0.0], [0.5], [1e5]])
    logits[1] = logits[1].clamp(max=-20)
    levels = [{x: oracle.weight(x - max(row)) for x in set(row)} for row in logits.tolist()]
    expected = [[of[x] for x in row] for of, row in zip(levels, logits.tolist(), strict=True)]
    assert weights(logits).tolist() == expected
    chunks = blocked(logits)
    assert block_weights(chunks, chunks.amax(-1)).sum(-1).tolist() == [sum(w) for w in expected]


@every_form
def test_the_argument_stays_as_it_is(form: Form) -> None:
    logits = torch.tensor([[1.0, -2.0, -INF]])
    form(logits)
    assert logits.tolist() == [[1.0, -2.0, -INF]]


def test_float64_logits_are_not_rounded_first() -> None:
    row = [0.0, -1.0, -1.0 - 2.0**-30]
    w = reference.weights(torch.tensor([row], dtype=torch.float64)).tolist()[0]
    assert w == oracle.weights(row)
    assert w[1] > w[2]


def test_relative_error_is_within_the_documented_bound() -> None:
    torch.manual_seed(2)
    grid = torch.cat([-45 * torch.rand(400), -torch.rand(100), torch.tensor([0.0, -9.0, -30.0, -45.0])])
    for d, w in zip(
        grid.tolist(), reference.weights(torch.cat([grid, torch.zeros(1)])[None])[0].tolist(), strict=False
    ):
        real = mpmath.exp(d) * 2**43
        bound = mpmath.mpf(abs(d)) ** 3 / (12 * mpmath.mpf(3) ** 22) + mpmath.mpf(3) ** 11 / 2**51
        assert abs(w - real) <= real * bound + 0.5


def test_the_exponential_itself_is_within_the_documented_bound() -> None:
    torch.manual_seed(3)
    grid = -45 * torch.rand(400, dtype=torch.float64)
    worst = 0
    for d, power in zip(grid.tolist(), reference.exponential(grid).tolist(), strict=True):
        error = abs(power / mpmath.exp(d) - 1)
        bound = mpmath.mpf(-d) ** 3 / (12 * mpmath.mpf(3) ** 22) + mpmath.mpf(3) ** 11 / 2**51
        assert error <= bound
        worst = max(worst, error / bound)
    assert worst > 0.9  # the bound says something


def test_numbers_in_the_documentation() -> None:
    def error(d: float) -> float:
        return float(
            abs(reference.exponential(torch.tensor(d, dtype=torch.float64)).item() / mpmath.exp(d) - 1)
        )

    assert error(-1e-9) <= 8e-11
    assert error(-9.0) <= 2.1e-9
    assert error(-30.0) <= 8e-8


def test_monotone_in_the_logit() -> None:
    torch.manual_seed(4)
    base = -45 * torch.rand(20000)
    ladder = torch.cat([base, base.nextafter(torch.zeros(())), base.nextafter(torch.full((), -INF))])
    ladder = torch.cat([ladder, torch.zeros(1)]).sort().values
    assert (reference.weights(ladder[None]).diff() >= 0).all()
    tiny = (-torch.arange(20000, dtype=torch.float64) * 2.0**-53).flip(0)
    assert (reference.exponential(tiny).diff() >= 0).all()


@pytest.mark.parametrize("maximum", [0.0, -0.0, 1.0, -3e38, 3e38, 1e-45])
def test_the_maximum_weighs_two_to_the_43(maximum: float) -> None:
    assert by_code([maximum, -INF, maximum]) == [2**43, 0, 2**43]


def test_nothing_from_30_and_a_half_down() -> None:
    assert by_code([0.0, -30.5, -30.6, -44.0, -46.0, -1e30, -3.4e38, -INF])[1:] == [0] * 7
    assert by_code([0.0, -30.4])[1] == 1  # 0.55 rounds up


def test_half_weights_round_like_doubles() -> None:
    assert by_code([3e38, -3e38]) == [2**43, 0]  # the gap does not fit a float32


def test_sums_stay_below_two_to_the_62() -> None:
    assert int(reference.weights(torch.zeros(1, 2**19 - 1)).sum()) == (2**19 - 1) << 43 < 2**62


def test_the_largest_vocabulary_is_the_last_below_two_to_the_19() -> None:
    assert LARGEST_VOCABULARY << 43 < 2**62 <= (LARGEST_VOCABULARY + 1) << 43


def test_same_bits_wherever_a_logit_stands() -> None:
    torch.manual_seed(5)
    row = torch.randn(67).sort(descending=True).values
    whole = reference.weights(row[None])[0]
    for n in range(1, 67):
        assert torch.equal(reference.weights(row[None, :n])[0], whole[:n])
        shifted = torch.cat([row[:1], row[n:]])[None]
        assert torch.equal(reference.weights(shifted)[0, 1:], whole[n:])
    assert torch.equal(reference.weights(row[None].expand(3, -1)), whole.expand(3, -1))


def distance(levels: list[tuple[float, int]]) -> mpmath.mpf:
    """Total variation from w / Z to the real softmax of a row with so many tokens at each level."""
    row = torch.cat([torch.full((n,), level) for level, n in levels])
    w = reference.weights(row[None])[0]
    starts = [sum(n for _, n in levels[:i]) for i in range(len(levels))]
    exact = [mpmath.exp(mpmath.mpf(row[s].item()) - mpmath.mpf(row.max().item())) for s in starts]
    total = mpmath.fsum(e * n for e, (_, n) in zip(exact, levels, strict=True))
    z = int(w.sum())
    terms = [
        n * abs(mpmath.mpf(int(w[s])) / z - e / total)
        for s, e, (_, n) in zip(starts, exact, levels, strict=True)
    ]
    return mpmath.fsum(terms) / 2


@pytest.mark.parametrize("vocabulary", [2, 32, 1000, 128256, 2**19 - 1])
def test_total_variation_bound_holds_on_two_level_rows(vocabulary: int) -> None:
    bound = total_variation_bound(vocabulary)
    gaps = [1e-3, 1.0, 5.0, 10.0, 12.0, 14.0, 17.0, 20.0, 25.0, 28.9, 29.8, 30.37, 30.4, 30.5]
    for gap in gaps:
        assert distance([(0.0, 1), (-gap, vocabulary - 1)]) <= bound


@pytest.mark.parametrize("vocabulary", [1000, 128256])
def test_total_variation_bound_holds_on_many_levels(vocabulary: int) -> None:
    levels = [(-i / 2, vocabulary // 64) for i in range(64)]
    assert distance(levels) <= total_variation_bound(vocabulary)
    assert distance([(0.0, vocabulary)]) <= total_variation_bound(vocabulary)


@pytest.mark.parametrize("scale", [0.01, 1.0, 4.0, 15.0])
def test_total_variation_bound_holds_on_random_rows(scale: float) -> None:
    torch.manual_seed(6)
    row = (torch.randn(600) * scale).tolist()
    w = by_code(row)
    z = sum(w)
    gap = mpmath.fsum(abs(mpmath.mpf(a) / z - b) for a, b in zip(w, oracle.softmax(row), strict=True)) / 2
    assert gap <= total_variation_bound(600)


@pytest.mark.parametrize("vocabulary", [2, 1000, 128256, 2**19 - 1])
def test_the_bound_is_the_documented_number(vocabulary: int) -> None:
    """V 2^-44 + V 2^-64 + (21/20) (ln V + 3)^3 / (12 * 3^22) + 3^11 * 2^-51, at 50 digits."""
    real = mpmath.mpf
    rounding = real(vocabulary) / 2**44 + real(vocabulary) / 2**64
    power = real(21) / 20 * (mpmath.log(vocabulary) + 3) ** 3 / (12 * real(3) ** 22) + real(3) ** 11 / 2**51
    assert total_variation_bound(vocabulary) == pytest.approx(float(rounding + power), rel=1e-13, abs=0.0)


def test_the_bound_is_small_and_grows() -> None:
    assert total_variation_bound(2) < 1e-9
    assert 1e-8 < total_variation_bound(128256) < 2e-8
    assert total_variation_bound(2**19 - 1) < 1e-7
