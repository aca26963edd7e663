"""Eager decode steps: bits that do not depend on other rows, and positions that are not looked at."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from sampling.errors import RowError
from sampling.model import Llama, LlamaConfig, pack
from sampling.model.forward import Eager


@pytest.fixture(scope="module")
def model() -> Llama:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=97,
        hidden_size=512,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=8,
        num_key_value_heads=2,
        head_dim=64,
        max_position_embeddings=2048,
    )
    model = Llama(config).requires_grad_(False)
    pack(model)
    return model


def last_logits(model: Llama, lengths: list[int], capacity: int) -> Tensor:
    """Of the rows after one more token, [B, V]."""
    cache = model.new_cache(len(lengths), capacity)
    for row, length in enumerate(lengths):
        prompt = model.new_cache(1, length)
        model.next_logits((torch.arange(length) * 7 % 97)[None], prompt)
        cache.put([row], prompt)
    logits = torch.zeros(len(lengths), 97)
    forward = Eager(model, cache, logits)
    forward.claim(torch.ones(len(lengths), dtype=torch.int64))
    forward.run(torch.full((len(lengths),), 5))
    return logits


@pytest.mark.parametrize("length", [3, 255, 511])
def test_no_bit_depends_on_how_long_another_row_is(model, length):
    alone = last_logits(model, [length, 1], 1100)
    for other in (600, 1050):
        assert torch.equal(last_logits(model, [length, other], 1100)[0], alone[0])


@pytest.mark.parametrize("length", [511, 512, 1030])
def test_all_earlier_positions_are_looked_at(model, length):
    """Around a block's end, against the whole text in one pass."""
    text = torch.cat([torch.arange(length) * 7 % 97, torch.tensor([5])])
    told = model(text[None])[0, -1]
    torch.testing.assert_close(last_logits(model, [length], 1100)[0], told, rtol=0, atol=2e-5)


def test_a_row_beyond_what_is_looked_at_has_nan_logits(model):
    cache = model.new_cache(1, 1100)
    model.next_logits(torch.ones(1, 600, dtype=torch.int64), cache)
    cache.look_at(512)
    assert bool(model.next_logits(torch.tensor([[5]]), cache).isnan().all())


def test_a_row_without_a_new_token_keeps_its_logits(model):
    cache, logits = model.new_cache(2, 8), torch.zeros(2, 97)
    forward = Eager(model, cache, logits)
    forward.claim(torch.tensor([0, 1]))
    forward.run(torch.tensor([-1, 3]))
    assert torch.equal(logits[0], torch.zeros(97))
    assert logits[1].abs().sum() > 0
    assert cache.lengths.tolist() == [0, 1]


def test_a_full_row_is_refused_before_anything_changes(model):
    cache = model.new_cache(1, 4)
    model.next_logits(torch.ones(1, 4, dtype=torch.int64), cache)
    forward = Eager(model, cache, torch.zeros(1, 97))
    forward.claim(torch.tensor([1]))
    with pytest.raises(RowError, match="row 0: 4 positions and 1 new ones do not fit"):
        forward.run(torch.tensor([3]))
    assert cache.lengths.tolist() == [4]
