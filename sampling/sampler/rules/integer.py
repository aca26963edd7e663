"""The library's own rule: the inverse of the cumulated integer weights, the same bits everywhere."""

from __future__ import annotations

from sampling_kernels.blocks import blocked
from sampling_kernels.candidates.candidates import Candidates
from sampling_kernels.candidates.float_filters import filter_inverse_cdf
from sampling_kernels.fixed_point import mulhi_u64
from sampling_kernels.inverse_cdf import inverse_cdf_sample, inverse_cdf_sample_blocked
from sampling_kernels.weighted_logits import WeightedLogits
from torch import Tensor

from sampling.sampler.rules.inverse_cdf import inverse_cdf_margin
from sampling.sampler.rules.keys import RngKeys
from sampling.sampler.rules.rule import DrawRule, Margin


class IntegerRule(DrawRule):
    """The token at the fraction u / 2^64 of the weight, in token-id order."""

    def of_full_rows(self, rows: WeightedLogits, keys: RngKeys) -> Tensor:
        """Return token ids, int64 [B]."""
        if rows.w is not None:
            return inverse_cdf_sample(rows.w, *keys.random_words())
        blocks = blocked(rows.logits)
        return inverse_cdf_sample_blocked(blocks, blocks.amax(-1), *keys.random_words())

    def of_candidates(self, candidates: Candidates, keys: RngKeys) -> tuple[Tensor, Tensor]:
        """Return columns of the candidates, int64 [B], and whether they are certain, bool [B]."""
        return filter_inverse_cdf(candidates.exp_logits(), *keys.random_words())

    def margin(self, rows: WeightedLogits, keys: RngKeys) -> Margin:
        """Return the distance to the next token's part of the weight, as a share of all of it."""
        w = rows.with_weights().w
        assert w is not None
        running = w.cumsum(-1)
        target, _ = mulhi_u64(*keys.random_words(), running[:, -1])
        return inverse_cdf_margin(running.double(), target.double() + 0.5, 0.0)


INTEGER = IntegerRule(name="integer", source="docs/draw.md of this project")
