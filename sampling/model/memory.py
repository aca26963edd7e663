"""Memory for a model's weights, in pages that are fast to read through."""

from __future__ import annotations

import mmap
from collections.abc import Sequence
from itertools import accumulate

import torch
from torch import Tensor

from sampling.model.llama import Llama

CACHE_LINE = 64  # bytes, where every tensor begins


def allocated(model: Llama, device: torch.device | str) -> Llama:
    """Give a model that has nothing but shapes its memory; its weights are arbitrary until they are filled in.

    Args:
        model: A model on the device "meta", or one whose weights may be lost.
        device: Where it goes. On the CPU all weights that this process holds whole lie in large pages.

    Returns:
        The same model.
    """
    on_cpu = torch.device(device).type == "cpu"
    whole = [
        parameter for parameter in model.parameters() if on_cpu and model.held(parameter)[0] is parameter
    ]
    rooms = {id(parameter): room for parameter, room in zip(whole, in_large_pages(whole), strict=True)}

    def room_for(tensor: Tensor) -> Tensor:
        room = rooms.get(id(tensor))
        return torch.empty_like(tensor, device=device) if room is None else room

    # as `to_empty` does it
    return model._apply(room_for)  # pyright: ignore[reportPrivateUsage]


def in_large_pages(tensors: Sequence[Tensor]) -> list[Tensor]:
    """Room on the CPU for such tensors, side by side, in large pages where the system has them.

    A decode step reads all weights. In pages of 4 KiB these are more pages than a core's translation buffer holds, and waiting
    for their addresses costs a part of the bandwidth; pages of 2 MiB do away with that. Linux gives them where
    /sys/kernel/mm/transparent_hugepage/enabled says "madvise" or "always".

    Source: https://docs.kernel.org/admin-guide/mm/transhuge.html.

    Args:
        tensors: Tensors whose shapes and types are wanted; none empty.

    Returns:
        A tensor for each, of arbitrary contents.

    Example:
        >>> [room] = in_large_pages([torch.zeros(2, 3, dtype=torch.bfloat16)])
        >>> room.shape, room.dtype
        (torch.Size([2, 3]), torch.bfloat16)
    """
    sizes = [-(-tensor.nbytes // CACHE_LINE) * CACHE_LINE for tensor in tensors]
    block = large_pages(sum(sizes))
    if block is None:
        return [torch.empty_like(tensor, device="cpu") for tensor in tensors]
    starts = accumulate(sizes[:-1], initial=0)
    return [
        torch.frombuffer(block, dtype=tensor.dtype, count=tensor.numel(), offset=start).view(tensor.shape)
        for tensor, start in zip(tensors, starts, strict=True)
    ]


def large_pages(size: int) -> mmap.mmap | None:
    """So many bytes in large pages; None where there are no such pages, or not so many bytes in one piece."""
    if size == 0 or not hasattr(mmap, "MADV_HUGEPAGE"):
        return None
    try:
        block = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        block.madvise(mmap.MADV_HUGEPAGE)
    except OSError:
        return None
    return block
