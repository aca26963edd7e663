"""Wrong truncations."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from conformance.faulty.sampler import FaultySampler, Mutant, instead
from conformance.faulty.temperature import TABLE
from torch import Tensor

from sampling.conformance.reference import Reference
from sampling.dialects import Stage
from sampling.dialects.qstash import QSTASH
from sampling.processors import MinP, Processor, TopK, TopP, Truncation

TRUNCATED = ("top_k", "top_p", "min_p")
BEFORE = tuple(name for name in QSTASH.stages if name not in ("temperature", *TRUNCATED))


def ordered(*order: Stage) -> Reference:
    """Temperature and truncations in another order."""
    return FaultySampler(replace(QSTASH, order=(*BEFORE, *order)))


class Adjusted(Truncation):
    """A truncation whose kept set somebody changes.

    Args:
        right: The truncation.
        change: From what it keeps, bool [B, V], and its logits to what is kept instead.
    """

    name = "adjusted"

    def __init__(self, right: Truncation, change: Callable[[Tensor, Tensor], Tensor]) -> None:
        self.right, self.change = right, change

    def keep(self, logits: Tensor, w: Tensor | None = None) -> Tensor:
        """The changed set."""
        return self.change(self.right.keep(logits, w), logits)


def without_last(kept: Tensor, logits: Tensor) -> Tensor:
    """The last of several is not kept."""
    last = kept.shape[1] - 1 - torch.where(kept, logits, torch.inf).flip(-1).argmin(-1, keepdim=True)
    return torch.where(kept.sum(-1, keepdim=True) > 1, kept.scatter(-1, last, value=False), kept)


def with_next(kept: Tensor, logits: Tensor) -> Tensor:
    """The first that is not kept is kept, too."""
    behind = torch.where(kept, -torch.inf, logits).argmax(-1, keepdim=True)
    return kept.scatter(-1, behind, value=True)


def without_least(kept: Tensor, logits: Tensor) -> Tensor:
    """The least likely candidates go, but for the likeliest."""
    least = torch.where(logits > -torch.inf, logits, torch.inf).amin(-1, keepdim=True)
    return kept & ((logits > least) | (logits == logits.amax(-1, keepdim=True)))


def of_1024(kept: Tensor, logits: Tensor) -> Tensor:
    """Nothing behind the first 1024."""
    return kept & (logits >= logits.topk(min(1024, logits.shape[1])).values[:, -1:])


def all_if_underflowing(kept: Tensor, logits: Tensor) -> Tensor:
    """Everything is kept where float32 has no exponential above 0."""
    finite = logits[logits > -torch.inf].double()
    shift = finite.mean() + 10 * finite.std(correction=0)
    lost = not bool((finite - shift).float().exp().any())
    return logits > -torch.inf if lost else kept


def within_a_step(kept: Tensor, logits: Tensor) -> Tensor:
    """The last one is found in 18 halvings between the lowest logit and the highest."""
    finite = logits[logits > -torch.inf].double()
    step = (finite.max() - finite.min()) / 2**18
    return kept | (logits >= torch.where(kept, logits, torch.inf).amin(-1, keepdim=True) - step)


class BoundedTopP(TopP):
    """Take the tokens left for as likely as the last one kept, where nothing else has cut them off."""

    def keep(self, logits: Tensor, w: Tensor | None = None) -> Tensor:
        """Stop at p of that sum; of up to 64 logits, or behind a top_k, at p of all."""
        if logits.shape[1] <= 64 or bool((logits == -torch.inf).any()):
            return super().keep(logits, w)
        p, order = logits.double().softmax(-1).sort(dim=-1, descending=True, stable=True)
        held, left = p.cumsum(-1), torch.arange(p.shape[1] - 1, -1, -1)
        count = 1 + (held < self.broadcast_to(self.p, logits) * (held + left * p)).sum(-1, keepdim=True)
        first = torch.arange(p.shape[1]) < count
        return torch.empty_like(first).scatter_(1, order, first)

    keep_candidates = Truncation.keep_candidates


class Scrambled(Truncation):
    """A truncation of logits whose order of equals is any: another one before it looks at them, and back.

    Args:
        right: The truncation.
    """

    name = "scrambled"

    def __init__(self, right: Truncation) -> None:
        self.right = right

    def keep(self, logits: Tensor, w: Tensor | None = None) -> Tensor:
        """What it keeps of the logits in that order."""
        width = logits.shape[1]
        if width <= 16:
            return self.right.keep(logits, w)
        order = torch.randperm(width, generator=torch.Generator().manual_seed(width))
        kept = self.right.keep(logits[:, order])
        return torch.empty_like(kept).index_copy(1, order, kept)


def scrambled(stage: Processor) -> Processor:
    """Instead of top_k and top_p."""
    return Scrambled(stage) if isinstance(stage, TopK | TopP) else stage


def adjusted(kind: type[Truncation], change: Callable[[Tensor, Tensor], Tensor]) -> Reference:
    """All truncations of a kind changed."""
    return FaultySampler(stage=instead(kind, lambda stage: Adjusted(stage, change)))


class AbsoluteMinP(MinP):
    """Keep tokens of probability p at least, however likely the likeliest is."""

    def keep(self, logits: Tensor, w: Tensor | None = None) -> Tensor:
        """Compare with p itself; the likeliest stays."""
        probs = logits.double().softmax(-1)
        return (probs >= self.broadcast_to(self.p, logits)) | (logits == logits.amax(-1, keepdim=True))

    keep_candidates = Truncation.keep_candidates


def off_when_falsy(asked: dict[str, Any]) -> dict[str, Any]:
    """A top_p of 0 counts as left out."""
    return {**asked, "top_p": asked.get("top_p") or 1.0}


def zero_is_one(asked: dict[str, Any]) -> dict[str, Any]:
    """A top_k of 0, which switches it off, keeps one token."""
    return {**asked, "top_k": 1} if asked.get("top_k") == 0 else asked


def never_off(asked: dict[str, Any]) -> dict[str, Any]:
    """A top_p of 1 still cuts the tail off."""
    return {**asked, "top_p": 0.999} if asked.get("top_p") == 1 else asked


def absolute(stage: MinP) -> Processor:
    """Instead of min_p."""
    return AbsoluteMinP(stage.p[:, 0])


CROSSING, NO_MORE, TOP_K = (f"truncation.{name}" for name in ("crossing-token", "no-token-more", "top-k"))

MUTANTS = (
    Mutant(
        "top-p-before-temperature",
        "applies top_p before the temperature",
        "llama.cpp, mlx-lm",
        "truncation.temperature-order",
        lambda: ordered("top_k", "top_p", "temperature", "min_p"),
    ),
    Mutant(
        "crossing-token-dropped",
        "drops the token that crosses top_p",
        "exllamav3; fish-speech #1171, esm #360",
        CROSSING,
        lambda: adjusted(TopP, without_last),
    ),
    Mutant(
        "one-token-too-many",
        "keeps one token behind the crossing one",
        TABLE,
        NO_MORE,
        lambda: adjusted(TopP, with_next),
    ),
    Mutant(
        "exact-hit-goes-on",
        "takes one token more when the mass is exactly p",
        "SGLang 0.5.23 (exclusive mass <= p)",
        NO_MORE,
        lambda: FaultySampler(replace(QSTASH, top_p_stops_at_equality=False)),
    ),
    Mutant(
        "top-p-0-is-off",
        "takes a top_p of 0 for not given",
        "`top_p or 1.0`",
        "truncation.top-p-to-zero",
        lambda: FaultySampler(fields=off_when_falsy),
    ),
    Mutant("top-k-one-less", "keeps k - 1 tokens", TABLE, TOP_K, lambda: adjusted(TopK, without_last)),
    Mutant("top-k-one-more", "keeps k + 1 tokens", TABLE, TOP_K, lambda: adjusted(TopK, with_next)),
    Mutant(
        "top-k-0-keeps-one",
        "takes a top_k of 0 literally, and keeps the arg max",
        "max(k, 1) where 0 should switch it off",
        "truncation.disabled",
        lambda: FaultySampler(fields=zero_is_one),
    ),
    Mutant(
        "top-p-1-cuts",
        "cuts the tail off at a top_p of 1",
        "a float sum that reaches 1 before its end",
        "truncation.disabled",
        lambda: FaultySampler(fields=never_off),
    ),
    Mutant(
        "ties-by-highest-id",
        "keeps the highest ids among equal logits at the boundary",
        "transformers with up to 16 logits (an ascending sort, stable there)",
        "truncation.ties",
        lambda: FaultySampler(replace(QSTASH, top_k_ties="high", top_p_ties="high")),
    ),
    Mutant(
        "top-k-keeps-ties",
        "keeps all tokens that equal the k-th",
        "transformers, vLLM 0.4.3 (logits below the k-th are removed)",
        "truncation.ties",
        lambda: FaultySampler(replace(QSTASH, top_k_ties="all")),
    ),
    Mutant(
        "top-p-keeps-ties",
        "keeps all tokens that equal the last of the nucleus",
        "mlx-lm 0.32.2",
        "truncation.ties",
        lambda: FaultySampler(replace(QSTASH, top_p_ties="all")),
    ),
    Mutant(
        "ties-scrambled-beyond-16",
        "keeps equal logits in no order of ids, of more than 16 logits",
        "torch.sort on the CPU without stable=True: transformers, vLLM's PyTorch sampler",
        "truncation.ties",
        lambda: FaultySampler(stage=scrambled),
    ),
    Mutant(
        "top-p-bounded-beyond-64",
        "of more than 64 logits keeps what is p of itself and of all tokens left at the last one's probability",
        "onnxruntime-genai 0.18.0",
        CROSSING,
        lambda: FaultySampler(stage=instead(TopP, lambda stage: BoundedTopP(stage.p[:, 0]))),
    ),
    Mutant(
        "top-p-of-1024",
        "looks for the nucleus among the 1024 most likely tokens",
        "a top-k that saves a sort of the whole row",
        CROSSING,
        lambda: adjusted(TopP, of_1024),
    ),
    Mutant(
        "last-candidate-goes",
        "never keeps the least likely of the candidates, nor what equals it",
        "vLLM 0.33's Triton kernel for top_k with top_p: it keeps what is strictly above the lower bound of a search",
        "truncation.joint",
        lambda: adjusted(TopP, without_least),
    ),
    Mutant(
        "top-p-off-with-low-logits",
        "keeps everything where a few logits are very low",
        "vLLM 0.33's Triton kernel: exponentials shifted by the mean and ten standard deviations, not by the maximum",
        NO_MORE,
        lambda: adjusted(TopP, all_if_underflowing),
    ),
    Mutant(
        "top-k-blurred-by-low-logits",
        "keeps more than k where one logit is very low",
        "vLLM 0.33's Triton kernel: the k-th logit is searched in 18 steps between the lowest and the highest",
        TOP_K,
        lambda: adjusted(TopK, within_a_step),
    ),
    Mutant(
        "top-p-ignored",
        "takes top_p and does nothing",
        "a parameter that is accepted and never read",
        CROSSING,
        lambda: FaultySampler(stage=instead(TopP, lambda _: None)),
        spared_by=("truncation.temperature-order", "truncation.joint"),
    ),
    Mutant(
        "min-p-strict",
        "drops a token exactly at min_p",
        "mistralrs 0.9.5",
        "truncation.min-p-order",
        lambda: FaultySampler(replace(QSTASH, min_p_strict=True)),
    ),
    Mutant(
        "top-k-and-top-p-joint",
        "lets top_k and top_p look at the same distribution",
        "SGLang 0.5.23",
        "truncation.joint",
        lambda: ordered("temperature", ("top_k", "top_p"), "min_p"),
    ),
    Mutant(
        "min-p-before-temperature",
        "applies min_p before the temperature",
        "llama.cpp, mlx-lm",
        "truncation.min-p-order",
        lambda: ordered("min_p", "temperature", "top_k", "top_p"),
    ),
    Mutant(
        "min-p-before-top-p",
        "applies min_p before top_p",
        "vLLM 0.33",
        "truncation.min-p-order",
        lambda: ordered("temperature", "min_p", "top_k", "top_p"),
    ),
    Mutant(
        "min-p-absolute",
        "compares probabilities with min_p itself, not with min_p times the largest",
        "min_p read as a least probability",
        "truncation.min-p-order",
        lambda: FaultySampler(stage=instead(MinP, absolute)),
    ),
)
