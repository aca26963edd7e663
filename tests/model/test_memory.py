"""Where weights lie: each in a place of its own, in large pages where the system has them, given back at the end."""

from __future__ import annotations

import mmap
import re
from pathlib import Path

import pytest
import torch
from torch import Tensor

from sampling.model import Llama, LlamaConfig
from sampling.model.memory import CACHE_LINE, allocated, in_large_pages

MIB = 2**20
ENABLED = Path("/sys/kernel/mm/transparent_hugepage/enabled")
SMAPS = Path("/proc/self/smaps")


def model(width: int = 24) -> Llama:
    config = LlamaConfig(
        vocab_size=61,
        hidden_size=width,
        intermediate_size=36,
        num_hidden_layers=2,
        num_attention_heads=3,
        num_key_value_heads=1,
        head_dim=8,
        max_position_embeddings=64,
    )
    with torch.device("meta"):
        return Llama(config)


def mapping_of(tensor: Tensor) -> dict[str, int]:
    """What the kernel says of the mapping that a tensor lies in, in KiB; nothing where it lies in none."""
    inside = False
    found: dict[str, int] = {}
    for line in SMAPS.read_text().splitlines():
        if header := re.match(r"([0-9a-f]+)-([0-9a-f]+) ", line):
            inside = int(header[1], 16) <= tensor.data_ptr() < int(header[2], 16)
        elif inside and (entry := re.match(r"(\w+): +(\d+) kB", line)):
            found[entry[1]] = int(entry[2])
    return found


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_every_weight_has_a_place_of_its_own(dtype):
    ours = allocated(model().to(dtype), "cpu").requires_grad_(False)
    parameters = [*ours.parameters()]
    for number, parameter in enumerate(parameters):
        parameter.fill_(number)
    assert all(bool((parameter == number).all()) for number, parameter in enumerate(parameters))
    assert {parameter.dtype for parameter in parameters} == {dtype}
    assert [tuple(parameter.shape) for parameter in parameters] == [
        tuple(parameter.shape) for parameter in model().parameters()
    ]
    assert all(parameter.data_ptr() % CACHE_LINE == 0 for parameter in parameters)
    size = sum(-(-parameter.nbytes // CACHE_LINE) * CACHE_LINE for parameter in parameters)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        assert parameters[-1].data_ptr() + parameters[-1].nbytes - parameters[0].data_ptr() <= size


def test_a_tied_table_has_one_place():
    ours = allocated(model(), "cpu")
    tied = ours.scored.modules[0]
    assert tied is ours.embed_tokens or tied is ours.lm_head
    assert tied.weight.data_ptr() in [parameter.data_ptr() for parameter in ours.parameters()]


def test_without_large_pages_there_is_room_all_the_same(monkeypatch):
    monkeypatch.delattr(mmap, "MADV_HUGEPAGE", raising=False)
    first, second = in_large_pages([torch.zeros(2, 3), torch.zeros(5, dtype=torch.bfloat16)])
    assert (first.shape, second.shape, second.dtype) == ((2, 3), (5,), torch.bfloat16)


@pytest.mark.skipif(
    not (SMAPS.exists() and ENABLED.exists()) or "[never]" in ENABLED.read_text(),
    reason="no transparent large pages here",
)
def test_the_system_gives_large_pages():
    """All of 64 MiB but the two ends, unless memory is so cut up that the kernel has none left."""
    [room] = in_large_pages([torch.empty(16 * MIB)])
    room.fill_(1.0)
    assert mapping_of(room)["AnonHugePages"] >= 32 * 2**10


@pytest.mark.skipif(not SMAPS.exists(), reason="no /proc here")
def test_memory_is_given_back_with_the_last_tensor():
    first, second = in_large_pages([torch.empty(4 * MIB), torch.empty(4 * MIB)])
    first.fill_(1.0)
    address, part = first.data_ptr(), first[5:]
    del first, second
    assert mapping_of(part)["Rss"] >= 16 * 2**10
    assert bool((part == 1.0).all())
    del part
    assert f"{address:x}-" not in SMAPS.read_text()
