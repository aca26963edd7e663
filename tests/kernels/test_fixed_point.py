"""Exact shares against Python's own integers."""

from __future__ import annotations

from fractions import Fraction

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sampling_kernels.fixed_point import ceil_product, floor_product, mulhi_u64, to_fixed_point

U_EXTREMES = [0, 1, 2**16 - 1, 2**16, 2**32 - 1, 2**32, 2**63 - 1, 2**63, 2**64 - 2, 2**64 - 1]
Z_EXTREMES = [0, 1, 2, 2**31, 2**32 - 1, 2**32, 2**43, 2**61, 2**62 - 2, 2**62 - 1]
us = st.one_of(st.sampled_from(U_EXTREMES), st.integers(0, 2**64 - 1))
zs = st.one_of(st.sampled_from(Z_EXTREMES), st.integers(0, 2**62 - 1))
shares = st.one_of(st.sampled_from([0, 1, 2**61, 2**62 - 1]), st.integers(0, 2**62 - 1))


def check_product(u: int, z: int) -> None:
    product, remainder = mulhi_u64(*map(torch.tensor, (u >> 32, u & 0xFFFFFFFF, z)))
    assert int(product) == u * z >> 64
    assert bool(remainder) == (u * z % 2**64 != 0)


@given(us, zs)
def test_product_of_64_and_62_bits(u: int, z: int) -> None:
    check_product(u, z)


@pytest.mark.parametrize("u", U_EXTREMES)
def test_product_at_the_extremes(u: int) -> None:
    for z in Z_EXTREMES:
        check_product(u, z)


@given(shares, zs)
def test_floor_and_ceiling(share: int, total: int) -> None:
    args = torch.tensor(share), torch.tensor(total)
    assert int(floor_product(*args)) == share * total // 2**62
    assert int(ceil_product(*args)) == -(-share * total // 2**62)


def test_many_at_once() -> None:
    torch.manual_seed(1)
    u_high, u_low = torch.randint(2**32, (2, 500))
    z = torch.randint(2**62, (500,))
    product, _ = mulhi_u64(u_high, u_low, z)
    expected = [
        ((h << 32) + low) * n >> 64
        for h, low, n in zip(*map(torch.Tensor.tolist, (u_high, u_low, z)), strict=True)
    ]
    assert product.tolist() == expected


@pytest.mark.parametrize(
    "printed",
    [
        "0",
        "1",
        "0.5",
        "0.75",
        "0.9",
        "0.1",
        "1e-30",
        "5e-324",
        "0.30000000000000004",
        "1e-05",
        "0.9999999999999999",
    ],
)
def test_share_of_a_printed_decimal(printed: str) -> None:
    assert to_fixed_point(printed) == (Fraction(printed) * 2**62) // 1


def test_hand_computed_shares() -> None:
    assert to_fixed_point("0.5") == 2**61
    assert to_fixed_point("1") == 2**62
    assert to_fixed_point("1e-30") == 0
    assert to_fixed_point("0.9") == 9 * 2**62 // 10 != int(0.9 * 2**62)
