"""The library's own rule: the inverse of the cumulated integer weights, the same bits everywhere."""

from __future__ import annotations

import torch
from sampling_kernels.blocks import blocked
from sampling_kernels.candidates.candidates import Candidates
from sampling_kernels.candidates.float_filters import filter_inverse_cdf
from sampling_kernels.fixed_point import mulhi_u64
from sampling_kernels.inverse_cdf import inverse_cdf_sample, inverse_cdf_sample_blocked
from sampling_kernels.weighted_logits import WeightedLogits
from torch import Tensor

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


def inverse_cdf_margin(running: Tensor, target: Tensor, tolerance: float) -> Margin:
    """Return the distance of a target from the ends of the interval that it is in, as a share of the whole.

    Args:
        running: Sums of the weights up to each token, float64 [B, C].
        target: float64 [B].
        tolerance: Of the rule, as a share.

    Returns:
        The margin; the runner-up is a column.
    """
    total = running[:, -1]
    column = (running <= target[:, None]).sum(-1, keepdim=True).clamp(max=running.shape[1] - 1)
    end = running.gather(1, column)[:, 0]
    below = running < end[:, None]
    begin = torch.where(below, running, 0.0).amax(-1)
    before = (running < begin[:, None]).sum(-1)  # the last column of weight before the token
    after = (running <= end[:, None]).sum(-1)
    down = torch.where(begin > 0, target - begin, torch.inf)
    up = torch.where(end < total, end - target, torch.inf)
    runner_up = torch.where(down < up, before, after)
    distance = torch.minimum(down, up)
    alone = distance == torch.inf
    return Margin(
        torch.where(alone, column[:, 0], runner_up), distance / total, torch.full_like(distance, tolerance)
    )
