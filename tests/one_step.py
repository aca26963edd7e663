"""One step of a dialect's sampler, for vectors by hand."""

from __future__ import annotations

import math
from typing import Any

import torch

from sampling import Sampler, SamplingParams
from sampling.dialects import Dialect

INF = math.inf
PROCESSED = "processed"


def sampled(
    name: str | Dialect,
    row: list[float],
    mode: str | None = None,
    *,
    prompt: tuple[int, ...] = (),
    output: tuple[int, ...] = (),
    **fields: Any,
) -> tuple[int, dict[int, float]]:
    """The sampled token and the log probability of every token, in a mode or the dialect's own."""
    params = SamplingParams(logprobs=True, top_logprobs=20, seed=1, **fields)
    sampler = Sampler(
        [params],
        vocab_size=len(row),
        prompt_ids=[list(prompt)],
        dialect=name,
        logprob_modes=None if mode is None else [mode],
    )
    for token in output:
        sampler.history.accept(torch.tensor([token]))
    out = sampler.step(torch.tensor([row]))
    logprobs = dict(zip(out.top_token_ids[0].tolist(), out.top_logprobs[0].tolist(), strict=True))
    return int(out.token_ids), logprobs


def kept(name: str | Dialect, row: list[float], **kwargs: Any) -> list[int]:
    _, logprobs = sampled(name, row, PROCESSED, **kwargs)
    return sorted(token for token, value in logprobs.items() if value > -INF)


def gap(name: str | Dialect, row: list[float], **kwargs: Any) -> float:
    """Logit of token 0 minus logit of token 1, after everything."""
    _, logprobs = sampled(name, row, PROCESSED, **kwargs)
    return logprobs[0] - logprobs[1]


def log_softmax(row: list[float]) -> dict[int, float]:
    total = math.log(sum(math.exp(x) for x in row))
    return {i: x - total for i, x in enumerate(row)}
