"""Stages that shape a distribution: they look at the logits alone and keep their order."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol, Self

import torch
from sampling_kernels.branching import may_branch, row_blocks
from sampling_kernels.chunks import Chunks
from sampling_kernels.faults import without_faults
from sampling_kernels.leading import Sight
from torch import Tensor

from sampling.core.history import History
from sampling.processors.base import Processor, Rows
from sampling.processors.leading import Leading, Weighed

BOOL = (torch.bool,)


class Shaping(Processor):
    """A processor that depends on the logits alone, never swaps two of them and never makes one of two equal ones larger."""

    @abstractmethod
    def shape(self, rows: Weighed) -> Weighed:
        """What the stage does to rows of logits."""

    @abstractmethod
    def shape_leading(self, leading: Leading) -> Leading:
        """What the stage does to the leading tokens of rows, and whether that is certain."""

    def check(self, logits: Tensor) -> None:
        """Refuse numbers that are for another batch than the logits [B, V]."""
        for numbers in self.numbers().values():
            self.fitted(numbers, logits)

    def process(self, logits: Tensor, history: History) -> Tensor:
        """Shape the logits; the history plays no part."""
        return shaped((self,), logits)


class Ending(Protocol):
    """What is done with rows when the stages are through with them."""

    def select(self, rows: Rows) -> Self:
        """The ending for some rows."""
        ...

    def of_whole(self, rows: Weighed) -> Tensor:
        """From whole rows."""
        ...

    def of_leading(self, leading: Leading) -> tuple[Tensor, Tensor]:
        """The same from leading tokens, and in which rows that is sure, bool [B]."""
        ...


class ToLogits:
    """The ending that gives logits [B, V].

    Args:
        width: V.
    """

    def __init__(self, width: int) -> None:
        self.width = width

    def select(self, rows: Rows) -> ToLogits:
        """The same for all rows."""
        return self

    def of_whole(self, rows: Weighed) -> Tensor:
        """The logits."""
        return rows.logits

    def of_leading(self, leading: Leading) -> tuple[Tensor, Tensor]:
        """The logits of the leading tokens, and -inf for all others."""
        banned = torch.full_like(leading.sight.whole.values, -torch.inf).flatten(1)
        full = banned.scatter_(1, leading.ids[:, :-1], leading.logits[:, :-1])
        return full[:, : self.width].contiguous(), leading.sure


def from_whole(stages: Sequence[Shaping], logits: Tensor, ending: Ending) -> Tensor:
    """Run the stages over whole rows, a few of them at a time."""
    parts: list[Tensor] = []
    for block in row_blocks(logits):
        rows = Weighed(logits[block])
        for stage in stages:
            rows = stage.select(block).shape(rows)
        parts.append(ending.select(block).of_whole(rows))
    return torch.cat(parts)


def from_leading(stages: Sequence[Shaping], sight: Sight, ending: Ending) -> tuple[Tensor, Tensor]:
    """Run the stages over the leading tokens.

    Returns:
        What the ending makes of them, and in which rows that is the result, bool [B].
    """
    leading = Leading.of(sight)
    for stage in stages:
        leading = stage.shape_leading(leading)
    result, sure = ending.of_leading(leading)
    return result, sure & leading.alone


def run(stages: Sequence[Shaping], logits: Tensor, ending: Ending) -> Tensor:
    """Run stages to their end, over the leading tokens where they are enough and over whole rows elsewhere.

    Args:
        stages: In order.
        logits: float32 [B, V] without faults.
        ending: What to make of the shaped rows.
    """
    for stage in stages:
        stage.check(logits)
    if not may_branch(logits) or not any(isinstance(stage, Truncation) for stage in stages):
        return from_whole(stages, logits, ending)
    result, enough = from_leading(stages, Sight.of(Chunks.of(logits)), ending)
    return completed(result, enough, stages, logits, ending)


def completed(
    result: Tensor, enough: Tensor, stages: Sequence[Shaping], logits: Tensor, ending: Ending
) -> Tensor:
    """Put the results of whole rows where the leading tokens were not enough."""
    rest = (~enough).nonzero()[:, 0]
    if len(rest) == 0:
        return result
    fitted = [stage.select(rest) for stage in stages]
    return result.index_copy(0, rest, from_whole(fitted, logits[rest], ending.select(rest)))


def shaped(stages: Sequence[Shaping], logits: Tensor) -> Tensor:
    """The logits after some stages; rows that cannot be sampled stay as they are.

    Args:
        stages: In order.
        logits: float32 [B, V].

    Returns:
        float32 [B, V].
    """
    safe, faults = without_faults(logits)
    result = run(stages, safe, ToLogits(logits.shape[1]))
    return result if safe is logits else torch.where((faults > 0)[:, None], logits, result)


class Truncation(Shaping):
    """A stage that bans all tokens but a prefix of their order.

    Attributes:
        weighs: Whether it looks at weights.
        low_ids_first: Which of two equal logits comes first; None where both go the same way.
    """

    weighs: bool = False
    low_ids_first: bool | None = None

    def keep(self, logits: Tensor, w: Tensor | None = None) -> Tensor:
        """Which tokens stay, at least one per row.

        Args:
            logits: float32 [B, C].
            w: Their weights where they are known, int64 [B, C].

        Returns:
            bool [B, C].
        """
        raise NotImplementedError(f"{type(self).__name__} does not say what it keeps")

    def keep_leading(self, leading: Leading) -> tuple[Tensor, Tensor | None]:
        """Which of the leading tokens stay, bool [B, C + 1]; and whether that is sure, bool [B], None for always.

        Never sure unless a truncation says so: what it keeps may depend on the whole row.
        """
        return self.keep(leading.logits), torch.zeros_like(leading.sure)

    def neutral(self, logits: Tensor, width: int) -> Tensor:
        """In which rows it keeps everything, whatever the logits.

        Args:
            logits: float32 [B, C].
            width: V.

        Returns:
            bool [B, 1] or [1, 1].
        """
        return torch.zeros(1, 1, dtype=torch.bool, device=logits.device)

    def shape(self, rows: Weighed) -> Weighed:
        """Ban all others."""
        rows = rows.weighed() if self.weighs else rows
        kept = self.keep(rows.logits, rows.w)
        return rows.keeping(self.formed("keep", kept, BOOL, rows.logits.shape))

    def shape_leading(self, leading: Leading) -> Leading:
        """Ban all others among the leading tokens."""
        leading = replace(leading, mass=leading.masses()) if self.weighs else leading
        kept, sure = self.keep_leading(leading)
        self.formed("keep_leading", kept, BOOL, leading.logits.shape)
        if sure is not None:
            self.formed("keep_leading", sure, BOOL, leading.sure.shape)
        neutral = self.neutral(leading.logits, leading.width)
        self.formed("neutral", neutral, BOOL, (len(leading.logits), 1), (1, 1))
        return leading.keeping(kept, sure, neutral[:, 0])
