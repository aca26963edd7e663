"""The slots of a batch: which request is in which, and what it has sampled."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from typing import cast, overload

import torch

from sampling.core.errors import InvalidArgument
from sampling.core.history import History
from sampling.core.whole_numbers import listed
from sampling.processors import Constraint
from sampling.sampler.requests import PreparedRequests, SlotRequest


class Slots(Sequence[SlotRequest | None]):
    """Requests by slot, None where one is free. Slots are stable: a request keeps its own until it is removed.

    Args:
        device: Where the histories are.
        capacity: Most tokens of a slot, or None.
        count: How many slots there are, always; None makes more when they are needed.

    Attributes:
        history: What each slot holds and has sampled.
    """

    def __init__(self, device: torch.device, capacity: int | None, count: int | None = None) -> None:
        self._requests: list[SlotRequest | None] = [None] * (count or 0)
        self._count = count
        self.history = History.start([[] for _ in self._requests], device=device, capacity=capacity)

    def __len__(self) -> int:
        """Return how many slots there are."""
        return len(self._requests)

    @overload
    def __getitem__(self, slot: int) -> SlotRequest | None: ...
    @overload
    def __getitem__(self, slot: slice) -> Sequence[SlotRequest | None]: ...
    def __getitem__(self, slot: int | slice) -> SlotRequest | Sequence[SlotRequest | None] | None:
        """Return the request in a slot."""
        return self._requests[slot]

    @property
    def num_free(self) -> int:
        """Return how many of the slots are free."""
        return self._requests.count(None)

    @property
    def constraints(self) -> list[Constraint | None]:
        """Return what the tokens of each slot have to obey."""
        return [None if request is None else request.constraint for request in self._requests]

    @property
    def constrained(self) -> bool:
        """Return True if the host has a say in what comes next."""
        return any(constraint is not None for constraint in self.constraints)

    def add(self, prepared: PreparedRequests) -> list[int]:
        """Put requests into the first free slots, and the rest of them behind the others.

        Returns:
            Their slots.

        Raises:
            InvalidArgument: There are more requests than free slots, of a fixed number.
        """
        new, arrived = prepared.requests, prepared.history
        free = [slot for slot, request in enumerate(self._requests) if request is None][: len(new)]
        if self._count is not None and len(new) > len(free):
            words = f"at most {len(free)}, as many as slots are free of num_slots = {self._count}"
            raise InvalidArgument("params", f"{len(new)} requests", words)
        for row, slot in enumerate(free):
            self._requests[slot] = new[row]
            self.history.put(slot, arrived.select([row]))
        behind = list(range(len(free), len(new)))
        slots = [*free, *range(len(self), len(self) + len(behind))]
        if behind:
            self._requests += new[len(free) :]
            self.history.extend(arrived.select(behind) if free else arrived)
        return slots

    def remove(self, slots: Sequence[int]) -> None:
        """Free slots.

        Raises:
            InvalidArgument: A slot that is not in use.
        """
        slots = cast("list[int]", listed("slots", slots))
        for slot in slots:
            whole = not isinstance(slot, bool) and isinstance(slot, Integral)
            if not whole or not 0 <= slot < len(self) or self[slot] is None:
                raise InvalidArgument("slots", slot, "slots in use")
        for slot in slots:
            self._requests[slot] = None
