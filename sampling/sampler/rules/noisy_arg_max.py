"""Rules of one form: the arg max of logit + noise, where the noise is a function of seed, position and column."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from sampling_kernels.blocks import BLOCK, blocked, gather_blocks
from sampling_kernels.candidates.candidates import Candidates
from sampling_kernels.gumbel import gumbel_sample
from sampling_kernels.host_sync import TILE_ELEMENTS
from sampling_kernels.weighted_logits import WeightedLogits
from torch import Tensor

from sampling.sampler.rules.keys import RngKeys
from sampling.sampler.rules.rule import DrawRule, Margin

OfColumns = Callable[[RngKeys, Tensor], Tensor]
# Of a row with the sum Z of its weights e^l, the tokens whose bound reaches a score s are Z e^-s on average; the runner-up's
# score s has Z e^-s in Gamma(2), so that there are more of them than this once in a million rows.
REACHING_BLOCKS = 24


@dataclass(frozen=True, kw_only=True)
class NoisyArgMax(DrawRule):
    """The arg max of logit + noise in the precision of the noise; of equal ones the first column.

    Args:
        noise: Of the keys and columns, int64 [B, C] or [1, C]; float32 or float64 [B, C].
        tail: Of the same, a word w, as int32 [B, C]: the noise is at most ln(2^32 / w). None where no such bound is known.
        ranked: Whether a token's column is its place in the order of the logits, likeliest first, instead of its id.
        tolerance: What rounding may do to the distance of two scores, for each unit of their size and once more.
    """

    noise: OfColumns
    tail: OfColumns | None = None
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
        return self.drawn(rows, keys)[1]

    def drawn(self, rows: WeightedLogits, keys: RngKeys) -> tuple[Tensor, Margin]:
        """Draw with the margin; where the bound of the noise leaves few blocks of a row, no other one is looked at."""
        logits, ids = rows.logits, all_ids(rows.logits)
        blocks = blocked(logits)
        if self.tail is None or self.ranked or blocks.shape[1] <= REACHING_BLOCKS:
            return self.drawn_of(logits, ids, keys)[:2]
        reach, block_ids = self._reach(blocks, keys).topk(REACHING_BLOCKS + 1)
        block_ids = block_ids[:, :-1].sort(-1).values
        some = (block_ids[:, :, None] * BLOCK + torch.arange(BLOCK, device=ids.device)).flatten(1)
        tokens, margin, second = self.drawn_of(gather_blocks(blocks, block_ids), some, keys)
        others = reach[:, -1].double()
        slack = 2.0**-15 + 2.0**-20 * others.abs()  # the bounds are float32, and so are some rules' scores
        certain = (others + slack < second) | (others == -torch.inf)
        rest = (~certain).nonzero()[:, 0]
        for row in rest.split(1):
            tokens[row], one, _ = self.drawn_of(logits[row], ids, keys.select(row))
            margin.write(row, one)
        return tokens, margin

    def drawn_of(self, logits: Tensor, token_ids: Tensor, keys: RngKeys) -> tuple[Tensor, Margin, Tensor]:
        """Draw from some columns, which have every token that could come first or second.

        Args:
            logits: float32 [B, C].
            token_ids: Ascending, int64 [B, C] or [1, C].
            keys: Of the rows.

        Returns:
            Token ids, the margin, and the score of the runner-up, float64 [B]; -inf without one.
        """
        order, columns = token_ids.expand_as(logits), token_ids
        if self.ranked:
            logits, places = logits.sort(stable=True, dim=-1, descending=True)
            order, columns = order.gather(1, places), all_ids(logits)
        noise = self.noise(keys, columns)
        best = gumbel_sample(logits, noise)[:, None]
        score = logits.to(noise.dtype) + noise
        first = score.gather(1, best)[:, 0].double()
        tolerance = self.tolerance * (1 + first.abs())
        margin = margin_of_scores(score, best, tolerance)
        distance = margin.distance
        if self.ranked:
            near = (logits - logits.gather(1, best)).abs().scatter(1, best, torch.inf).amin(-1)
            distance = torch.where(near <= tolerance, 0.0, distance)
        tokens = order.gather(1, best)[:, 0]
        runner_up = order.gather(1, margin.runner_up[:, None])[:, 0]
        return tokens, Margin(runner_up, distance, tolerance), first - margin.distance

    def _reach(self, blocks: Tensor, keys: RngKeys) -> Tensor:
        """Bound the scores of each block from above, float32 [B, N]; some columns of all rows at a time."""
        assert self.tail is not None
        count, at_once = blocks.shape[1], max(1, TILE_ELEMENTS // (BLOCK * max(1, len(blocks))))
        ids = torch.arange(count * BLOCK, device=blocks.device)[None]
        parts: list[Tensor] = []
        for begin in range(0, count, at_once):
            some = blocks[:, begin : begin + at_once]
            words = self.tail(keys, ids[:, begin * BLOCK : (begin + some.shape[1]) * BLOCK])
            logs = words.view(torch.uint32).float().log_().view_as(some)
            parts.append(torch.sub(some, logs, out=logs).amax(-1))
        return torch.cat(parts, -1) + 32 * math.log(2)


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
