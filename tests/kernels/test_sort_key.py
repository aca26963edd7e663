"""The order of tokens as one integer key."""

from __future__ import annotations

import math

import oracle
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sampling_kernels.sort_key import sort_key

INF = math.inf
few = st.sampled_from([0.0, -0.0, 1.0, -1.0, 1e-45, -1e-45, 1.1754943508222875e-38, -INF, 3e38, -3e38])
rows = st.lists(
    st.one_of(few, st.floats(width=32, allow_nan=False, allow_infinity=False)), min_size=1, max_size=40
)


def by_code(row: list[float], tie_break: str) -> list[int]:
    return sort_key(torch.tensor([row]), tie_break=tie_break).argsort(descending=True).tolist()[0]


@given(rows, st.sampled_from(["lowest_id", "highest_id"]))
def test_equals_a_python_sort(row: list[float], tie_break: str) -> None:
    row = [oracle.f32(x) for x in row]  # some of `few` are decimals
    assert by_code(row, tie_break) == oracle.order(row, tie_break)


def test_hand_computed() -> None:
    row = [-0.0, 1.0, 0.0, -1e-45, 1e-45, 1.0, -INF]
    assert by_code(row, "lowest_id") == [1, 5, 4, 0, 2, 3, 6]
    assert by_code(row, "highest_id") == [5, 1, 4, 2, 0, 3, 6]


@pytest.mark.parametrize("tie_break", ["lowest_id", "highest_id"])
def test_ids_never_reach_into_the_next_float(tie_break: str) -> None:
    row = torch.full((1, 2**19 - 1), 1.0)
    row[0, ::2] = torch.tensor(1.0).nextafter(torch.tensor(2.0))
    key = sort_key(row, tie_break=tie_break)
    assert key.unique().numel() == 2**19 - 1
    assert key[0, ::2].min() > key[0, 1::2].max()
    assert ((key[0, ::2].diff() < 0) == (tie_break == "lowest_id")).all()


@given(rows)
def test_the_key_is_the_documented_integer(row: list[float]) -> None:
    """The bits as a signed integer, inverted below the sign where it is negative, times 2^19, less the id or plus it."""
    signed = [oracle.bits32(x) - 2**32 if x < 0 else oracle.bits32(abs(x)) for x in map(oracle.f32, row)]
    scaled = [(b ^ 0x7FFFFFFF if b < 0 else b) * 2**19 for b in signed]
    logits = torch.tensor([row])
    assert sort_key(logits).tolist() == [[n - i for i, n in enumerate(scaled)]]
    assert sort_key(logits, tie_break="highest_id").tolist() == [[n + i for i, n in enumerate(scaled)]]


def test_neighbouring_floats_around_zero() -> None:
    ladder = [oracle.from_bits32(i) for i in range(50, 0, -1)] + [0.0]
    ladder += [oracle.from_bits32(2**31 + i) for i in range(1, 50)]
    assert by_code(ladder, "lowest_id") == list(range(100))
    assert by_code(ladder[::-1], "lowest_id") == list(range(100))[::-1]


def test_all_different_within_a_row() -> None:
    torch.manual_seed(1)
    key = sort_key(torch.randint(-3, 3, (5, 400)).float())
    assert all(row.unique().numel() == 400 for row in key)
