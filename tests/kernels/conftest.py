"""Rows that the fast kernels could get wrong, for every test of a fast form."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor


def banned_but(row: Tensor, banned: int) -> Tensor:
    """A row with the first few tokens of a random order banned; one always stays."""
    order = torch.randperm(len(row))
    return row.index_fill(0, order[: min(banned, len(row) - 1)], -math.inf)


@pytest.fixture(scope="session")
def hard_rows() -> Callable[[int], Tensor]:
    """Peaked, flat, tied, banned, denormal and huge rows of a width; float32 [15, V]."""

    def rows(vocabulary: int) -> Tensor:
        torch.manual_seed(vocabulary)
        normal, even = torch.randn(vocabulary), torch.arange(vocabulary) % 2 == 0
        return torch.stack(
            [
                normal * 6,
                normal * 0.1,
                torch.zeros(vocabulary),
                (normal * 2).round(),
                (normal * 3).bfloat16().float(),
                banned_but(normal, 1),
                banned_but(normal.round(), 2),
                banned_but(normal, vocabulary // 2),
                banned_but(normal, vocabulary - 1),
                torch.where(even, 0.0, -0.0),
                (normal * 4).round() * 2.0**-149,
                torch.where(even, 3.4e38, -3.4e38) * normal.abs().clamp(max=1),
                torch.where(even, -29.5, -31.5).index_fill(0, torch.tensor([vocabulary // 2]), 0.0),
                normal.abs() * -40,
                normal.sort(descending=True).values * 3,
            ]
        )

    return rows
