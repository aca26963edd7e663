"""Streams of torch's generator on a CPU: what a generator seeded with s gives after so many numbers."""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor

AT_ONCE = 2**20
MOST_STATES = 256  # of 5 KB each
_STATES: OrderedDict[tuple[int, int], Tensor] = (
    OrderedDict()
)  # the next draw of a row begins where one of these is


def exponentials(seed: int, before: int, count: int) -> Tensor:
    """Return float32 exponential variates of a generator's stream, [count].

    Args:
        seed: Of the generator; its 64 bits.
        before: How many the stream has given before.
        count: How many are wanted.

    Example:
        >>> bool((exponentials(7, 3, 2) == exponentials(7, 0, 5)[3:]).all())
        True
    """
    generator = torch.Generator()
    state = _STATES.get((seed, before))
    if state is None:
        generator.manual_seed(seed)
        for start in range(0, before, AT_ONCE):
            torch.empty(min(AT_ONCE, before - start)).exponential_(generator=generator)
    else:
        generator.set_state(state)
    result = torch.empty(count).exponential_(generator=generator)
    _STATES[seed, before + count] = generator.get_state()
    if len(_STATES) > MOST_STATES:
        _STATES.popitem(last=False)
    return result


def integers_31(seed: int, before: int) -> int:
    """Return the number below 2^31 that `torch.randint` draws from a generator after so many others."""
    generator = torch.Generator().manual_seed(seed)
    return int(torch.randint(0, 2**31, (before + 1,), generator=generator)[-1])
