"""A token with its log probability, on the host."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from sampling.core.errors import UnsampleableRow
from sampling.sampler.logprobs import logprobs


@dataclass(frozen=True)
class SampledToken:
    """One token of a text, sampled or given.

    Args:
        token_id: The token.
        logprob: Its log probability.
        rank: Its rank, 1 for the most likely.
        top: (token id, log probability) of the most likely tokens.
    """

    token_id: int
    logprob: float
    rank: int
    top: tuple[tuple[int, float], ...]


def scored(logits: Tensor, token_ids: Tensor, top: int) -> list[SampledToken]:
    """Return given tokens with the log probabilities that a model gives them, as it would report them of sampled ones.

    Args:
        logits: The model's, [T, V]; row t is of token t.
        token_ids: int64 [T].
        top: How many alternatives.

    Raises:
        UnsampleableRow: A row has NaN or +infinity.
    """
    found = logprobs(logits, token_ids, top=min(top, logits.shape[1]))
    columns = (token_ids, found.logprobs, found.ranks, found.top_token_ids, found.top_logprobs)
    tokens: list[SampledToken] = []
    for token, value, rank, ids, values in zip(*(column.tolist() for column in columns), strict=True):
        if rank == 0:
            raise UnsampleableRow("the model's logits within the prompt have NaN or +infinity")
        tokens.append(SampledToken(token, value, rank, tuple(zip(ids, values, strict=True))))
    return tokens
