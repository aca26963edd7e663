"""Recorded tokens of greedy requests beside the arg max: no noise is in them, whatever the rule."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from sampling.core.history import Prompts
from sampling.core.logits import float32_logits
from sampling.core.params import SamplingParams
from sampling.dialects import Dialect
from sampling.pipeline.pipeline import Pipeline, apply_edits
from sampling.replay.tokens import ReplayedTokens
from sampling.sampler.logprobs import checked_ids, logprobs
from sampling.sampler.rules import Margin
from sampling.scoring.request import Request, history_of


def is_greedy(params: SamplingParams, dialect: Dialect) -> bool:
    """Whether a request takes the most likely token, as the dialect reads its temperature."""
    return params.temperature == 0 or params.temperature < dialect.greedy_below


@torch.no_grad()
def greedy_tokens(
    logits: Tensor,
    token_ids: Tensor | Sequence[int],
    params: SamplingParams,
    *,
    dialect: Dialect,
    prompt_ids: Prompts | None = None,
    output_ids: Prompts | None = None,
    logit_error: float = 0.0,
) -> ReplayedTokens:
    """Compare recorded tokens of a greedy request with the most likely ones; arguments and errors as in `replay_tokens`.

    Returns:
        What the arg max says of each token. Its margin is the distance of the two largest logits.
    """
    rows = float32_logits(logits)
    ids = checked_ids(token_ids, *rows.shape).to(rows.device, torch.int64)
    request = Request.of(params, dialect).to(rows.device)
    history = history_of(request, prompt_ids, output_ids, len(rows), rows.device)
    edited = apply_edits(request.plan.edits, rows, history)
    best = edited.argmax(-1, keepdim=True)
    others = edited.scatter(1, best, -torch.inf)
    second = others.max(-1)
    runner_up = torch.where(second.values > -torch.inf, second.indices, best[:, 0])
    distance = (edited.gather(1, best)[:, 0].double() - second.values).abs()
    margin = Margin(runner_up, distance, torch.full_like(distance, 2 * logit_error))
    processed = Pipeline(*request.plan.edits, *request.plan.final)(rows, history)
    return ReplayedTokens(ids, best[:, 0], margin, logprobs(processed, ids).logprobs)
