"""transformers' own processors in the order of `generate`, torch.multinomial, and the logprobs on top."""

from __future__ import annotations

import torch
from torch import Tensor

from benchmarks.sampler.engine import Engine, Job, Step

REPETITION = 1.1


def build(job: Job) -> Step:
    """Tokens [B], their log probabilities [B] and the top K of the model's logits [B, V]."""
    from transformers import (
        LogitsProcessorList,
        RepetitionPenaltyLogitsProcessor,
        SequenceBiasLogitsProcessor,
        TemperatureLogitsWarper,
        TopPLogitsWarper,
    )

    params, history = job.params, job.history()
    processors = LogitsProcessorList(
        [
            SequenceBiasLogitsProcessor({(token,): bias for token, bias in params.logit_bias.items()}),
            RepetitionPenaltyLogitsProcessor(REPETITION),
            TemperatureLogitsWarper(params.temperature),
            TopPLogitsWarper(params.top_p),
        ]
    )

    def step(logits: Tensor) -> tuple[Tensor, ...]:
        processed = processors(history, logits)  # pyright: ignore[reportArgumentType]
        token = torch.multinomial(torch.softmax(processed, dim=-1), 1)
        logprobs = torch.log_softmax(logits, dim=-1)
        return token[:, 0], logprobs.gather(-1, token)[:, 0], *logprobs.topk(params.top_logprobs, dim=-1)

    return step


ENGINE = Engine(
    build,
    f"SequenceBias, RepetitionPenalty {REPETITION}, Temperature, TopP, softmax, torch.multinomial, log_softmax, topk",
    "frequency and presence penalties (it has none: the repetition penalty stands in), seeds by row, ranks",
)
