"""TokenizerVocabSize: every id from a size on is banned, and nothing else changes."""

from __future__ import annotations

import math

import pytest
import torch

from sampling import History, InvalidArgument
from sampling.processors import TokenizerVocabSize


@pytest.mark.parametrize(("size", "left"), [(1, 1), (2, 2), (3, 3), (4, 3)])
def test_ids_from_the_size_on_are_banned(size: int, left: int) -> None:
    logits = torch.tensor([[0.0, -5.0, 9.0], [1.0, -math.inf, 2.0]])
    out = TokenizerVocabSize(size)(logits, History.start([[], []]))
    assert out[:, :left].tolist() == logits[:, :left].tolist()
    assert (out[:, left:] == -math.inf).all()


@pytest.mark.parametrize("size", [0, -1, 1.5, True])
def test_what_is_no_size(size: object) -> None:
    with pytest.raises(InvalidArgument, match=f"size: got {size}, must be an integer of at least 1"):
        TokenizerVocabSize(size)  # pyright: ignore[reportArgumentType]
