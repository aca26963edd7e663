"""Room for keys and values: how much a row gets, and one error where memory ends."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch

from sampling.core.errors import NotEnoughMemory
from sampling.model.cache import BLOCK
from sampling.model.free_memory import free_bytes

T = TypeVar("T")
# What torch and the C++ library say on a CPU, where they have no type of their own for it.
WORDS = ("DefaultCPUAllocator", "bad_alloc")


def positions_to_allocate(positions: int, *, most: int, capacity: int) -> int:
    """How many positions a row gets that needs some: powers of two, so that what is copied in all stays below what is kept.

    Args:
        positions: As many as it needs now.
        most: As many as it may need in the end.
        capacity: As many as any row may have.

    Example:
        >>> [positions_to_allocate(positions, most=5000, capacity=8192) for positions in (1, 513, 1025, 4097)]
        [512, 1024, 2048, 5120]
    """
    doubled = max(BLOCK, 1 << (positions - 1).bit_length())
    whole_blocks = -(-max(positions, most) // BLOCK) * BLOCK
    return min(doubled, whole_blocks, capacity)


def allocate(
    make: Callable[[], T], size: int, device: torch.device, from_all: Callable[[bool], list[bool]]
) -> T:
    """Take memory, or say that there is not enough; either way in every process that holds a part of the model.

    Args:
        make: What takes the memory.
        size: How many bytes that is.
        device: Where.
        from_all: Asks all processes.

    Raises:
        NotEnoughMemory: One of them has not enough.
    """
    made, reason = None, "in another process"
    try:
        require(size, device)
        made = out_of_memory_as_error(make, f"{size:,} bytes more are wanted")
    except NotEnoughMemory as error:
        reason = error.reason
    everywhere = all(from_all(made is not None))
    if made is None or not everywhere:
        raise NotEnoughMemory(reason)
    return made


def require(size: int, device: torch.device) -> None:
    """Refuse what is more than the system has: taken all the same, it would end the process.

    Raises:
        NotEnoughMemory: It is.
    """
    free = free_bytes(device)
    if free is not None and size > free:
        raise NotEnoughMemory(f"{size:,} bytes more are wanted, {free:,} are free")


def out_of_memory_as_error(make: Callable[[], T], reason: str) -> T:
    """Make one error of whatever allocators raise.

    Args:
        make: What may need memory.
        reason: What it is for.

    Raises:
        NotEnoughMemory: An allocator has refused. What had been allocated by then is free: no frame of a traceback holds it.
    """
    try:
        return make()
    except (RuntimeError, MemoryError) as error:
        short = isinstance(error, MemoryError | torch.OutOfMemoryError)
        if not short and not any(word in str(error) for word in WORDS):
            raise
    raise NotEnoughMemory(f"{reason}, and the allocator refuses")
