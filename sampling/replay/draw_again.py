"""Tokens drawn again from rows of logits after their edits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from sampling_kernels.blocks import BlockedLogits
from sampling_kernels.validity import row_validity
from sampling_kernels.weighted_logits import WeightedLogits
from torch import Tensor

from sampling.processors import OrderPreservingStage
from sampling.processors.base import Rows
from sampling.processors.run_stages import ReturnLogits, run_on_full_rows
from sampling.sampler.rules import DrawRule, Margin, RngKeys
from sampling.sampler.rules.noisy_arg_max import NoisyArgMax
from sampling.scoring.bits import tokens_of
from sampling.scoring.measure import keep_given, measure_edited, sum_exp
from sampling.scoring.request import Request

NARROW = 2**12  # a row that keeps no more tokens is drawn from these alone


class Drawn(NamedTuple):
    """What a rule draws from N rows.

    Args:
        tokens: int64 [N]; -1 where the row cannot be sampled.
        margin: How clear each draw is.
        logprobs: Of the recorded tokens under the processed distribution, float32 [N].
    """

    tokens: Tensor
    margin: Margin
    logprobs: Tensor

    @staticmethod
    def nothing(rows: int, device: torch.device) -> Drawn:
        """Return what is drawn from rows that cannot be sampled."""
        tokens = torch.full((rows,), -1, device=device)
        return Drawn(tokens, Margin.unknown(rows, device), torch.full((rows,), torch.nan, device=device))

    def write(self, rows: Rows, other: Drawn) -> None:
        """Put what is drawn from R rows in the place of some."""
        self.tokens[rows], self.logprobs[rows] = other.tokens, other.logprobs
        self.margin.write(rows, other.margin)


def draw_again(rule: DrawRule, request: Request, logits: Tensor, token_ids: Tensor, keys: RngKeys) -> Drawn:
    """Draw from rows after their edits.

    Args:
        rule: Of the draw.
        request: The rows' stages.
        logits: float32 [R, V].
        token_ids: The recorded tokens, int64 [R].
        keys: Of the rows.
    """
    found = Drawn.nothing(len(logits), logits.device)
    rows = (row_validity(logits) == 0).nonzero()[:, 0]
    if len(rows) < len(logits):
        request, logits, token_ids, keys = (
            request.select(rows),
            logits[rows],
            token_ids[rows],
            keys.select(rows),
        )
    draw = draw_from_kept if request.truncates else draw_from_all
    found.write(rows, draw(rule, request, logits, token_ids, keys))
    return found


def draw_from_all(
    rule: DrawRule, request: Request, logits: Tensor, token_ids: Tensor, keys: RngKeys
) -> Drawn:
    """Draw from valid rows of which no token is masked."""
    processed = run_on_full_rows(request.plan.final, logits, ReturnLogits(logits.shape[1]))
    blocks = BlockedLogits.of(processed)
    total = sum_exp(blocks, blocks.maximum, torch.ones_like(blocks.maximum)).log()
    distance = processed.gather(1, token_ids[:, None]).double() - blocks.maximum.double()
    return Drawn(*rule.drawn(WeightedLogits(processed), keys), (distance - total)[:, 0].float())


def draw_from_kept(
    rule: DrawRule, request: Request, logits: Tensor, token_ids: Tensor, keys: RngKeys
) -> Drawn:
    """Draw from the exact kept sets of valid rows."""
    measured = measure_edited(request, logits, token_ids, None, "-inf", with_words=True)
    found = Drawn.nothing(len(logits), logits.device)
    found.logprobs.copy_(measured.logprobs)
    narrow = measured.kept_counts <= most_alone(rule, logits.shape[1])
    for some, draw in ((narrow, draw_alone), (~narrow, draw_masked)):
        rows = some.nonzero()[:, 0]
        if len(rows):
            own = logits if len(rows) == len(logits) else logits[rows]
            stages = request.select(rows).without_truncations
            tokens, margin = draw(rule, stages, own, measured.words[rows], keys.select(rows))
            found.tokens[rows] = tokens
            found.margin.write(rows, margin)
    return found


def most_alone(rule: DrawRule, width: int) -> int:
    """Return of how many tokens at most a kept set is drawn from without the others."""
    if not isinstance(rule, NoisyArgMax):
        return 0  # the sums of a part are not bit for bit those of the whole
    return width if rule.ranked else NARROW


def draw_alone(
    rule: DrawRule, stages: Sequence[OrderPreservingStage], logits: Tensor, words: Tensor, keys: RngKeys
) -> tuple[Tensor, Margin]:
    """Draw from the tokens of sets, int64 [R, W], side by side."""
    rows, ids = tokens_of(words)
    counts = rows.bincount(minlength=len(logits))
    places = torch.arange(len(rows), device=rows.device) - (counts.cumsum(0) - counts)[rows]
    shape = (len(logits), int(counts.max()))
    kept = torch.full(shape, -torch.inf, device=logits.device)
    token_ids = torch.zeros(shape, dtype=torch.int64, device=logits.device)
    kept[rows, places], token_ids[rows, places] = logits[rows, ids], ids
    processed = run_on_full_rows(stages, kept, ReturnLogits(shape[1]))
    assert isinstance(rule, NoisyArgMax)
    tokens, margin, _ = rule.drawn_of(processed, token_ids, keys)
    return tokens, margin


def draw_masked(
    rule: DrawRule, stages: Sequence[OrderPreservingStage], logits: Tensor, words: Tensor, keys: RngKeys
) -> tuple[Tensor, Margin]:
    """Draw from whole rows, of which the tokens outside of the sets are masked."""
    processed = run_on_full_rows(stages, keep_given(logits, words), ReturnLogits(logits.shape[1]))
    return rule.drawn(WeightedLogits(processed), keys)
