"""Stages that look at the logits alone, never reorder them and keep ties tied."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import torch
from sampling_kernels.candidates.candidates import Candidates
from sampling_kernels.host_sync import can_sync
from sampling_kernels.sort_key import TieBreak
from sampling_kernels.weighted_logits import WeightedLogits
from torch import Tensor

from sampling.core.errors import InvalidArgument
from sampling.core.history import History
from sampling.processors.base import Processor
from sampling.processors.run_stages import process_logits

BOOL = (torch.bool,)


class OrderPreservingStage(Processor):
    """A processor that depends on the logits alone, never reorders them and keeps ties tied.

    Attributes:
        truncates: Whether it masks tokens, so that candidates may be all that is left.
    """

    truncates: ClassVar[bool] = False

    @abstractmethod
    def process_rows(self, rows: WeightedLogits) -> WeightedLogits:
        """Process rows of logits."""

    @abstractmethod
    def process_candidates(self, candidates: Candidates) -> Candidates:
        """Process the candidates of rows, and say where that is certain."""

    def check(self, logits: Tensor) -> None:
        """Refuse numbers that are for another batch than the logits [B, V]."""
        for numbers in self.numbers().values():
            self.broadcast_to(numbers, logits)

    def process(self, logits: Tensor, history: History) -> Tensor:
        """Process the logits; the history plays no part."""
        return process_logits((self,), logits)


class Truncation(OrderPreservingStage):
    """A stage that masks all tokens but a prefix of their order.

    Attributes:
        uses_weights: Whether it looks at weights.
        tie_break: Which of two equal logits comes first; None where both go the same way.
    """

    truncates = True
    uses_weights: bool = False
    tie_break: TieBreak | None = None

    def keep(self, logits: Tensor, w: Tensor | None = None) -> Tensor:
        """Return which tokens stay, at least one per row.

        Args:
            logits: float32 [B, C].
            w: Their weights where they are known, int64 [B, C].

        Returns:
            bool [B, C].
        """
        raise NotImplementedError(f"{type(self).__name__} does not say what it keeps")

    def keep_candidates(self, candidates: Candidates) -> tuple[Tensor, Tensor | None]:
        """Return which candidates stay, bool [B, C + 1]; and where that is certain, bool [B], None for always.

        Never certain unless a truncation says so: what it keeps may depend on the whole row, which alone it is asked about.
        """
        return torch.ones_like(candidates.logits, dtype=torch.bool), torch.zeros_like(candidates.certain)

    def neutral(self, logits: Tensor, width: int) -> Tensor:
        """Return in which rows it keeps everything, whatever the logits.

        Args:
            logits: float32 [B, C].
            width: V.

        Returns:
            bool [B, 1] or [1, 1].
        """
        return torch.zeros(1, 1, dtype=torch.bool, device=logits.device)

    def process_rows(self, rows: WeightedLogits) -> WeightedLogits:
        """Mask all others."""
        rows = rows.with_weights() if self.uses_weights else rows
        kept = self.formed("keep", self.keep(rows.logits, rows.w), BOOL, rows.logits.shape)
        self._check_some_kept("keep", kept, rows.logits)
        return rows.mask(kept)

    def process_candidates(self, candidates: Candidates) -> Candidates:
        """Mask all others among the candidates."""
        candidates = candidates.with_exp() if self.uses_weights else candidates
        kept, certain = self.keep_candidates(candidates)
        self.formed("keep_candidates", kept, BOOL, candidates.logits.shape)
        if certain is not None:
            self.formed("keep_candidates", certain, BOOL, candidates.certain.shape)
        neutral = self.neutral(candidates.logits, candidates.vocab_size)
        self.formed("neutral", neutral, BOOL, (len(candidates.logits), 1), (1, 1))
        self._check_some_kept("keep_candidates", kept, candidates.logits, certain)
        return candidates.mask(kept, certain, neutral[:, 0])

    def _check_some_kept(
        self, method: str, kept: Tensor, logits: Tensor, certain: Tensor | None = None
    ) -> None:
        """Refuse a finite row of which nothing is kept, for certain; where a look at it costs nothing.

        Raises:
            InvalidArgument: There is one.
        """
        if not can_sync(kept) or bool((some := kept.any(-1)).all()):
            return
        empty = ~some & logits.amax(-1).isfinite()
        if bool((empty if certain is None else empty & certain).any()):
            raise InvalidArgument(
                f"{self.label}, {method}", "no token of a row", "at least one True in each row"
            )
