"""The candidates of rows while order-preserving stages are run over them."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from sampling_kernels.candidates.blocks import CandidateBlocks
from sampling_kernels.candidates.constants import BLOCK_SUM_MARGIN, NUM_CANDIDATES
from sampling_kernels.candidates.float_filters import exp_logits
from sampling_kernels.candidates.normalizer_bounds import block_bounds, float32_bounds
from sampling_kernels.candidates.top import top_candidates
from sampling_kernels.host_sync import can_sync
from sampling_kernels.weighted_logits import mask_logits


@dataclass(frozen=True)
class Candidates:
    """The candidates of B rows with a bound of the remainder, and where they give what the whole row would.

    Args:
        logits: In the order of the token ids with the remainder bound behind them, float32 [B, C + 1].
        token_ids: int64 [B, C + 1]; 0 for the bound.
        certain: Whether all stages so far have done to these tokens what they do in the whole row, bool [B].
        blocks: What they were taken from.
        exp: `exp_logits` of the logits once a stage has asked for it, float64 [B, C + 1].
        temperature: What the logits have been divided by, float32 [B, 1]; None before there was a temperature.
    """

    logits: Tensor
    token_ids: Tensor
    certain: Tensor
    blocks: CandidateBlocks
    exp: Tensor | None = None
    temperature: Tensor | None = None

    @staticmethod
    def of(blocks: CandidateBlocks) -> Candidates:
        """Take the most likely tokens of the blocks."""
        logits, token_ids = top_candidates(blocks, NUM_CANDIDATES)
        return Candidates(logits, token_ids, ~blocks.overflow, blocks)

    @property
    def vocab_size(self) -> int:
        """Return V."""
        return self.blocks.rows.logits.shape[1]

    @property
    def remainder_is_masked(self) -> Tensor:
        """Return True where all other tokens are masked, bool [B]."""
        return self.logits[:, -1] == -math.inf

    def with_exp(self) -> Candidates:
        """Compute the exponentials where they are not known yet."""
        return self if self.exp is not None else replace(self, exp=self.exp_logits())

    def exp_logits(self) -> Tensor:
        """Return e^(l - max(l)), float64 [B, C + 1]."""
        return exp_logits(self.logits) if self.exp is None else self.exp

    def normalizer_bounds(self, *, quick: bool) -> tuple[Tensor, Tensor]:
        """Bound the normalizer of the whole row, float64 [B, 1].

        Args:
            quick: Whether wide bounds will do.
        """
        own, masked = self.exp_logits().sum(-1, keepdim=True), self.remainder_is_masked[:, None]
        if can_sync(masked) and bool(masked.all()):
            return own, own
        known = self.blocks.normalizer
        if known is not None:
            least, most = known * (1 - BLOCK_SUM_MARGIN), known * (1 + BLOCK_SUM_MARGIN)
            return torch.where(masked, own, least), torch.where(masked, own, most)
        t = self.temperature
        t = torch.ones_like(self.blocks.max_outside) if t is None else t
        least, most = (block_bounds if quick else float32_bounds)(self.blocks, t)
        return torch.where(masked, own, least), torch.where(masked, own, most)

    def select(self, rows: Tensor) -> Candidates:
        """Take some rows, int64 [R]."""
        return Candidates(
            self.logits[rows],
            self.token_ids[rows],
            self.certain[rows],
            self.blocks.select(rows),
            None if self.exp is None else self.exp[rows],
            None if self.temperature is None else self.temperature[rows],
        )

    def divide(self, logits: Tensor, temperature: Tensor) -> Candidates:
        """Take logits after a temperature; the remainder bound is divided as the tokens below it are.

        Of a second temperature the bounds of the normalizer know too little.
        """
        neutral = torch.ones_like(self.certain) if self.temperature is None else self.remainder_is_masked
        certain = self._still_certain(logits, neutral)
        return replace(self, logits=logits, exp=None, temperature=temperature, certain=certain)

    def mask(self, kept: Tensor, certain: Tensor | None, neutral: Tensor) -> Candidates:
        """Mask what a truncation does not keep.

        Args:
            kept: Which tokens stay, bool [B, C + 1].
            certain: Where that is certain, bool [B]; None where it always is.
            neutral: Where the truncation keeps everything, whatever the logits, bool [B] or [1].
        """
        logits = mask_logits(self.logits, kept)
        still = self._still_certain(logits, neutral)
        exp = None if self.exp is None else self.exp * kept
        return replace(self, logits=logits, exp=exp, certain=still if certain is None else still & certain)

    def _still_certain(self, after: Tensor, neutral: Tensor) -> Tensor:
        """Return True where a stage that has made `after` of the logits has done so in the whole row, bool [B]."""
        above = ((after == -math.inf) | (self.logits > self.logits[:, -1:])).all(-1)
        return self.certain & torch.where(after[:, -1] == -math.inf, above, neutral)
