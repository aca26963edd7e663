"""Wrong truncations."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from sampling.conformance.mutants.mutant import Mutant, Wrong, instead
from sampling.conformance.mutants.temperature import TABLE
from sampling.conformance.reference import Reference
from sampling.dialects import QSTASH, Stage
from sampling.processors import MinP, Processor, TopK, TopP, Truncation

TRUNCATED = ("top_k", "top_p", "min_p")
BEFORE = tuple(name for name in QSTASH.stages if name not in ("temperature", *TRUNCATED))


def ordered(*order: Stage) -> Reference:
    """Temperature and truncations in another order."""
    return Wrong(replace(QSTASH, order=(*BEFORE, *order)))


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


def adjusted(kind: type[Truncation], change: Callable[[Tensor, Tensor], Tensor]) -> Reference:
    """All truncations of a kind changed."""
    return Wrong(stage=instead(kind, lambda stage: Adjusted(stage, change)))


class AbsoluteMinP(MinP):
    """Keep tokens of probability p at least, however likely the likeliest is."""

    def keep(self, logits: Tensor, w: Tensor | None = None) -> Tensor:
        """Compare with p itself; the likeliest stays."""
        probs = logits.double().softmax(-1)
        return (probs >= self.fitted(self.p, logits)) | (logits == logits.amax(-1, keepdim=True))

    keep_leading = Truncation.keep_leading


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


NO_MORE, TOP_K = "truncation.no-token-more", "truncation.top-k"

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
        "truncation.crossing-token",
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
        lambda: Wrong(replace(QSTASH, exact_hit_stops=False)),
    ),
    Mutant(
        "top-p-0-is-off",
        "takes a top_p of 0 for not given",
        "`top_p or 1.0`",
        "truncation.top-p-to-zero",
        lambda: Wrong(fields=off_when_falsy),
    ),
    Mutant("top-k-one-less", "keeps k - 1 tokens", TABLE, TOP_K, lambda: adjusted(TopK, without_last)),
    Mutant("top-k-one-more", "keeps k + 1 tokens", TABLE, TOP_K, lambda: adjusted(TopK, with_next)),
    Mutant(
        "top-k-0-keeps-one",
        "takes a top_k of 0 literally, and keeps the arg max",
        "max(k, 1) where 0 should switch it off",
        "truncation.disabled",
        lambda: Wrong(fields=zero_is_one),
    ),
    Mutant(
        "top-p-1-cuts",
        "cuts the tail off at a top_p of 1",
        "a float sum that reaches 1 before its end",
        "truncation.disabled",
        lambda: Wrong(fields=never_off),
    ),
    Mutant(
        "ties-by-highest-id",
        "keeps the highest ids among equal logits at the boundary",
        "vLLM 0.4.3, transformers (ascending sort)",
        "truncation.ties",
        lambda: Wrong(replace(QSTASH, low_ids_first=False)),
    ),
    Mutant(
        "top-k-keeps-ties",
        "keeps all tokens that equal the k-th",
        "transformers, vLLM 0.4.3 (logits below the k-th are removed)",
        "truncation.ties",
        lambda: Wrong(replace(QSTASH, top_k_keeps_ties=True)),
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
        lambda: Wrong(stage=instead(MinP, absolute)),
    ),
)
