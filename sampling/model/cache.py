"""The keys and values of the positions a model has already seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from sampling.core.errors import CacheFull, InvalidArgument
from sampling.model.attend import Attend

# Positions that `limit_read_length` rounds up to. The CPU's attention works in blocks of as many, so that a row's bits do not
# depend on how far others make it look.
BLOCK = 512


class Cache(Protocol):
    """What a model needs of the keys and values behind it."""

    @property
    def rows(self) -> int:
        """B."""
        ...

    @property
    def capacity(self) -> int:
        """Most positions of a row."""
        ...

    @property
    def lengths(self) -> Tensor:
        """[B] int64, positions each row holds; changed in place."""
        ...

    def reserve(self, width: int, counts: Tensor | None = None) -> None:
        """Refuse, on the host, what cannot fit; as `KeyValueCache.reserve`."""
        ...

    def plan_write(self, width: int, counts: Tensor | None, groups: int) -> WritePlan:
        """Plan where the next positions of each row go; as `KeyValueCache.plan_write`."""
        ...


class WritePlan(Protocol):
    """What the layers of a model need to know of the new positions, as `CacheWrite` has it."""

    @property
    def positions(self) -> Tensor:
        """[B, T] place of each new token in its row."""
        ...

    @property
    def counts(self) -> Tensor:
        """[B] how many of the T are real."""
        ...

    @property
    def inside(self) -> Tensor:
        """[B, T] whether the position is among those that are looked at."""
        ...

    def attend(self, layer: int, q: Tensor, k: Tensor, v: Tensor, by: Attend) -> Tensor:
        """Keep a layer's new keys and values, and attend over all that it has; as `CacheWrite.attend`."""
        ...


