"""The logarithm of a sum of weights: its bound, and the same bits everywhere."""

from __future__ import annotations

import math

import mpmath
import oracle
import torch
from hypothesis import given
from hypothesis import strategies as st
from sampling_kernels.logarithm import log_normalizer

oracle.mpmath.mp.dps = 50


def error(total: int) -> mpmath.mpf:
    got = mpmath.mpf(log_normalizer(torch.tensor(total)).item())
    return abs(got - mpmath.log(mpmath.mpf(total) / 2**43))


@given(st.integers(43, 61), st.floats(0, 1))
def test_within_its_bound(power: int, fraction: float) -> None:
    assert error(min(int(2**power * (1 + fraction)), 2**62 - 1)) <= 2e-12


@given(st.integers(2**43, 2**44))
def test_just_above_the_smallest_sum(total: int) -> None:
    assert error(total) <= 2e-12


def test_at_the_ends() -> None:
    assert log_normalizer(torch.tensor(2**43)).item() == 0
    assert error(2**43 + 1) <= 2e-12
    assert error(2**62 - 1) <= 2e-12
    assert error((2**19 - 1) << 43) <= 2e-12


def by_the_document(total: int) -> float:
    """The operations of docs/draw.md in Python's doubles."""
    m, e = math.frexp(float(total) * 2.0**-43)
    m, e = (2 * m, e - 1) if m < 0.75 else (m, e)
    q = (m - 1) / (m + 1)
    c = 13.0
    for k in (6, 5, 4, 3, 2, 1):
        c = (2 * k - 1) - (k * k * (q * q)) / c
    return e * (97551793252584 * 2.0**-47) + (2 * q) / c


@given(st.one_of(st.integers(2**43, 2**62 - 1), st.integers(2**61, 2**62 - 1)))
def test_the_documented_operations_bit_for_bit(total: int) -> None:
    assert log_normalizer(torch.tensor(total)).item() == by_the_document(total)


def test_three_times_a_power_of_two_bit_for_bit() -> None:
    """There the mantissa is 3/4, not 3/2."""
    totals = [3 * 2**power for power in range(42, 61)]
    assert log_normalizer(torch.tensor(totals)).tolist() == [by_the_document(total) for total in totals]


def test_many_at_once_bit_for_bit() -> None:
    """Long tensors take vectorised code, which need not round as the scalar one does."""
    totals = [2**43 + (2**62 - 2**43 - 1) * i // 9973 for i in range(9973)]
    totals += [2**43 + 7919 * i * i for i in range(9973)]
    assert log_normalizer(torch.tensor(totals)).tolist() == [by_the_document(total) for total in totals]


def test_dense_grid() -> None:
    totals = [2**43 + (2**62 - 2**43 - 1) * i // 997 for i in range(998)]
    totals += [int(2 ** (43 + 19 * mpmath.mpf(i) / 997)) for i in range(997)]
    got = log_normalizer(torch.tensor(totals)).tolist()
    assert max(abs(g - mpmath.log(mpmath.mpf(t) / 2**43)) for g, t in zip(got, totals, strict=True)) <= 2e-12


def test_same_bits_wherever_a_sum_stands() -> None:
    torch.manual_seed(1)
    totals = (2.0 ** (43 + 18.9 * torch.rand(67, dtype=torch.float64))).long()
    whole = log_normalizer(totals)
    alone = torch.stack([log_normalizer(total) for total in totals])
    assert torch.equal(whole, alone)
    for n in range(1, 67):
        assert torch.equal(log_normalizer(totals[:n]), whole[:n])
        assert torch.equal(log_normalizer(totals[n:]), whole[n:])
        assert torch.equal(log_normalizer(totals[n:, None].expand(-1, 3))[:, 1], whole[n:])


def test_monotone() -> None:
    torch.manual_seed(2)
    totals = (2.0 ** (43 + 18.9 * torch.rand(20000, dtype=torch.float64))).long().sort().values
    assert (log_normalizer(totals).diff() >= 0).all()
