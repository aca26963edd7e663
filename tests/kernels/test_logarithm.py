"""The logarithm of a sum of weights: its bound, and the same bits everywhere."""

from __future__ import annotations

import mpmath
import oracle
import torch
from hypothesis import given
from hypothesis import strategies as st
from sampling_kernels.logarithm import log_total

oracle.mpmath.mp.dps = 50


def error(total: int) -> mpmath.mpf:
    got = mpmath.mpf(log_total(torch.tensor(total)).item())
    return abs(got - mpmath.log(mpmath.mpf(total) / 2**43))


@given(st.integers(43, 61), st.floats(0, 1))
def test_within_two_in_a_hundred_thousand_million(power: int, fraction: float) -> None:
    assert error(min(int(2**power * (1 + fraction)), 2**62 - 1)) <= 2e-11


@given(st.integers(2**43, 2**44))
def test_just_above_the_smallest_sum(total: int) -> None:
    assert error(total) <= 2e-11


def test_at_the_ends() -> None:
    assert log_total(torch.tensor(2**43)).item() == 0
    assert error(2**43 + 1) <= 2e-11
    assert error(2**62 - 1) <= 2e-11
    assert error((2**19 - 1) << 43) <= 2e-11


def test_dense_grid() -> None:
    totals = [2**43 + (2**62 - 2**43 - 1) * i // 997 for i in range(998)]
    totals += [int(2 ** (43 + 19 * mpmath.mpf(i) / 997)) for i in range(997)]
    got = log_total(torch.tensor(totals)).tolist()
    assert max(abs(g - mpmath.log(mpmath.mpf(t) / 2**43)) for g, t in zip(got, totals, strict=True)) <= 2e-11


def test_same_bits_wherever_a_sum_stands() -> None:
    torch.manual_seed(1)
    totals = (2.0 ** (43 + 18.9 * torch.rand(67, dtype=torch.float64))).long()
    whole = log_total(totals)
    alone = torch.stack([log_total(total) for total in totals])
    assert torch.equal(whole, alone)
    for n in range(1, 67):
        assert torch.equal(log_total(totals[:n]), whole[:n])
        assert torch.equal(log_total(totals[n:]), whole[n:])
        assert torch.equal(log_total(totals[n:, None].expand(-1, 3))[:, 1], whole[n:])


def test_monotone() -> None:
    torch.manual_seed(2)
    totals = (2.0 ** (43 + 18.9 * torch.rand(20000, dtype=torch.float64))).long().sort().values
    assert (log_total(totals).diff() >= 0).all()