@dataclass(frozen=True)
class CacheWrite:
    """Where the T new positions of one forward call go in a cache, and what each of them may look at.

    Args:
        cache: The cache that is written.
        rows: [B, 1] row numbers.
        positions: [B, T] place of each new token in its row.
        slots: [B, T] where its key and value are kept; the slot past the end is for what is not kept.
        visible: [B, 1, T * groups, S] true where a query may look; a position's groups stand together. S is how many
            positions of each row are looked at.
        counts: [B] how many of the T are real.
    """

    cache: KeyValueCache
    rows: Tensor
    positions: Tensor
    slots: Tensor
    visible: Tensor
    counts: Tensor

    @property
    def inside(self) -> Tensor:
        """[B, T] whether the position is among those that are looked at."""
        return self.positions < self.visible.shape[-1]

    def attend(self, layer: int, q: Tensor, k: Tensor, v: Tensor, by: Attend) -> Tensor:
        """Keep a layer's new keys and values, and attend over all that it has.

        Args:
            layer: Number of the layer.
            q: [B, T, H, D].
            k: [B, T, KV, D].
            v: [B, T, KV, D].
            by: How.

        Returns:
            [B, T, H * D].
        """
        return by(q, *self.store(layer, k, v), self.visible)

    def store(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Keep a layer's new keys and values, and return all that the layer has.

        Args:
            layer: Number of the layer.
            keys: [B, T, KV, D]; rounded to the cache's type.
            values: [B, T, KV, D]; likewise.

        Returns:
            Keys and values, [B, KV, S, D] each: views of the cache, not copies.
        """
        stored_keys, stored_values = self.cache.stored_keys[layer], self.cache.stored_values[layer]
        stored_keys[self.rows, :, self.slots] = keys.detach().to(stored_keys.dtype)
        stored_values[self.rows, :, self.slots] = values.detach().to(stored_values.dtype)
        seen = self.visible.shape[-1]
        return stored_keys[:, :, :seen], stored_values[:, :, :seen]


class KeyValueCache:
    """A static key/value cache of B rows, each with its own length.

    Shapes and addresses never change after construction, so a decode step over it can be compiled or captured
    once. A row is a prefix: slots past its length hold what no real position can see, and appending
    overwrites them.

    A row that outgrows the capacity is told in two ways. Where the host knows the row's length without
    waiting for the device (`reserve`, called by the model in eager mode), the call is refused and nothing
    changes. Where only the device knows (counts that live there, or a compiled step, which skips `reserve`),
    the positions past the end are not kept, other rows are not touched, and the row's logits are NaN from
    there on.

    Args:
        layers: Number of layers.
        rows: B.
        heads: Key/value heads of a layer.
        capacity: Most positions of a row.
        head_dim: D, width of a head.
        device: Where the tensors are.
        dtype: Type of keys and values.

    Attributes:
        lengths: [B] int64, positions each row holds. Change it through the methods only.

    Raises:
        InvalidArgument: rows or capacity is below 1.

    Example:
        >>> cache = KeyValueCache(layers=2, rows=3, heads=2, capacity=16, head_dim=8)
        >>> cache.keys(0).shape
        torch.Size([3, 2, 16, 8])
        >>> cache.select([0, 0]).rows
        2
    """

    def __init__(
        self,
        *,
        layers: int,
        rows: int,
        heads: int,
        capacity: int,
        head_dim: int,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        for name, value in (("rows", rows), ("capacity", capacity)):
            if value < 1:
                raise InvalidArgument(name, value, "at least 1")
        shape = (rows, heads, capacity + 1, head_dim)  # one slot more: for what must not be kept
        self.stored_keys = [torch.zeros(shape, device=device, dtype=dtype) for _ in range(layers)]
        self.stored_values = [torch.zeros(shape, device=device, dtype=dtype) for _ in range(layers)]
        self.lengths = torch.zeros(rows, device=device, dtype=torch.int64)
        self._positions = torch.arange(capacity, device=device)
        # [S] those that are looked at: a view, so that a captured step may go on reading them
        self.seen = self._positions
        self._known = torch.zeros(rows, dtype=torch.int64, device="cpu")  # lengths that the host is sure of

    @property
    def rows(self) -> int:
        """B."""
        return len(self.lengths)

    @property
    def capacity(self) -> int:
        """Most positions of a row; from a shape, which a compiler can leave open."""
        return self.stored_keys[0].shape[2] - 1

    @property
    def longest(self) -> int:
        """Positions of the longest row, as far as the host knows."""
        return int(self._known.max())

    def lengths_after(self, counts: Tensor | int) -> Tensor:
        """[B] positions of each row with so many more, as far as the host knows."""
        return self._known + counts

    def keys(self, layer: int) -> Tensor:
        """Return a layer's keys, [B, KV, capacity, D]."""
        return self.stored_keys[layer][:, :, : self.capacity]

    def values(self, layer: int) -> Tensor:
        """Return a layer's values, [B, KV, capacity, D]."""
        return self.stored_values[layer][:, :, : self.capacity]

    def reserve(self, width: int, counts: Tensor | None = None) -> None:
        """Refuse, on the host, what cannot fit; without waiting for the device.

        Counts on another device than the CPU are taken for zero here, so that no row is refused that might
        fit.

        Args:
            width: T, the new positions.
            counts: [B] how many of them are real, 0 to T; all of them by default.

        Raises:
            CacheFull: A row's known length and its new positions exceed the capacity.
        """
        on_host = counts is not None and counts.device.type == "cpu"
        known = self.lengths_after(width if counts is None else counts if on_host else 0)
        row = int(known.argmax())
        require_place(row, int(self._known[row]), int(known[row] - self._known[row]), self.capacity)
        self._known = known

    def limit_read_length(self, positions: int) -> None:
        """Read no more than the first positions of each row from now on, rounded up to whole blocks.

        A row that holds more than these has NaN logits, as one that outgrew the capacity. All are read until this is called.

        Args:
            positions: As many as the longest row will hold after the next call.
        """
        blocks = -(-positions // BLOCK)
        self.seen = self._positions[: blocks * BLOCK]

    def plan_write(self, width: int, counts: Tensor | None, groups: int) -> CacheWrite:
        """Plan where the next positions of each row go: tensors only, nothing is read on the host.

        Args:
            width: T, the new positions.
            counts: [B] how many of them are real; all of them by default.
            groups: Query heads of each key/value head.
        """
        steps = torch.arange(width, device=self.lengths.device)
        counts = torch.full_like(self.lengths, width) if counts is None else counts
        positions = self.lengths[:, None] + steps  # [B, T]
        kept = (steps < counts[:, None]) & (positions < self.capacity)
        visible = self.seen <= positions[:, None, :, None]
        return CacheWrite(
            cache=self,
            rows=torch.arange(self.rows, device=steps.device)[:, None],
            positions=positions,
            slots=torch.where(kept, positions, self.capacity),
            visible=visible.repeat_interleave(groups, dim=2),
            counts=counts,
        )

    def select(self, rows: Sequence[int] | Tensor) -> KeyValueCache:
        """Return a new cache of the chosen rows, in that order; a row may be chosen several times or not at all.

        Selecting one prefilled row n times makes the n choices of a request. Row numbers on another device
        are read, which waits for it: this is no part of a decode step.

        Args:
            rows: Row numbers, 0 to B - 1, at least one.

        Returns:
            A cache that shares nothing that is written with this one.

        Raises:
            InvalidArgument: No row, or a row that is not there.
        """
        chosen = self._row_numbers(rows)
        there = chosen.to(self.lengths.device)
        other = KeyValueCache.__new__(KeyValueCache)
        other._positions, other.seen = self._positions, self.seen
        other.stored_keys = [keys[there] for keys in self.stored_keys]
        other.stored_values = [values[there] for values in self.stored_values]
        other.lengths = self.lengths[there]
        other._known = self._known[chosen]
        return other

    def copy_prefix(self, rows: Sequence[int] | Tensor, other: KeyValueCache) -> None:
        """Replace rows, in place, by those of another cache: one for all, as a prompt's for its choices, or one for each.

        Args:
            rows: Row numbers, 0 to B - 1, at least one.
            other: A cache of one row or as many, of the same model; its capacity is at most this one's.

        Raises:
            InvalidArgument: No row, a row that is not there, or another cache that does not fit.
        """
        chosen = self._row_numbers(rows)
        if other.rows not in (1, len(chosen)) or other.capacity > self.capacity:
            words = f"a cache of 1 or {len(chosen)} rows and at most {self.capacity} positions"
            raise InvalidArgument("other", f"{other.rows} rows of {other.capacity} positions", words)
        there = chosen.to(self.lengths.device)
        pairs = [*zip(self.stored_keys, other.stored_keys, strict=True)]
        for stored, new in [*pairs, *zip(self.stored_values, other.stored_values, strict=True)]:
            stored[there, :, : other.capacity] = new[:, :, : other.capacity]
            stored[there, :, other.capacity :] = 0  # what is hidden, too: see `reset`
        self.lengths[there] = other.lengths
        self._known[chosen] = other._known

    def append(self, layer: int, start: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Keep a layer's keys and values at a place that the host knows, the same in all rows.

        Args:
            layer: Number of the layer.
            start: Place of the first of the T.
            keys: [B, T, KV, D]; rounded to the cache's type.
            values: [B, T, KV, D]; likewise.

        Returns:
            Keys and values up to the last of the T, [B, KV, start + T, D] each: views of the cache, not copies.
        """
        end = start + keys.shape[1]
        stored_keys, stored_values = self.stored_keys[layer], self.stored_values[layer]
        stored_keys[:, :, start:end] = keys.detach().transpose(1, 2)
        stored_values[:, :, start:end] = values.detach().transpose(1, 2)
        return stored_keys[:, :, :end], stored_values[:, :, :end]

    def free(self, rows: Sequence[int] | Tensor) -> None:
        """Let rows be empty, in place; what they held is overwritten before anything looks at it.

        Args:
            rows: Row numbers, 0 to B - 1, at least one.

        Raises:
            InvalidArgument: No row, or a row that is not there.
        """
        chosen = self._row_numbers(rows)
        self.lengths[chosen.to(self.lengths.device)] = 0
        self._known[chosen] = 0

    def reset(self, rows: Sequence[int] | Tensor) -> None:
        """Empty rows in place, so that they can take new texts.

        Their contents are zeroed, not only hidden: a NaN behind the mask would still spoil the next text.

        Args:
            rows: Row numbers, 0 to B - 1, at least one.

        Raises:
            InvalidArgument: No row, or a row that is not there.
        """
        self.free(rows)
        there = self._row_numbers(rows).to(self.lengths.device)
        for stored in (*self.stored_keys, *self.stored_values):
            stored[there] = 0

    def _row_numbers(self, rows: Sequence[int] | Tensor) -> Tensor:
        numbers = torch.as_tensor(rows, dtype=torch.int64, device="cpu")
        if numbers.ndim != 1 or not len(numbers) or numbers.min() < 0 or numbers.max() >= self.rows:
            raise InvalidArgument(
                "rows", numbers.tolist(), f"one or more row numbers from 0 to {self.rows - 1}"
            )
        return numbers


def require_place(row: int, held: int, new: int, capacity: int) -> None:
    """Refuse positions for which a row has no place.

    Raises:
        CacheFull: There are too many.
    """
    if held + new > capacity:
        raise CacheFull(
            f"row {row}: {held} positions and {new} new ones do not fit the key/value cache, "
            f"whose capacity is {capacity}"
        )
