"""Rules of one form: the arg max of logit + noise, where the noise is a function of seed, position and column."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from sampling_kernels.candidates.candidates import Candidates
from sampling_kernels.gumbel import gumbel_sample
from sampling_kernels.weighted_logits import WeightedLogits
from torch import Tensor

from sampling.sampler.rules.keys import RngKeys
from sampling.sampler.rules.rule import DrawRule, Margin

Noise = Callable[[RngKeys, Tensor], Tensor]


@dataclass(frozen=True, kw_only=True)
class NoisyArgMax(DrawRule):
    """The arg max of logit + noise in the precision of the noise; of equal ones the first column.

    Args:
        noise: Of the keys and columns, int64 [B, C] or [1, C]; float32 or float64 [B, C].
        ranked: Whether a token's column is its place in the order of the logits, likeliest first, instead of its id.
        tolerance: What rounding may do to the distance of two scores, for each unit of their size and once more.
    """

    noise: Noise
    tolerance: float
    ranked: bool = False

    def of_full_rows(self, rows: WeightedLogits, keys: RngKeys) -> Tensor:
        """Return token ids, int64 [B]."""
        return self._arg_max(rows.logits, all_ids(rows.logits), keys)

    def of_candidates(self, candidates: Candidates, keys: RngKeys) -> tuple[Tensor, Tensor]:
        """Return columns of the candidates, int64 [B], and whether they are certain, bool [B]."""
        return self._arg_max(candidates.logits, candidates.token_ids, keys), candidates.certain

    def _arg_max(self, logits: Tensor, token_ids: Tensor, keys: RngKeys) -> Tensor:
        if not self.ranked:
            return gumbel_sample(logits, self.noise(keys, token_ids))
        logits, order = logits.sort(stable=True, dim=-1, descending=True)  # of equal ones the lower id first
        return order.gather(1, gumbel_sample(logits, self.noise(keys, all_ids(logits)))[:, None])[:, 0]

    def margin(self, rows: WeightedLogits, keys: RngKeys) -> Margin:
        """Return the distance of the two best scores; 0 where an engine may have had equals in another order."""
        logits, order = rows.logits, all_ids(rows.logits).expand_as(rows.logits)
        if self.ranked:
            logits, order = logits.sort(stable=True, dim=-1, descending=True)
        noise = self.noise(keys, all_ids(logits))
        score = logits.to(noise.dtype) + noise
        best = gumbel_sample(logits, noise)[:, None]
        tolerance = self.tolerance * (1 + score.gather(1, best).double().abs())[:, 0]
        margin = margin_of_scores(score, best, tolerance)
        distance = margin.distance
        if self.ranked:
            near = (logits - logits.gather(1, best)).abs().scatter(1, best, torch.inf).amin(-1)
            distance = torch.where(near <= tolerance, 0.0, distance)
        return Margin(order.gather(1, margin.runner_up[:, None])[:, 0], distance, tolerance)


def margin_of_scores(score: Tensor, best: Tensor, tolerance: Tensor) -> Margin:
    """Return the distance of the best score to the next.

    Args:
        score: float [B, C].
        best: The column that wins, int64 [B, 1].
        tolerance: float64 [B].

    Returns:
        The margin; the runner-up is a column.
    """
    first, without = score.gather(1, best), score.scatter(1, best, -torch.inf)
    second, place = without.max(-1, keepdim=True)
    runner_up = torch.where(second == -torch.inf, best, place)
    return Margin(runner_up[:, 0], (first.double() - second.double())[:, 0], tolerance)


def all_ids(logits: Tensor) -> Tensor:
    """Return the ids of all columns, int64 [1, V]."""
    return torch.arange(logits.shape[1], device=logits.device)[None]
