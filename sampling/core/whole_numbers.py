"""Whole numbers that a caller gives in a list or a tensor."""

from __future__ import annotations

from collections.abc import Collection, Iterable

import torch
from torch import Tensor

from sampling.core.device import with_values
from sampling.core.errors import InvalidArgument
from sampling.core.params import integer

TYPES = (
    *(torch.int64, torch.int32, torch.int16, torch.int8),
    *(torch.uint64, torch.uint32, torch.uint16, torch.uint8),
)


def whole_tensor(
    name: str,
    value: object,
    dims: Collection[int] = (0, 1),
    words: str = "a tensor of whole numbers, one per row",
) -> Tensor:
    """Return a tensor of whole numbers of the right form; its values are not looked at, so that nothing waits for its device.

    Args:
        name: The field, for the message.
        value: What was given: a tensor of a type in `TYPES`.
        dims: How many dimensions it may have.
        words: What it must be, for the message.

    Raises:
        InvalidArgument: No tensor, or one of another type or shape, or without values.

    Example:
        >>> import torch
        >>> whole_tensor("seed", torch.tensor([7, 8]))
        tensor([7, 8])
    """
    if not isinstance(value, Tensor):
        raise InvalidArgument(name, value, words)
    if value.dtype not in TYPES:
        raise InvalidArgument(name, value.dtype, words)
    if value.dim() not in dims:
        raise InvalidArgument(name, f"a tensor of shape {tuple(value.shape)}", words)
    return with_values(name, value)


def listed(name: str, value: object) -> list[object]:
    """Anything that can be iterated, as a list.

    Raises:
        InvalidArgument: It cannot be iterated.
    """
    if not isinstance(value, Iterable):
        raise InvalidArgument(name, value, "a list")
    return list(value)


def whole_list(name: str, value: object, low: int, high: int) -> list[int]:
    """Read whole numbers of a closed range from anything that can be iterated.

    Raises:
        InvalidArgument: It cannot be iterated, or one of the numbers is no integer or out of range.

    Example:
        >>> whole_list("rows", range(3), 0, 2)
        [0, 1, 2]
    """
    return [integer(name, item, low, high) for item in listed(name, value)]
