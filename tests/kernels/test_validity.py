"""Rows that cannot be sampled."""

from __future__ import annotations

import math

import pytest
import torch
from sampling_kernels.validity import NOT_A_NUMBER, NOTHING_LEFT, replace_invalid_rows, row_validity

INF, NAN = math.inf, math.nan


def test_each_kind() -> None:
    rows = [
        ([0.0, 1.0, -INF], 0),
        ([3.4e38, -3.4e38, 0.0], 0),
        ([-INF, -INF, -3e38], 0),
        ([NAN, 1.0, 2.0], 1),
        ([-INF, -INF, NAN], 1),
        ([INF, 0.0, 0.0], 1),
        ([INF, NAN, -INF], 1),
        ([-INF, -INF, -INF], 2),
    ]
    assert row_validity(torch.tensor([row for row, _ in rows])).tolist() == [kind for _, kind in rows]
    assert (NOT_A_NUMBER, NOTHING_LEFT) == (1, 2)


def test_one_nan_anywhere_in_a_wide_row() -> None:
    logits = torch.zeros(300, 300).fill_diagonal_(NAN)
    assert row_validity(logits).tolist() == [1] * 300
    assert row_validity(torch.zeros(300, 300)).tolist() == [0] * 300


def test_int64_of_one_per_row() -> None:
    out = row_validity(torch.zeros(3, 5))
    assert out.dtype == torch.int64
    assert out.shape == (3,)


def test_faulty_rows_become_zeros_and_the_others_stay() -> None:
    rows = [[NAN, 1.0], [INF, 0.0], [-INF, -INF], [-0.0, 3.0], [-INF, 1e-45]]
    safe, faults = replace_invalid_rows(torch.tensor(rows))
    assert faults.tolist() == [1, 1, 2, 0, 0]
    expected = torch.tensor([[0.0, 0.0]] * 3 + rows[3:])
    assert torch.equal(safe.view(torch.int32), expected.view(torch.int32))  # the signs of zeros, too


@pytest.mark.parametrize(("row", "kind"), [([NAN, 2.0], 1), ([INF, 2.0], 1), ([-INF, -INF], 2)])
def test_one_faulty_row_among_finite_ones(row: list[float], kind: int) -> None:
    safe, faults = replace_invalid_rows(torch.tensor([[0.0, 1.0], row, [3.0, 4.0]]))
    assert faults.tolist() == [0, kind, 0]
    assert safe.tolist() == [[0.0, 1.0], [0.0, 0.0], [3.0, 4.0]]


def test_rows_without_faults_are_not_copied() -> None:
    logits = torch.tensor([[0.0, -INF], [1.0, 2.0]])
    safe, faults = replace_invalid_rows(logits)
    assert safe is logits
    assert faults.tolist() == [0, 0]
