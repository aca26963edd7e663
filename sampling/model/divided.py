"""Keys and values of rows that decode together, each with as much room as it needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from sampling.core.errors import NotEnoughMemory
from sampling.model.allocation import positions_to_allocate
from sampling.model.attend import Attend
from sampling.model.cache import BLOCK, CacheWrite, KeyValueCache, require_place
from sampling.model.llama import Llama


@dataclass(frozen=True)
class OwnCache:
    """A row that has a cache of its own.

    Args:
        row: Its number among the B.
        cache: Its cache.
        end: Positions that it holds with the new one.
    """

    row: int
    cache: KeyValueCache
    end: int


@dataclass(frozen=True)
class DividedWrite:
    """Where one new position of each row goes, and what it looks at: as `CacheWrite`, over several caches.

    Args:
        shared: The window of the shared cache, in which rows that are not there are never kept.
        needed: Whether any row with a new position is in the shared cache.
        alone: The rows with a new position that have their own.
        inside: [B, 1] whether the position has a place.
    """

    shared: CacheWrite
    needed: bool
    alone: Sequence[OwnCache]
    inside: Tensor

    @property
    def positions(self) -> Tensor:
        """[B, 1] place of each new token in its row."""
        return self.shared.positions

    @property
    def counts(self) -> Tensor:
        """[B] 1 where there is a new position, else 0."""
        return self.shared.counts

    def attend(self, layer: int, q: Tensor, k: Tensor, v: Tensor, by: Attend) -> Tensor:
        """Keep a layer's new keys and values, and attend; arguments as in `CacheWrite.attend`."""
        mixed = self.shared.attend(layer, q, k, v, by) if self.needed else torch.zeros_like(q).flatten(2)
        for each in self.alone:
            here = slice(each.row, each.row + 1)
            held = each.cache.append(layer, each.end - 1, k[here], v[here])
            mixed[here] = by(q[here], *held, None)
        return mixed


class DividedCache:
    """Rows that share a cache while they are short, and have one of their own each when they are long.

    A row of up to BLOCK positions is in the shared cache, whose rows are looked at together. A longer one gets its own, which
    is replaced by one of twice the size when it is full, and given back with the row. What a row looks at depends on its own
    length alone, and so do its bits.

    Only the next position of each row goes through the model here: a prompt goes into a cache of its own first.

    Args:
        model: The model.
        rows: B.
        capacity: Most positions of a row.
    """

    def __init__(self, model: Llama, rows: int, capacity: int) -> None:
        self._model, self.capacity = model, capacity
        self._short = min(capacity, BLOCK)  # most positions of a row in the shared cache
        self._shared = model.new_cache(rows, self._short)
        self._alone: dict[int, KeyValueCache] = {}
        device = model.embed_tokens.weight.device
        self._inside = torch.zeros(rows, 1, dtype=torch.bool, device=device)  # a cache of their own
        self._held, self._most = [0] * rows, [0] * rows  # positions of each row, known on the host
        self._new = [0] * rows

    @property
    def rows(self) -> int:
        """B."""
        return self._shared.rows

    @property
    def lengths(self) -> Tensor:
        """[B] int64, positions each row holds."""
        return self._shared.lengths

    def rooms(self, length: int, *, most: int, choices: int) -> list[KeyValueCache]:
        """Return caches of one row for a prompt: the first to run it in, all of them for `copy_prefix`.

        Args:
            length: Its tokens.
            most: Positions that each choice may need in the end.
            choices: How many rows it will have.

        Raises:
            NotEnoughMemory: They do not fit.
        """
        if length <= self._short:
            return [self._model.new_cache(1, length)]
        size = positions_to_allocate(length + 1, most=most, capacity=self.capacity)
        return [self._model.new_cache(1, size) for _ in range(choices)]

    def copy_prefix(
        self, rows: Sequence[int], rooms: Sequence[KeyValueCache], *, length: int, most: int
    ) -> None:
        """Let rows begin with a prompt.

        Args:
            rows: Row numbers.
            rooms: As `rooms` gave them; the first holds the prompt.
            length: Its tokens.
            most: As in `rooms`.
        """
        first, *others = rooms
        if length <= self._short:
            self._shared.copy_prefix(rows, first)
        else:
            for other in others:
                other.copy_prefix([0], first)
            self._settle(dict(zip(rows, rooms, strict=True)))
            self.lengths[list(rows)] = length
        for row in rows:
            self._held[row], self._most[row] = length, most

    def free(self, rows: Sequence[int]) -> None:
        """Let rows be empty; memory of their own is given back."""
        self._shared.free(rows)
        self._inside[list(rows)] = False
        for row in rows:
            self._alone.pop(row, None)
            self._held[row] = 0

    def grow(self, counts: Tensor) -> dict[int, NotEnoughMemory]:
        """Make room for new positions.

        Args:
            counts: [B] how many each row gets, on the host.

        Returns:
            The rows for which memory does not suffice, as they were.
        """
        lost: dict[int, NotEnoughMemory] = {}
        for row, count in enumerate(counts.tolist()):
            if self._end(row) < self._held[row] + count <= self.capacity:
                try:
                    self._enlarge(row, self._held[row] + count)
                except NotEnoughMemory as error:
                    lost[row] = error.with_traceback(None)
        return lost

    def reserve(self, width: int, counts: Tensor | None = None) -> None:
        """Take the places of new positions; `counts` has to be on the host.

        Raises:
            CacheFull: A row is full.
        """
        new = [width] * self.rows if counts is None else counts.tolist()
        for row, count in enumerate(new):
            require_place(row, self._held[row], count, self._end(row))
        self._new = new
        self._held = [held + count for held, count in zip(self._held, new, strict=True)]

    def plan_write(self, width: int, counts: Tensor | None, groups: int) -> DividedWrite:
        """Plan where the positions go that were claimed; arguments as in `KeyValueCache.plan_write`, T is 1."""
        shared = self._shared.plan_write(width, counts, groups)
        fed = [row for row, count in enumerate(self._new) if count]
        alone = [OwnCache(row, self._alone[row], self._held[row]) for row in fed if row in self._alone]
        return DividedWrite(shared, len(alone) < len(fed), alone, shared.inside | self._inside)

    def _end(self, row: int) -> int:
        """For how many positions a row has room."""
        return self._alone[row].capacity if row in self._alone else self._short

    def _enlarge(self, row: int, positions: int) -> None:
        """Give a row a larger cache."""
        size = positions_to_allocate(positions, most=self._most[row], capacity=self.capacity)
        larger = self._model.new_cache(1, size)
        larger.copy_prefix([0], self._alone[row] if row in self._alone else self._shared.select([row]))
        self._settle({row: larger})

    def _settle(self, alone: dict[int, KeyValueCache]) -> None:
        """Give rows caches of their own."""
        self._alone |= alone
        self._inside[[*alone]] = True
