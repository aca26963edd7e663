"""The numbers of processors: a scalar or one per row, as the decimals they print as."""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch

from sampling import InvalidArgument
from sampling.processors.numbers import column, decimals


@pytest.mark.parametrize(
    ("value", "texts"),
    [
        (0.5, ["0.5"]),
        (1, ["1"]),
        ([0.1, 1], ["0.1", "1"]),
        ((0.0, 2.0), ["0.0", "2.0"]),  # both ends are allowed
        (np.float32(0.1), ["0.1"]),
        (np.int64(2), ["2"]),
        (torch.tensor(0.1), ["0.1"]),
        (torch.tensor([0.1, 0.7]), ["0.1", "0.7"]),
        (torch.tensor([0.1], dtype=torch.float64), ["0.1"]),
        (torch.tensor([0.5], dtype=torch.float16), ["0.5"]),
        (
            torch.tensor([0.1], dtype=torch.bfloat16),
            ["0.100097656"],
        ),  # as the float32 of the same value prints
        (torch.tensor([1, 2]), ["1", "2"]),
        (torch.tensor([0.5], requires_grad=True), ["0.5"]),
    ],
)
def test_what_they_print_as(value: Any, texts: list[str]) -> None:
    assert decimals("p", value, 0, 2) == texts


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        *((-0.1, "-0.1"), (2.1, "2.1"), (math.nan, "nan"), (math.inf, "inf"), (True, "True"), (None, "None")),
        *(("1", "'1'"), (["1"], "'1'"), ([1, None], "None"), ([0.5, False], "False"), (1j, "1j")),
        *((Fraction(1, 2), r"Fraction\(1, 2\)"), (Decimal(1), r"Decimal\('1'\)")),
        *((np.bool_(True), "np.True_"), (torch.tensor([1.0, 3.0]), r"np.float32\(3.0\)")),
        (torch.tensor([True]), "np.True_"),
    ],
)
def test_what_is_no_number_of_the_range(value: Any, shown: str) -> None:
    with pytest.raises(InvalidArgument, match=f"p: got {shown}, must be a number from 0 to 2"):
        decimals("p", value, 0, 2)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        *(([], r"\[\]"), ((), r"\(\)"), (torch.tensor([]), r"tensor\(\[\]\)")),
        *((torch.ones(1, 1), r"'a tensor of shape \(1, 1\)'"), (torch.ones(2, 2), "'a tensor of shape")),
    ],
)
def test_neither_one_nor_one_per_row(value: Any, shown: str) -> None:
    with pytest.raises(InvalidArgument, match=f"p: got {shown}.*, must be a number, or one per row"):
        decimals("p", value, 0, 2)


def test_a_column_broadcasts_over_the_vocabulary() -> None:
    assert column([1, 2, 3], torch.int64).tolist() == [[1], [2], [3]]
    assert column([0.1], torch.float32).tolist() == [[float(np.float32(0.1))]]
    assert column([0.1], torch.float64).tolist() == [[0.1]]
