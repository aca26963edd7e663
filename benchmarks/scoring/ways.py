"""Ways to compute the log probabilities of given tokens under top_k and top_p: ours, and those of trainers, written afresh.

A way takes logits [N, V], token ids [N], k (0 for none) and p, and returns float32 [N].
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from sampling import SamplingParams, token_logprobs

Way = Callable[[Tensor, Tensor, int, float], Tensor]


def filtered_by_sort(logits: Tensor, k: int, p: float) -> Tensor:
    """Filter as vLLM's PyTorch function does: an ascending sort, a threshold, a running sum from below, back by a scatter."""
    ordered, index = logits.sort(dim=-1)
    if k:
        kth = ordered[:, -k, None]
        ordered = ordered.masked_fill(ordered < kth, -torch.inf)
    below = ordered.softmax(-1).cumsum(-1) <= 1 - p
    below[:, -1] = False
    ordered = ordered.masked_fill(below, -torch.inf)
    return torch.empty_like(ordered).scatter(-1, index, ordered)


def vllm(logits: Tensor, token_ids: Tensor, k: int, p: float) -> Tensor:
    """Filter by a sort, log softmax, gather."""
    return filtered_by_sort(logits, k, p).log_softmax(-1).gather(-1, token_ids[:, None])[:, 0]


def trl(logits: Tensor, token_ids: Tensor, k: int, p: float) -> Tensor:
    """Filter as transformers' warpers do, top_k by topk and top_p by a sort, then logit - logsumexp row by row."""
    if k:
        logits = logits.masked_fill(logits < logits.topk(k).values[:, -1:], -torch.inf)
    ordered, index = logits.sort(dim=-1)
    remove = ordered.softmax(-1).cumsum(-1) <= 1 - p
    remove[:, -1] = False
    logits = logits.masked_fill(torch.empty_like(remove).scatter(1, index, remove), -torch.inf)
    chosen = logits.gather(-1, token_ids[:, None])[:, 0]
    return chosen - torch.stack([row.logsumexp(-1) for row in logits])


def prime_rl(logits: Tensor, token_ids: Tensor, k: int, p: float) -> Tensor:
    """Filter by a sort, put the sampled token's logit back, logit - logsumexp of all rows."""
    own = logits.gather(-1, token_ids[:, None])
    kept = filtered_by_sort(logits, k, p).scatter(-1, token_ids[:, None], own)
    return own[:, 0] - kept.logsumexp(-1)


def ours(logits: Tensor, token_ids: Tensor, k: int, p: float) -> Tensor:
    """Score exactly."""
    params = SamplingParams(top_k=k, top_p=p)
    return token_logprobs(logits, token_ids, params, dialect="vllm", outside="keep").logprobs


@dataclass(frozen=True)
class Described:
    """A way and what it does."""

    call: Way
    does: str


WAYS = {
    "ours": Described(ours, "sampling.token_logprobs, the exact kept set"),
    "vLLM": Described(vllm, "vLLM's PyTorch top-k/top-p filter (sort), log_softmax, gather"),
    "TRL": Described(trl, "transformers' warpers (topk, sort), then TRL's selective log softmax, row by row"),
    "prime-rl": Described(prime_rl, "the same filter as vLLM's, the label's logit restored, logsumexp"),
}
