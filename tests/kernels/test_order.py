"""The order of tokens as one integer key."""

from __future__ import annotations

import math

import oracle
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sampling_kernels.order import order_key

INF = math.inf
few = st.sampled_from([0.0, -0.0, 1.0, -1.0, 1e-45, -1e-45, 1.1754943508222875e-38, -INF, 3e38, -3e38])
rows = st.lists(
    st.one_of(few, st.floats(width=32, allow_nan=False, allow_infinity=False)), min_size=1, max_size=40
)


def by_code(row: list[float], low_ids_first: bool) -> list[int]:
    return order_key(torch.tensor([row]), low_ids_first=low_ids_first).argsort(descending=True).tolist()[0]


@given(rows, st.booleans())
def test_equals_a_python_sort(row: list[float], low_ids_first: bool) -> None:
    row = [oracle.f32(x) for x in row]  # some of `few` are decimals
    assert by_code(row, low_ids_first) == oracle.order(row, low_ids_first)


def test_hand_computed() -> None:
    row = [-0.0, 1.0, 0.0, -1e-45, 1e-45, 1.0, -INF]
    assert by_code(row, True) == [1, 5, 4, 0, 2, 3, 6]
    assert by_code(row, False) == [5, 1, 4, 2, 0, 3, 6]


@pytest.mark.parametrize("low_ids_first", [True, False])
def test_ids_never_reach_into_the_next_float(low_ids_first: bool) -> None:
    row = torch.full((1, 2**19 - 1), 1.0)
    row[0, ::2] = torch.tensor(1.0).nextafter(torch.tensor(2.0))
    key = order_key(row, low_ids_first=low_ids_first)
    assert key.unique().numel() == 2**19 - 1
    assert key[0, ::2].min() > key[0, 1::2].max()
    assert ((key[0, ::2].diff() < 0) == low_ids_first).all()


@given(rows)
def test_the_key_is_the_documented_integer(row: list[float]) -> None:
    """The bits as a signed integer, inverted below the sign where it is negative, times 2^19, less the id or plus it."""
    signed = [oracle.bits32(x) - 2**32 if x < 0 else oracle.bits32(abs(x)) for x in map(oracle.f32, row)]
    scaled = [(b ^ 0x7FFFFFFF if b < 0 else b) * 2**19 for b in signed]
    logits = torch.tensor([row])
    assert order_key(logits).tolist() == [[n - i for i, n in enumerate(scaled)]]
    assert order_key(logits, low_ids_first=False).tolist() == [[n + i for i, n in enumerate(scaled)]]


def test_neighbouring_floats_around_zero() -> None:
    ladder = [oracle.from_bits32(i) for i in range(50, 0, -1)] + [0.0]
    ladder += [oracle.from_bits32(2**31 + i) for i in range(1, 50)]
    assert by_code(ladder, True) == list(range(100))
    assert by_code(ladder[::-1], True) == list(range(100))[::-1]


def test_all_different_within_a_row() -> None:
    torch.manual_seed(1)
    key = order_key(torch.randint(-3, 3, (5, 400)).float())
    assert all(row.unique().numel() == 400 for row in key)
