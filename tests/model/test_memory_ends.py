"""Where memory ends: one error, for the row that needs more; its neighbours go on."""

from __future__ import annotations

import pickle
import sys
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from small_llama import CONFIG, small

from sampling import SamplingParams, dialect
from sampling.chat.batch import kept
from sampling.core.errors import NotEnoughMemory
from sampling.generate.decode import Decoder
from sampling.generate.sampled_token import SampledToken
from sampling.model import Llama
from sampling.model.allocation import out_of_memory_as_error
from sampling.model.divided import DividedCache
from sampling.model.growing import GrowingCache

LARGE = 2**23  # bytes; a cache that grows takes more
GREEDY = SamplingParams(temperature=0)
LONG, SHORT = [(7 * place) % 97 for place in range(510)], [5, 6, 7]
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="limits of address space are Linux's")


@pytest.fixture(scope="module")
def wide() -> Llama:
    """A model of which 512 positions take 16.8 MB."""
    config = replace(
        CONFIG, num_key_value_heads=4, head_dim=1024, max_position_embeddings=4096, num_hidden_layers=1
    )
    return small(config)


def decoder(model: Llama, rows: int = 2) -> Decoder:
    return Decoder(model, rows=rows, capacity=4096, tokenizer_vocab_size=97, dialect=dialect("qstash"))


@contextmanager
def address_space(spare: int) -> Iterator[None]:
    """So many bytes, and no more, can be mapped, and what the allocator has kept is in use: it fails as where memory ends."""
    import resource

    before = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + spare, before[1]))
    kept_by_allocator: list[torch.Tensor] = []
    try:
        with suppress(RuntimeError):
            while True:
                kept_by_allocator.append(torch.empty(LARGE, dtype=torch.uint8))
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
        kept_by_allocator.clear()


@contextmanager
def little_free(spare: int) -> Iterator[None]:
    """The system says that it has so many bytes, and no more."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sampling.model.allocation.free_bytes", lambda _: spare)
        yield


@contextmanager
def cuda_is_full(spare: int) -> Iterator[None]:  # noqa: ARG001 (as the others)
    """The next cache is refused as CUDA's allocator refuses."""

    def refuse(**_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sampling.model.llama.KeyValueCache", refuse)
        yield


def tokens(running: Decoder, row: int, steps: int) -> list[int]:
    told = [running.step()[row] for _ in range(steps)]
    assert all(isinstance(one, SampledToken) for one in told)
    return [one.token_id for one in told]


LIMITS = [pytest.param(address_space, marks=LINUX), little_free, cuda_is_full]


@pytest.mark.parametrize("limit", LIMITS)
def test_the_row_fails_and_its_neighbours_go_on(wide, limit):
    alone = decoder(wide)
    alone.add(SHORT, GREEDY)
    expected = tokens(alone, 0, 8)
    running = decoder(wide)
    (short,), (long,) = running.add(SHORT, GREEDY), running.add(LONG, GREEDY)
    told = tokens(running, short, 2)
    with limit(spare=2_000_000):
        told += tokens(running, short, 1)  # the long row's 512th position went in
        failed = running.step()
        told.append(failed[short].token_id)
        again = running.step()
        told.append(again[short].token_id)
        running.remove([long])
        told += tokens(running, short, 1)
    for step in (failed, again):
        assert isinstance(step[long], NotEnoughMemory)
        assert str(step[long]).startswith("max_tokens: memory ends (33")  # 1,025 positions
    (long,) = running.add(LONG, GREEDY)
    told += tokens(running, short, 2)
    assert told == expected
    assert tokens(running, long, 4)  # memory is back, and so is the row


@pytest.mark.parametrize("limit", LIMITS)
def test_a_prompt_without_memory_is_refused_before_it_is_read(wide, limit, monkeypatch):
    running = decoder(wide)
    (short,) = running.add(SHORT, GREEDY)
    with limit(spare=2_000_000), monkeypatch.context() as patch:
        patch.setattr(wide, "next_logits", None)
        with pytest.raises(NotEnoughMemory, match=r"max_tokens: memory ends \(50,3\d\d,\d\d\d bytes"):
            running.add([1] * 1500, GREEDY, max_tokens=10)
    assert running.free == 1
    assert len(tokens(running, short, 2)) == 2


def test_memory_that_ends_while_a_prompt_is_read_leaves_nothing_of_it(wide, monkeypatch):
    running = decoder(wide)
    forward, calls = wide.next_logits, []

    def fails(*arguments):
        calls.append(len(arguments[0]))
        if len(calls) == 2:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return forward(*arguments)

    monkeypatch.setattr(wide, "next_logits", fails)
    prefill = running.begin([1] * 1100, GREEDY, max_tokens=10)
    room = weakref.ref(prefill.rooms[0])
    running.advance(prefill)
    try:
        running.advance(prefill)
    except NotEnoughMemory as error:
        stored = kept(error)
    del prefill
    assert "while a prompt of 1,100 tokens is read" in str(stored)
    assert room() is None  # although the error is still there
    assert running.free == 2


@pytest.mark.parametrize("kind", [DividedCache, GrowingCache])
def test_a_cache_that_can_not_grow_is_as_it_was(wide, kind):
    cache = kind(wide, 2, 4096) if kind is DividedCache else kind(wide, 2, 4096, lambda: None)
    rooms = cache.rooms(512, most=600, choices=1)
    wide.next_logits(torch.tensor([(LONG + SHORT)[:512]]), rooms[0])
    cache.copy_prefix([0], rooms, length=512, most=600)
    with little_free(0):
        assert list(cache.grow(torch.tensor([1, 1]))) == [0]
    assert cache.grow(torch.tensor([1, 1])) == {}


def test_who_reads_a_cache_is_told_before_it_is_replaced(wide):
    """Captured steps read addresses: when rows grow, when a prompt brings its own cache, when the last row leaves."""
    seen: list[int] = []
    cache = GrowingCache(wide, 1, 4096, lambda: seen.append(cache.now.capacity))
    wide.next_logits(torch.tensor([LONG]), room := cache.rooms(510, most=600, choices=1)[0])
    cache.copy_prefix([0], [room], length=510, most=600)
    assert seen == []
    assert cache.grow(torch.tensor([3])) == {}
    assert (seen, cache.now.capacity) == ([512], 1024)
    cache.free([0])
    assert (seen, cache.now.capacity) == ([512, 1024], 512)
    cache.copy_prefix([0], cache.rooms(1500, most=1600, choices=1), length=1500, most=1600)
    assert (seen, cache.now.capacity) == ([512, 1024, 512], 2048)


def test_other_errors_of_the_runtime_are_not_taken_for_memory():
    with pytest.raises(RuntimeError, match="shapes"):
        out_of_memory_as_error(lambda: torch.zeros(2) @ torch.zeros(3, 3), "never mind")


def test_the_error_crosses_the_border_of_a_process():
    error = pickle.loads(pickle.dumps(NotEnoughMemory("1 byte more is wanted")))
    assert str(error) == (
        "max_tokens: memory ends (1 byte more is wanted); must be smaller, or the prompt shorter, or n smaller"
    )
