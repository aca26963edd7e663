"""One decode step of a model: the new token of each row in, the logits of its next one out."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from functools import cache as once
from typing import Any, Protocol

import torch
from torch import Tensor

from sampling.compile.graphs import compiled, skip_globals_and_modules
from sampling.core.errors import NotEnoughMemory
from sampling.model.attend import reduce_attention
from sampling.model.cache import Cache, KeyValueCache
from sampling.model.divided import DividedCache
from sampling.model.graph_key import graph_cache_key
from sampling.model.growing import GrowingCache
from sampling.model.llama import Llama
from sampling.model.projection import as_gemv_model

# By device, the most rows that one graph serves faster than packed weights do; no entry: all.
ROWS_OF_A_GRAPH = {"cpu": 1}
# By device, how a graph of one row attends; no entry: as the model does.
ATTEND = {"cpu": reduce_attention}
# Inductor's, by device. On the CPU a multiplication and an addition become one instruction, which rounds once.
OPTIONS: dict[str, dict[str, Any]] = {
    "cpu": {"cpp.enable_floating_point_contract_flag": "fast"},
    "cuda": {"coordinate_descent_tuning": True},
}


class Forward(Protocol):
    """A decode step in two parts: what the host does, and what the device does."""

    @property
    def cache(self) -> DividedCache | GrowingCache:
        """The rows' keys and values."""
        ...

    @property
    def shape(self) -> Hashable:
        """What tells the step that `reserve` was called for from others that read the same tensors."""
        ...

    def reserve(self, counts: Tensor) -> dict[int, NotEnoughMemory]:
        """Take the places of the next step.

        Args:
            counts: int64 [B], on the host: 1 for the rows that have a new token, else 0.

        Returns:
            The rows for which memory does not suffice: their count is 0 from now on.

        Raises:
            CacheFull: A row outgrows the capacity.
        """
        ...

    def run(self, tokens: Tensor) -> None:
        """Put the logits of the rows that have a new token in place of the old ones.

        Args:
            tokens: int64 [B], on the model's device; -1 for a row without a new one.
        """
        ...


def forward_of(
    model: Llama,
    capacity: int,
    logits: Tensor,
    *,
    compiled: bool,
    before_moving: Callable[[], None] = lambda: None,
) -> Forward:
    """Return the decode step of some rows.

    Args:
        model: The model.
        capacity: Most positions of a row.
        logits: float32 [B, V], where their logits are.
        compiled: Whether a compiled step is wanted; it is taken where it is the faster one.
        before_moving: Called before tensors that a compiled step reads are replaced by others.

    Raises:
        NotEnoughMemory: Not even short rows have room.
    """
    rows = len(logits)
    if compiled and rows <= ROWS_OF_A_GRAPH.get(logits.device.type, rows):
        return Compiled(model, GrowingCache(model, rows, capacity, before_moving), logits)
    return Eager(model, DividedCache(model, rows, capacity), logits)


class Eager:
    """A decode step, operator by operator.

    Args:
        model: The model.
        cache: The rows' keys and values.
        logits: float32 [B, V], where their logits are.
    """

    shape: Hashable = None

    def __init__(self, model: Llama, cache: DividedCache, logits: Tensor) -> None:
        self.model, self.cache, self.logits = model, cache, logits
        self.counts: Tensor | None = None

    def reserve(self, counts: Tensor) -> dict[int, NotEnoughMemory]:
        """Take the places of the next step; the model itself refuses what does not fit."""
        lost = without(self.cache.grow(counts), counts)
        self.counts = counts
        return lost

    def run(self, tokens: Tensor) -> None:
        """Put the logits of the rows that have a new token in place of the old ones."""
        advance(self.model, self.cache, self.logits, tokens, self.counts)


class Compiled:
    """A decode step as one graph, compiled once for a number of rows, whatever their capacity and lengths.

    Args:
        model: The model. Its weights may change from step to step, in their values and as a whole in their type; its parts and
            hooks may not.
        cache: The rows' keys and values.
        logits: float32 [B, V], where their logits are.
    """

    def __init__(self, model: Llama, cache: GrowingCache, logits: Tensor) -> None:
        self.model = model if len(logits) > 1 else as_gemv_model(model, ATTEND.get(logits.device.type))
        self.cache, self.logits = cache, logits
        self._weights = [*self.model.parameters()]
        self._opened: KeyValueCache | None = None  # the cache that serves in every size
        self._key: str | None = None
        self._types: list[tuple[torch.dtype, torch.device]] = []  # of the weights when the key was made

    @property
    def shape(self) -> Hashable:
        """How many positions of each row are looked at."""
        return len(self.cache.now.seen)

    def reserve(self, counts: Tensor) -> dict[int, NotEnoughMemory]:
        """Take the places of the next step."""
        lost = without(self.cache.grow(counts), counts)
        cache = self.cache.now
        cache.limit_read_length(cache.longest + 1)
        cache.reserve(1, counts)
        leave_open(cache.seen, 0)
        if cache is not self._opened:
            self._opened = cache
            for stored in (*cache.stored_keys, *cache.stored_values):
                leave_open(stored, 2)
        return lost

    def run(self, tokens: Tensor) -> None:
        """Put the logits of the rows that have a new token in place of the old ones."""
        # What `model.to` changes: a graph would read other memory than that of such a weight.
        types = [(weight.dtype, weight.device) for weight in self._weights]
        if types != self._types:
            self._key, self._types = graph_cache_key(self.model), types
        step = compiled_advance(tokens.device.type, known=self._key is not None)
        step(self._key, self.model, self.cache.now, self.logits, tokens)


def without(lost: dict[int, NotEnoughMemory], counts: Tensor) -> dict[int, NotEnoughMemory]:
    """Take rows out of a step, in place."""
    if lost:
        counts[[*lost]] = 0
    return lost


def advance(model: Llama, cache: Cache, logits: Tensor, tokens: Tensor, counts: Tensor | None = None) -> None:
    """Run one token of each row that has one, and put the logits of those rows in place of the old ones."""
    fed = tokens >= 0
    new = model.next_logits(tokens.clamp(min=0)[:, None], cache, fed.long() if counts is None else counts)
    logits.copy_(new.where(fed[:, None], logits))


def leave_open(tensor: Tensor, dim: int) -> None:
    """Compile for every size of a dimension."""
    torch._dynamo.maybe_mark_dynamic(tensor, dim)  # pyright: ignore[reportPrivateUsage]


def advance_of(key: str | None, model: Llama, cache: KeyValueCache, logits: Tensor, tokens: Tensor) -> None:
    """`advance`, whose graph is one for models of this key."""
    if key != "":  # read, so that the compiler asks for it
        advance(model, cache, logits, tokens)


@once
def compiled_advance(
    device: str, *, known: bool
) -> Callable[[str | None, Llama, KeyValueCache, Tensor, Tensor], None]:
    """Return the compiled `advance_of`; one for all models, since torch keeps the graphs of a function together.

    Args:
        device: The type of the device.
        known: Whether the key says all that its graph depends on; then nothing else of it is asked for.
    """
    guards = skip_globals_and_modules if known else None  # a hook may read any global
    return compiled(advance_of, dynamic=False, options=OPTIONS.get(device), guards=guards)
