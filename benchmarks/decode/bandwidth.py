"""Read-only bandwidth: what no decode step that reads its weights once can exceed."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from benchmarks.harness.timing import BUFFER_MIB, Call
from sampling.model.memory import in_large_pages

WIDTH = 1024  # of the rows of the product


def product(matrix: Tensor, vector: Tensor) -> Tensor:
    """Each row's dot product with a vector: reads the matrix once, as a projection at B = 1 does."""
    return (matrix * vector).sum(-1)


def reads(device: str, mebibytes: int | None = None) -> tuple[dict[str, Call], int]:
    """Ways to read one buffer of float32 noise, warmed up, and how many bytes each reads.

    Args:
        device: "cpu" or "cuda".
        mebibytes: Size of the buffer; far beyond the caches by default.
    """
    size = 2**20 * (mebibytes or BUFFER_MIB[device])
    matrix, vector = buffer(size // 4, device).view(-1, WIDTH), torch.rand(WIDTH, device=device)
    compiled_product = torch.compile(product)
    ways: dict[str, Call] = {
        "torch.sum": lambda: awaited(matrix.sum()),
        "compiled product": lambda: awaited(compiled_product(matrix, vector)),
    }
    for call in ways.values():
        call()
    return ways, size


def buffer(count: int, device: str) -> Tensor:
    """Noise, float32 [count]; on the CPU in pages like those of the weights."""
    if device == "cpu":
        [room] = in_large_pages([torch.empty(count, device="meta")])
        return room.uniform_()
    return torch.rand(count, device=device)


def awaited(result: Tensor) -> Tensor:
    """The result, when the device has it."""
    if result.is_cuda:
        torch.cuda.synchronize()
    return result


def fastest(times: Mapping[str, list[float]], size: int) -> dict[str, Any]:
    """Gigabytes per second of each way, by its median, and the largest of them."""
    ways = {way: 1e-9 * size / statistics.median(seconds) for way, seconds in times.items()}
    return {"GB_per_s": max(ways.values()), "ways": ways, "bytes": size}
