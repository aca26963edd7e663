"""The logits that checks ask about."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sampling.conformance.sampling_case import SamplingCase

# Token ids by rank: neither ascending nor descending, so that no order of ids stands in for that of the logits.
RANKED = (5, 12, 0, 9, 14, 3, 7, 10, 1, 15, 4, 8, 13, 2, 11, 6)

EQUAL = np.zeros(8, dtype=np.float32)
# Three equal maxima.
TIED = np.array([0, 0, 3, 1, 3, 2, 3, 0], dtype=np.float32)
# Two logits nearly the same: at a temperature of 0.01 both are drawn, at 0.001 one of them.
CLOSE = np.array([-5, 0, -5, -0.02, -5, -5, -5, -5], dtype=np.float32)
# The same for temperatures that are next to none.
CLOSEST = np.array([-5, 0, -5, -2.5e-7, -5, -5, -5, -5], dtype=np.float32)

# A value of every parameter that changes what is sampled, after a past in which it does.
STRONG: Mapping[str, Any] = {
    "temperature": 0.3,
    "top_p": 0.3,
    "frequency_penalty": 2.0,
    "presence_penalty": 2.0,
    "logit_bias": {RANKED[0]: -100},
    "repetition_penalty": 2.0,
    "top_k": 2,
    "min_p": 0.5,
}
PAST = (RANKED[0], RANKED[0], RANKED[1])

WIDE = (4096, 32_768)  # vocabularies with a long tail
HEAD, HEAD_SHARE = 1200, 0.9  # of `shelf`
HALF = float(np.float32(-math.log(2)))  # a logit that is half as likely as 0, to the precision of float32
LOWEST = float(np.finfo(np.float32).min)

FILLER = RANKED[15]  # so unlikely that a penalty on it changes nothing that counts
# What was sampled, as a long past: from the end rank 3 is last, ranks 2 and 1 are at places 32 and 103.
LONG = (RANKED[1], *[FILLER] * 70, RANKED[2], *[FILLER] * 30, RANKED[3])


@dataclass(frozen=True)
class Sizes:
    """How many logits the rows have that are not small; an engine's vocabulary may be narrower.

    Args:
        wide: Vocabularies with a long tail.
        broad: A row on which a wrong temperature shows in few draws.
        many: A row of which something may be cut off.
    """

    wide: tuple[int, ...] = WIDE
    broad: int = 4096
    many: int = 2048


def spaced(step: float = 0.4, offset: float = 0.0) -> NDArray[np.float32]:
    """Sixteen logits at equal distances, the largest of them `offset`.

    Args:
        step: The distance.
        offset: The largest.

    Returns:
        float32 [16].

    Example:
        >>> spaced()[list(RANKED)][:3].tolist()
        [0.0, -0.4000000059604645, -0.800000011920929]
    """
    logits = np.empty(len(RANKED), dtype=np.float32)
    logits[list(RANKED)] = offset - step * np.arange(len(RANKED))
    return logits


def two_levels(width: int, scale: float = 1.0) -> NDArray[np.float32]:
    """One token with half of the mass and the others, equal among themselves, with the other half.

    No other logits of this width vary as much: what a wrong temperature does shows in few draws.

    Args:
        width: V.
        scale: The logits are multiplied by it: with the temperature, so that the halves are halves after it.

    Returns:
        float32 [V]; the likely token is in the middle.
    """
    logits = np.full(width, -scale * math.log(width - 1), dtype=np.float32)
    logits[width // 2] = 0.0
    return logits


def after_past(**params: Any) -> SamplingCase:
    """Return a question on which every one of the `STRONG` values has an effect."""
    return SamplingCase(spaced(offset=3.0), params, output_ids=PAST)


def placed(by_rank: NDArray[np.float64]) -> NDArray[np.float32]:
    """Logits by rank at ids in no order, always the same, float32 [V]."""
    logits = np.empty(len(by_rank), dtype=np.float32)
    logits[np.random.default_rng(len(by_rank)).permutation(len(by_rank))] = by_rank
    return logits


@cache
def long_tailed(width: int, low: float = 0.0, count: int = 0) -> NDArray[np.float32]:
    """Probabilities that fall as those of words do, with rank^-1.2.

    Args:
        width: V.
        low: A logit that the least likely tokens have instead of theirs.
        count: How many of them.
    """
    logits = -1.2 * np.log(np.arange(1, width + 1))
    logits[width - count :] = low
    return placed(logits)


@cache
def shelf(width: int) -> NDArray[np.float32]:
    """Nine tenths of the mass on `HEAD` tokens, much the same each, and the rest far below on all others."""
    head, tail = np.linspace(0.5, -0.5, HEAD), np.linspace(0.2, -0.2, width - HEAD)
    rest = np.exp(head).sum() * (1 / HEAD_SHARE - 1)
    return placed(np.concatenate([head, tail + np.log(rest / np.exp(tail).sum())]))


def shelf_share() -> float:
    """Return a top_p that ends in the middle of the last token of a shelf's head."""
    head = np.exp(np.linspace(0.5, -0.5, HEAD))
    return round(HEAD_SHARE * (1 - float(head[-1] / head.sum()) / 2), 6)


def candidates(shares: Sequence[float], low: float = -math.inf, count: int = 0) -> NDArray[np.float32]:
    """Return a few tokens with these probabilities, some that are banned by a low logit, and nothing else.

    Args:
        shares: Probabilities.
        low: The logit of the banned ones.
        count: How many of them.

    Returns:
        float32 [64]; -inf for all others.
    """
    logits = np.full(64, -np.inf, dtype=np.float32)
    ids = np.array([*RANKED, *range(16, 64)])
    logits[ids[: len(shares)]] = np.log(shares)
    logits[ids[len(shares) : len(shares) + count]] = low
    return logits


def tied(width: int, truncation: str) -> SamplingCase:
    """Up to 512 equal logits below a likely one, and a truncation that has room for a quarter of them.

    Args:
        width: V.
        truncation: "top_k" or "top_p", whose boundary is far from an exact hit.
    """
    equal = min(width // 2, 512)
    room = equal // 4
    logits = np.full(width, -7.0, dtype=np.float32)  # no lower: what low logits do is asked elsewhere
    logits[1 :: width // equal] = 1.0
    logits[width // equal] = 1.0 + math.log(equal / 2)
    if truncation == "top_k":
        return SamplingCase(logits, {"top_k": 1 + room})
    masses = np.exp(logits.astype(np.float64) - 1.0)
    return SamplingCase(logits, {"top_p": round((equal / 2 + room - 0.5) / float(masses.sum()), 6)})
