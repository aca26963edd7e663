"""Rows while stages shape them: whole, or only the leading tokens of each as long as nothing else matters."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from sampling_kernels.banning import banned
from sampling_kernels.branching import may_branch
from sampling_kernels.leading import Sight, leading_tokens
from sampling_kernels.rough import masses
from sampling_kernels.totals import quick_bounds, total_bounds
from sampling_kernels.weights import weights_in_place
from torch import Tensor

LEADING_TOKENS = 128


@dataclass(frozen=True)
class Weighed:
    """Logits, and their weights once a stage has asked for them.

    Args:
        logits: float32 [B, C].
        w: Integer weights, int64 [B, C], or None.
    """

    logits: Tensor
    w: Tensor | None = None

    def weights(self) -> Tensor:
        """The weights, int64 [B, C]."""
        return weights_in_place(self.logits) if self.w is None else self.w

    def weighed(self) -> Weighed:
        """The same with weights."""
        return Weighed(self.logits, self.weights())

    def keeping(self, kept: Tensor) -> Weighed:
        """Ban the tokens that are not kept; the weights of the others stay what they are, since the largest logit stays."""
        w = None if self.w is None else self.w * kept
        return Weighed(banned(self.logits, kept), w)


@dataclass(frozen=True)
class Leading:
    """The leading tokens of B rows with a ceiling for all others, and whether they are enough.

    The last column of the logits is the ceiling: no other token is above it. Every stage here keeps the order of the logits, so
    it does to all other tokens at most what it does to the ceiling. Once a stage bans the ceiling, and keeps only tokens that
    were above it, the others are banned, too, and the leading tokens are all there is.

    Args:
        logits: In the order of the token ids with the ceiling behind them, float32 [B, C + 1].
        ids: Token ids, int64 [B, C + 1]; 0 for the ceiling.
        sure: Whether all stages so far have done to these tokens what they do in the whole row, bool [B].
        sight: What they were taken from.
        mass: e^(l - max(l)) once a stage has asked for it, float64 [B, C + 1].
        temperature: What the logits have been divided by, float32 [B, 1]; None before there was a temperature.
    """

    logits: Tensor
    ids: Tensor
    sure: Tensor
    sight: Sight
    mass: Tensor | None = None
    temperature: Tensor | None = None

    @staticmethod
    def of(sight: Sight) -> Leading:
        """Take the leading tokens of what is in sight."""
        logits, ids = leading_tokens(sight, LEADING_TOKENS)
        return Leading(logits, ids, ~sight.crowded, sight)

    @property
    def width(self) -> int:
        """V."""
        return self.sight.whole.logits.shape[1]

    @property
    def alone(self) -> Tensor:
        """Whether all other tokens are banned, bool [B]."""
        return self.logits[:, -1] == -math.inf

    def masses(self) -> Tensor:
        """e^(l - max(l)), float64 [B, C + 1]."""
        return masses(self.logits) if self.mass is None else self.mass

    def totals(self, *, quick: bool) -> tuple[Tensor, Tensor]:
        """Bounds of the mass of the whole row, float64 [B, 1].

        Args:
            quick: Whether wide ones will do.
        """
        own, alone = self.masses().sum(-1, keepdim=True), self.alone[:, None]
        if may_branch(alone) and bool(alone.all()):
            return own, own
        temperature = torch.ones_like(self.sight.beyond) if self.temperature is None else self.temperature
        least, most = (quick_bounds if quick else total_bounds)(self.sight, temperature)
        return torch.where(alone, own, least), torch.where(alone, own, most)

    def select(self, rows: Tensor) -> Leading:
        """The leading tokens of some rows."""
        return Leading(
            self.logits[rows],
            self.ids[rows],
            self.sure[rows],
            self.sight.select(rows),
            None if self.mass is None else self.mass[rows],
            None if self.temperature is None else self.temperature[rows],
        )

    def cooled(self, logits: Tensor, temperature: Tensor) -> Leading:
        """After a temperature; the ceiling is cooled as the tokens below it are.

        Of a second temperature the bounds of the whole row know too little.
        """
        neutral = torch.ones_like(self.sure) if self.temperature is None else self.alone
        sure = self._still_sure(logits, neutral)
        return replace(self, logits=logits, mass=None, temperature=temperature, sure=sure)

    def keeping(self, kept: Tensor, sure: Tensor | None, neutral: Tensor) -> Leading:
        """After a truncation.

        Args:
            kept: Which tokens stay, bool [B, C + 1].
            sure: Whether that is sure, bool [B]; None where it always is.
            neutral: Where the truncation bans nothing, whatever the logits, bool [B] or [1].
        """
        logits = banned(self.logits, kept)
        still = self._still_sure(logits, neutral)
        mass = None if self.mass is None else self.mass * kept
        return replace(self, logits=logits, mass=mass, sure=still if sure is None else still & sure)

    def _still_sure(self, after: Tensor, neutral: Tensor) -> Tensor:
        """Whether a stage that has made `after` of the logits has done so in the whole row, bool [B]."""
        above = ((after == -math.inf) | (self.logits > self.logits[:, -1:])).all(-1)
        return self.sure & torch.where(after[:, -1] == -math.inf, above, neutral)
