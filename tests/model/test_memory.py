"""Where weights lie: each in a place of its own, in large pages where the system has them, given back at the end."""

from __future__ import annotations

import gc
import mmap
import re
import weakref
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from small_llama import CONFIG
from torch import Tensor

from sampling.model import Llama
from sampling.model.memory import CACHE_LINE, allocated, in_large_pages, large_pages
from sampling.model.rotary import Rotary

SMAPS = Path("/proc/self/smaps")
needs_large_pages = pytest.mark.skipif(large_pages(4096) is None, reason="no large pages here")


def model(*, tied: bool = False) -> Llama:
    """On no device; few of its weights end where a cache line does."""
    config = replace(
        CONFIG,
        vocab_size=61,
        hidden_size=24,
        intermediate_size=36,
        num_attention_heads=3,
        num_key_value_heads=1,
        tie_word_embeddings=tied,
    )
    with torch.device("meta"):
        return Llama(config)


def flags_of(tensor: Tensor) -> list[str]:
    """What the kernel notes of the mapping that a tensor lies in."""
    inside = False
    for line in SMAPS.read_text().splitlines():
        if header := re.match(r"([0-9a-f]+)-([0-9a-f]+) ", line):
            inside = int(header[1], 16) <= tensor.data_ptr() < int(header[2], 16)
        elif inside and line.startswith("VmFlags:"):
            return line.split()[1:]
    return []


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_every_weight_has_a_place_of_its_own(dtype):
    ours = allocated(model().to(dtype), "cpu").requires_grad_(False)
    parameters = [*ours.parameters()]
    for number, parameter in enumerate(parameters):
        parameter.fill_(number)
    assert all(bool((parameter == number).all()) for number, parameter in enumerate(parameters))
    assert {parameter.dtype for parameter in parameters} == {dtype}
    shapes = [[tuple(parameter.shape) for parameter in each.parameters()] for each in (ours, model())]
    assert shapes[0] == shapes[1]
    assert all(parameter.data_ptr() % CACHE_LINE == 0 for parameter in parameters)


def test_a_tied_table_has_one_place():
    ours = allocated(model(tied=True), "cpu").requires_grad_(False)
    ours.embed_tokens.weight.fill_(2.0)
    [product] = ours.project_logits(torch.ones(1, 24))
    assert torch.equal(product, torch.full((1, 61), 48.0))


def test_buffers_are_what_they_were():
    assert torch.equal(allocated(model(), "cpu").rotary.frequencies, Rotary(model().config).frequencies)


@needs_large_pages
def test_tensors_lie_side_by_side_and_are_given_back_with_the_last(monkeypatch):
    blocks: list[weakref.ref[mmap.mmap]] = []

    class Noted(mmap.mmap):
        def __init__(self, *_: object, **__: object) -> None:
            blocks.append(weakref.ref(self))

    monkeypatch.setattr(mmap, "mmap", Noted)
    first, second = in_large_pages([torch.empty(5), torch.empty(3, dtype=torch.bfloat16)])
    assert second.data_ptr() - first.data_ptr() == CACHE_LINE
    part = first[2:]
    del first, second
    gc.collect()
    assert blocks[0]() is not None
    del part
    gc.collect()
    assert blocks[0]() is None


@needs_large_pages
@pytest.mark.skipif(not SMAPS.exists(), reason="no /proc here")
def test_large_pages_are_asked_for():
    [room] = in_large_pages([torch.empty(4 * 2**20)])
    assert "hg" in flags_of(room)
    elsewhere = flags_of(torch.frombuffer(mmap.mmap(-1, 2**24), dtype=torch.float32))
    assert elsewhere
    assert "hg" not in elsewhere


def test_without_large_pages_there_is_room_all_the_same(monkeypatch):
    def refused(*_: object, **__: object) -> None:
        raise OSError(12, "Cannot allocate memory")

    class Unadvised(mmap.mmap):
        madvise = refused

    wanted = [torch.zeros(2, 3), torch.zeros(5, dtype=torch.bfloat16)]
    for mapping in (refused, Unadvised):
        with monkeypatch.context() as patch:
            patch.setattr(mmap, "mmap", mapping)
            assert mapping is refused or large_pages(4096) is None
            first, second = in_large_pages(wanted)
            assert (first.shape, second.shape, second.dtype) == ((2, 3), (5,), torch.bfloat16)
    monkeypatch.delattr(mmap, "MADV_HUGEPAGE", raising=False)
    assert [room.shape for room in in_large_pages(wanted)] == [(2, 3), (5,)]
    assert in_large_pages([]) == []
