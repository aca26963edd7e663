"""Banning without a selection: not a bit of a kept logit changes."""

from __future__ import annotations

import math

import torch
from hypothesis import given
from hypothesis import strategies as st
from oracle import bits32, f32
from sampling_kernels.weighted_logits import mask_logits

few = st.sampled_from([0.0, -0.0, 1e-45, -1e-45, 1.1754943508222875e-38, 3.4e38, -3.4e38, -math.inf])
floats = st.one_of(few, st.floats(width=32, allow_nan=False, allow_infinity=False))


@given(st.lists(st.tuples(floats, st.booleans()), min_size=1, max_size=40))
def test_kept_logits_keep_their_bits_and_the_others_are_minus_infinity(
    tokens: list[tuple[float, bool]],
) -> None:
    logits, kept = torch.tensor([[x for x, _ in tokens]]), torch.tensor([[keep for _, keep in tokens]])
    got = [bits32(x) for x in mask_logits(logits, kept)[0].tolist()]
    assert got == [bits32(f32(x) if keep else -math.inf) for x, keep in tokens]


def test_the_arguments_stay_as_they_are() -> None:
    logits, kept = torch.tensor([[1.0, 2.0]]), torch.tensor([[True, False]])
    mask_logits(logits, kept)
    assert logits.tolist() == [[1.0, 2.0]]
    assert kept.tolist() == [[True, False]]


def test_one_mask_for_many_rows() -> None:
    got = mask_logits(torch.ones(2, 2), torch.tensor([[True, False], [False, True]]))
    assert got.tolist() == [[1.0, -math.inf], [-math.inf, 1.0]]
