"""Keys and values of rows that decode together, all with as much room as the longest needs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress

from torch import Tensor

from sampling.core.errors import NotEnoughMemory
from sampling.model.allocation import positions_to_allocate
from sampling.model.cache import KeyValueCache
from sampling.model.llama import Llama


class GrowingCache:
    """One cache for all rows, replaced by a larger one when a row needs it: a compiled step reads all rows alike.

    It stays as large as it is until no row is in use.

    Args:
        model: The model.
        rows: B.
        capacity: Most positions of a row.
        before_moving: Called before the cache is replaced.

    Attributes:
        now: The cache.
    """

    def __init__(self, model: Llama, rows: int, capacity: int, before_moving: Callable[[], None]) -> None:
        self._model, self.capacity, self._before_moving = model, capacity, before_moving
        self.now = model.new_cache(rows, self._size(1))

    def rooms(self, length: int, *, most: int, choices: int) -> list[KeyValueCache]:
        """Return a cache of one row for a prompt, and room for it among the others.

        Raises:
            NotEnoughMemory: They do not fit.
        """
        if self._can_be_replaced_by(length):
            return [self._model.new_cache(1, self._size(length + 1))]
        self._enlarge(length)
        return [self._model.new_cache(1, length)]

    def copy_prefix(
        self, rows: Sequence[int], rooms: Sequence[KeyValueCache], *, length: int, most: int
    ) -> None:
        """Let rows begin with a prompt, which the one of `rooms` holds.

        Raises:
            NotEnoughMemory: It does not fit any more.
        """
        (room,) = rooms
        if self._can_be_replaced_by(length):
            self._replace(room)
        else:
            self._enlarge(length)
            self.now.copy_prefix(rows, room)

    def free(self, rows: Sequence[int]) -> None:
        """Let rows be empty; when all are, the memory is given back."""
        self.now.free(rows)
        if self.now.longest == 0 and self.now.capacity > self._size(1):
            with suppress(NotEnoughMemory):  # not even for the small one beside it
                self._replace(self._model.new_cache(self.now.rows, self._size(1)))

    def grow(self, counts: Tensor) -> dict[int, NotEnoughMemory]:
        """Make room for new positions.

        Args:
            counts: [B] how many each row gets, on the host.

        Returns:
            The rows for which memory does not suffice, as they were.
        """
        needed = self.now.lengths_after(counts)
        try:
            self._enlarge(min(int(needed.max()), self.capacity))
        except NotEnoughMemory as error:
            lost = error.with_traceback(None)
            return {row: lost for row, length in enumerate(needed.tolist()) if length > self.now.capacity}
        return {}

    def _can_be_replaced_by(self, length: int) -> bool:
        """Whether a prompt's own cache takes this one's place: there is but one row, and no room in it."""
        return self.now.rows == 1 and length > self.now.capacity

    def _enlarge(self, length: int) -> None:
        """Make room for rows of a length."""
        if length > self.now.capacity:
            larger = self._model.new_cache(self.now.rows, self._size(length))
            larger.copy_prefix([*range(self.now.rows)], self.now)
            self._replace(larger)

    def _replace(self, cache: KeyValueCache) -> None:
        self._before_moving()
        self.now = cache

    def _size(self, length: int) -> int:
        return positions_to_allocate(length, most=self.capacity, capacity=self.capacity)
