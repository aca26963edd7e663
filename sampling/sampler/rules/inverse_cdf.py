"""Rules of one form: the first token, in some order, whose running sum of weights reaches a uniform share of their sum."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from sampling_kernels.candidates.candidates import Candidates
from sampling_kernels.weighted_logits import WeightedLogits
from torch import Tensor

from sampling.sampler.rules.keys import RngKeys
from sampling.sampler.rules.noisy_arg_max import all_ids
from sampling.sampler.rules.rule import DrawRule, Margin


@dataclass(frozen=True, kw_only=True)
class InverseCdf(DrawRule):
    """The first token whose running sum reaches u times the sum, in float64.

    Args:
        uniform: u, of a seed as signed 64 bits and a position.
        running: Running sums of the weights, float64 [B, C], of logits, float32 [B, C].
        inclusive: Whether a running sum that equals the share is enough.
        ranked: Whether the order is that of the logits, likeliest first, instead of that of the ids.
        tolerance: What rounding may do to the distance to the next token, as a share of the sum.
    """

    uniform: Callable[[int, int], float]
    running: Callable[[Tensor], Tensor]
    inclusive: bool
    ranked: bool = False
    tolerance: float

    def of_full_rows(self, rows: WeightedLogits, keys: RngKeys) -> Tensor:
        """Return token ids, int64 [B]."""
        running, target, order = self._sums(rows.logits, keys)
        passed = running < target if self.inclusive else running <= target
        column = passed.sum(-1, keepdim=True).clamp(max=running.shape[1] - 1)
        return order.gather(1, column)[:, 0]

    def of_candidates(self, candidates: Candidates, keys: RngKeys) -> tuple[Tensor, Tensor]:
        """Return certain tokens of no row: the sums of a part are not bit for bit those of the whole."""
        nothing = torch.zeros_like(keys.seed)
        return nothing, nothing > 0

    def margin(self, rows: WeightedLogits, keys: RngKeys) -> Margin:
        """Return the distance to the next token's part, as a share; 0 where an engine may have equals in another order."""
        running, target, order = self._sums(rows.logits, keys)
        margin = inverse_cdf_margin(running, target[:, 0], self.tolerance)
        runner_up = order.gather(1, margin.runner_up[:, None])
        distance = margin.distance
        if self.ranked:
            token = self.of_full_rows(rows, keys)[:, None]
            equals = (rows.logits == rows.logits.gather(1, token)).sum(-1) > 1
            distance = torch.where(equals, 0.0, distance)
        return Margin(runner_up[:, 0], distance, margin.tolerance)

    def _sums(self, logits: Tensor, keys: RngKeys) -> tuple[Tensor, Tensor, Tensor]:
        """Return running sums, float64 [B, V], the share to reach, float64 [B, 1], and the ids in order, int64 [B, V]."""
        order = all_ids(logits).expand_as(logits)
        if self.ranked:
            logits, order = logits.sort(stable=True, dim=-1, descending=True)
        running = self.running(logits)
        starts = zip(keys.seed.tolist(), keys.position.tolist(), strict=True)
        u = torch.tensor([self.uniform(*start) for start in starts], dtype=torch.float64)
        return running, u.to(running.device)[:, None] * running[:, -1:], order


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
    begin = torch.where(running < end[:, None], running, 0.0).amax(-1)
    before = (running < begin[:, None]).sum(-1)  # the last column of weight before the token
    after = (running <= end[:, None]).sum(-1)
    down = torch.where(begin > 0, target - begin, torch.inf)
    up = torch.where(end < total, end - target, torch.inf)
    distance = torch.minimum(down, up)
    runner_up = torch.where(distance == torch.inf, column[:, 0], torch.where(down < up, before, after))
    return Margin(runner_up, distance / total, torch.full_like(distance, tolerance))
