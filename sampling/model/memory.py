"""Memory for a model's weights, in pages that are fast to read through."""

from __future__ import annotations

import mmap
from collections.abc import Sequence
from contextlib import suppress
from itertools import accumulate

import torch
from torch import Tensor

from sampling.model.llama import Llama

CACHE_LINE = 64  # bytes


def allocated(model: Llama, device: torch.device | str) -> Llama:
    """Give a model that has nothing but shapes its memory; its weights are arbitrary until they are filled in.

    Args:
        model: A model on the device "meta", or one whose weights may be lost.
        device: Where it goes. On the CPU all weights lie in one block of large pages, see `in_large_pages`.

    Returns:
        The same model.
    """
    model = model.to_empty(device=device)
    whole = [parameter for parameter in model.parameters() if model.held(parameter)[0] is parameter]
    if torch.device(device).type == "cpu":
        for parameter, place in zip(whole, in_large_pages(whole), strict=True):
            parameter.data = place
    return model


def in_large_pages(tensors: Sequence[Tensor]) -> list[Tensor]:
    """Room on the CPU for such tensors, side by side, in large pages where the system has them.

    A decode step reads all weights. In pages of 4 KiB these are more pages than a core's translation buffer holds, and waiting
    for their addresses costs a part of the bandwidth; pages of 2 MiB do away with that. Linux gives them where
    /sys/kernel/mm/transparent_hugepage/enabled says "madvise" or "always".

    Source: https://docs.kernel.org/admin-guide/mm/transhuge.html.

    Args:
        tensors: Tensors whose shapes and types are wanted; at least one, none empty.

    Returns:
        A tensor for each, of arbitrary contents.

    Example:
        >>> [room] = in_large_pages([torch.zeros(2, 3, dtype=torch.bfloat16)])
        >>> room.shape, room.dtype
        (torch.Size([2, 3]), torch.bfloat16)
    """
    if not hasattr(mmap, "MADV_HUGEPAGE"):
        return [torch.empty_like(tensor, device="cpu") for tensor in tensors]
    sizes = [-(-tensor.nbytes // CACHE_LINE) * CACHE_LINE for tensor in tensors]
    block = mmap.mmap(-1, sum(sizes), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    with suppress(OSError):  # a kernel built without them
        block.madvise(mmap.MADV_HUGEPAGE)
    starts = accumulate(sizes[:-1], initial=0)
    return [
        torch.frombuffer(block, dtype=tensor.dtype, count=tensor.numel(), offset=start).view(tensor.shape)
        for tensor, start in zip(tensors, starts, strict=True)
    ]
