"""Wide nuclei in float64 are those of the definition wherever they are not left in doubt, which is nearly always."""

from __future__ import annotations

import math
from typing import Any

import oracle
import pytest
import torch
from sampling_kernels import reference
from sampling_kernels.candidates.wide_nucleus import wide_nucleus
from sampling_kernels.fixed_point import to_fixed_point
from torch import Tensor


def rows(seed: int, width: int, scale: float) -> Tensor:
    return torch.randn(40, width, generator=torch.Generator().manual_seed(seed)) * scale


@pytest.mark.parametrize("ties", [False, True], ids=["distinct", "ties"])
@pytest.mark.parametrize("rule", [{}, {"tie_break": "highest_id"}, {"keep_ties": True}], ids=str)
def test_as_the_reference(rule: dict[str, Any], ties: bool) -> None:
    certain = 0
    for seed, (width, scale, p) in enumerate(
        [(3000, 1.0, 0.9), (700, 3.0, 0.5), (64, 0.1, 0.99), (5000, 0.3, 0.2)]
    ):
        made = rows(seed, width, scale)
        made = (made * 8).round() / 8 if ties else made
        made[:, 5] = -torch.inf
        share = torch.tensor([[to_fixed_point(str(p))]])
        expected = reference.top_p_mask(made, share, **rule)
        weights = reference.weights(made)
        for i in range(len(made)):
            found = wide_nucleus(made[i : i + 1], p, **rule)
            if found is None:
                continue
            certain += 1
            assert torch.equal(found.kept[0], expected[i])
            normalizer = (weights[i] * expected[i]).sum().item() / 2**43
            assert found.normalizer.item() == pytest.approx(normalizer, rel=1e-7)
            assert found.total.item() == pytest.approx(weights[i].sum().item() / 2**43, rel=1e-7)
    assert certain > 150  # of 160


def test_as_the_oracle() -> None:
    row = rows(9, 300, 1.0)[:1]
    found = wide_nucleus(row, 0.9)
    assert found is not None
    assert {*found.kept[0].nonzero()[:, 0].tolist()} == oracle.nucleus(row[0].tolist(), "0.9")


@pytest.mark.parametrize("p", [0.5, 0.9])
def test_an_exact_hit_is_left_in_doubt(p: float) -> None:
    """Ten equal logits hold 0.5 and 0.9 exactly: only integers tell."""
    assert wide_nucleus(torch.zeros(1, 10), p) is None


def test_less_than_the_margin_is_left_in_doubt() -> None:
    """A boundary within what the definition's exponential may be off."""
    logits = torch.tensor([[0.0, -1.0, -2.0]])
    total = 1 + math.exp(-1) + math.exp(-2)
    for prefix, count in ((1.0, 1), (1 + math.exp(-1), 2)):
        for nearly in (1 - 1e-10, 1.0, 1 + 1e-10):
            assert wide_nucleus(logits, prefix / total * nearly) is None
        for off, kept in ((1 - 1e-6, count), (1 + 1e-6, count + 1)):
            found = wide_nucleus(logits, prefix / total * off)
            assert found is not None
            assert found.kept.sum() == kept
