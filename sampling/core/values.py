"""Printing and comparing objects by what they were made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields
from typing import Any, cast

import torch
from torch import Tensor


def short_repr(value: Any) -> str:
    """Return the `repr` of a dataclass's object without the fields that have their defaults.

    Example:
        >>> from sampling import Scope
        >>> short_repr(Scope(last=64)), short_repr(Scope())
        ('Scope(last=64)', 'Scope()')
    """
    held = [(field, getattr(value, field.name)) for field in fields(value)]
    given = {field.name: one for field, one in held if field.default is MISSING or one != field.default}
    return f"{type(value).__name__}({', '.join(f'{name}={one!r}' for name, one in given.items())})"


def same(one: object, other: object) -> bool:
    """Return True if two objects are equal; tensors are if they have the same type, device, shape and values.

    Example:
        >>> same([torch.tensor([1])], [torch.tensor([1])]), same(torch.tensor([1]), torch.tensor([1.0]))
        (True, False)
    """
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        return (one.dtype, one.device) == (other.dtype, other.device) and torch.equal(one, other)
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        mine, theirs = cast("Mapping[object, object]", one), cast("Mapping[object, object]", other)
        return mine.keys() == theirs.keys() and all(same(mine[key], theirs[key]) for key in mine)
    if isinstance(one, list | tuple):
        items, others = cast("Sequence[object]", one), cast("Sequence[object]", other)
        return len(items) == len(others) and all(map(same, items, others))
    return one == other
