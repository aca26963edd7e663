"""Eager decode steps: bits that do not depend on other rows, and positions that are not looked at."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from sampling.core.errors import CacheFull
from sampling.model import Llama, LlamaConfig, pack
from sampling.model.divided import DividedCache
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


def started(model: Llama, lengths: list[int], capacity: int) -> tuple[Eager, Tensor]:
    """Rows with prompts of these lengths; a length of 0 leaves a row free."""
    logits = torch.zeros(len(lengths), 97)
    forward = Eager(model, DividedCache(model, len(lengths), capacity), logits)
    for row, length in enumerate(lengths):
        if length:
            begin(model, forward, row, length)
    return forward, logits


def begin(model: Llama, forward: Eager, row: int, length: int) -> None:
    """Give a row a prompt."""
    rooms = forward.cache.rooms(length, most=length, choices=1)
    model.next_logits((torch.arange(length) * 7 % 97)[None], rooms[0])
    forward.cache.copy_prefix([row], rooms, length=length, most=length)


def stepped(forward: Eager, logits: Tensor, fed: list[int], token: int = 5) -> Tensor:
    """The rows' logits after one more token, [B, V]."""
    counts = torch.tensor(fed)
    assert forward.reserve(counts) == {}
    forward.run(torch.where(counts > 0, token, -1))
    return logits.clone()


def last_logits(model: Llama, lengths: list[int], capacity: int) -> Tensor:
    """Of the rows after one more token, [B, V]."""
    forward, logits = started(model, lengths, capacity)
    return stepped(forward, logits, [1] * len(lengths))


def bytes_held(forward: Eager) -> int:
    """What keys and values take."""
    cache = forward.cache
    kept = [cache._shared, *cache._alone.values()]
    return sum(stored.nbytes for one in kept for stored in (*one.stored_keys, *one.stored_values))


@pytest.mark.parametrize("length", [3, 255, 511, 512, 700])
def test_no_bit_depends_on_how_long_another_row_is(model, length):
    alone = last_logits(model, [length, 1], 1100)
    for other in (600, 1050):
        assert torch.equal(last_logits(model, [length, other], 1100)[0], alone[0])


@pytest.mark.parametrize("capacity", [1100, 2048])
def test_no_bit_depends_on_when_rows_grow(model, capacity):
    """Across 512 and 1024 positions: alone, and beside rows that come, grow and leave at other times."""
    forward, logits = started(model, [505, 0, 0], capacity)
    alone = [stepped(forward, logits, [1, 0, 0], token % 97)[0] for token in range(530)]
    forward, logits = started(model, [505, 1020, 0], capacity)
    for token, expected in enumerate(alone):
        if token == 6:
            begin(model, forward, 2, 3)
        if token == 9:
            forward.cache.free([1])
        if token == 300:
            begin(model, forward, 1, 512)
        fed = [1, int(token < 9 or token >= 300), int(token >= 6)]
        assert torch.equal(stepped(forward, logits, fed, token % 97)[0], expected)


@pytest.mark.parametrize("length", [511, 512, 1030])
def test_all_earlier_positions_are_looked_at(model, length):
    """Around a block's end, against the whole text in one pass."""
    text = torch.cat([torch.arange(length) * 7 % 97, torch.tensor([5])])
    told = model(text[None])[0, -1]
    torch.testing.assert_close(last_logits(model, [length], 1100)[0], told, rtol=0, atol=2e-5)


def test_rows_that_grow_are_the_whole_text_in_one_pass(model):
    forward, logits = started(model, [505], 2048)
    for _ in range(600):
        stepped(forward, logits, [1])
    text = torch.cat([torch.arange(505) * 7 % 97, torch.full((600,), 5)])
    torch.testing.assert_close(logits[0], model(text[None])[0, -1], rtol=0, atol=2e-5)


def test_memory_follows_the_tokens_of_each_row(model):
    position = 2 * 2 * 2 * 64 * 4  # keys and values, 2 layers, 2 heads of 64 float32
    forward, logits = started(model, [3, 500, 0, 0], 2048)
    least = bytes_held(forward)
    assert least == 4 * 513 * position
    for _ in range(15):
        stepped(forward, logits, [1, 1, 0, 0])
    assert bytes_held(forward) == least + 1025 * position
    begin(model, forward, 2, 1500)
    assert bytes_held(forward) == least + (1025 + 1537) * position
    forward.cache.free([1, 2])
    assert bytes_held(forward) == least


def test_choices_of_a_long_prompt_do_not_share_what_is_written(model):
    forward, logits = started(model, [0, 0, 700], 2048)
    rooms = forward.cache.rooms(700, most=800, choices=2)
    model.next_logits((torch.arange(700) * 7 % 97)[None], rooms[0])
    forward.cache.copy_prefix([0, 1], rooms, length=700, most=800)
    told = stepped(forward, logits, [1, 1, 1])
    assert torch.equal(told[0], told[1])
    forward.reserve(torch.tensor([1, 1, 1]))
    forward.run(torch.tensor([5, 6, 5]))
    told = stepped(forward, logits, [1, 1, 1])
    assert torch.equal(told[0], told[2])
    assert not torch.equal(told[0], told[1])


def test_a_row_beyond_what_is_looked_at_has_nan_logits(model):
    cache = model.new_cache(1, 1100)
    model.next_logits(torch.ones(1, 600, dtype=torch.int64), cache)
    cache.limit_read_length(512)
    assert bool(model.next_logits(torch.tensor([[5]]), cache).isnan().all())


def test_a_row_without_a_new_token_keeps_its_logits(model):
    forward, logits = started(model, [0, 1], 8)
    stepped(forward, logits, [0, 1])
    assert torch.equal(logits[0], torch.zeros(97))
    assert logits[1].abs().sum() > 0
    assert forward.cache.lengths.tolist() == [0, 2]


@pytest.mark.parametrize("capacity", [4, 600])
def test_a_full_row_is_refused_before_anything_changes(model, capacity):
    forward, _ = started(model, [capacity], capacity)
    forward.reserve(torch.tensor([1]))
    with pytest.raises(CacheFull, match=f"row 0: {capacity} positions and 1 new ones do not fit"):
        forward.run(torch.tensor([3]))
    assert forward.cache.lengths.tolist() == [capacity]
