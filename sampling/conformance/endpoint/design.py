"""Which logits and values of parameters tell hypotheses apart with the fewest draws."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import combinations, permutations

import numpy as np
from numpy.typing import NDArray

from sampling.conformance.distributions import alike
from sampling.conformance.endings import NotTestable
from sampling.conformance.oracle import probabilities
from sampling.conformance.sampling_case import SamplingCase
from sampling.conformance.semantics import Semantics
from sampling.conformance.statistics.planning import draws_by_likelihood

Row = NDArray[np.float64]
Option = tuple[tuple[str, float], ...]  # parameters by name

SAME = 1e-3  # distributions closer than this are one: log probabilities are told with few digits
SLOPES = (0.1, 0.2, 0.4)  # between logits that fall by the same step
TOPS, HEIGHTS = (1, 2), (1.0, 2.0, 3.0, 4.0)  # or of one or two tokens that are higher than the others
TILT = 0.06  # between tokens that are alike otherwise, so that none is another's equal
SHAKEN = 0.02  # how far logits may be off before a token is kept that was not


@cache
def sharpest(
    count: int, options: tuple[Option, ...], hypotheses: tuple[Semantics, ...]
) -> tuple[tuple[float, ...], Option]:
    """Return the logits and parameters that tell every hypothesis from every other in the fewest draws, as far as can be.

    Raises:
        NotTestable: There are too few tokens for any of the parameters.
    """
    found: list[tuple[int, float, tuple[float, ...], Option]] = []
    for logits in shapes(count):
        for option in options:
            rows = rows_of(logits, option, hypotheses)
            same = sum(alike([p], [q], SAME) for p, q in combinations(rows, 2))
            found.append((same, worst(rows), tuple(logits.tolist()), option))
    for _, _, logits, option in sorted(found):
        rows = rows_of(np.array(logits), option, hypotheses)
        if all(
            alike_kept(rows, rows_of(np.array(logits) + off, option, hypotheses)) for off in shaken(count)
        ):
            return logits, option
    raise NotTestable(f"with {count} tokens every value of the parameters is too close to a boundary")


def shapes(count: int) -> list[Row]:
    """Logits from high to low."""
    place = np.arange(count, dtype=np.float64)
    steps = [np.where(place < top, height, 0.0) - TILT * place for top in TOPS for height in HEIGHTS]
    return [*(-slope * place for slope in SLOPES), *steps]


def shaken(count: int) -> list[Row]:
    """Return what logits may be off by: each token and the next in opposite directions, and one half against the other."""
    place = np.arange(count)
    signs = [np.where(place % 2, 1.0, -1.0), np.where(place < count / 2, 1.0, -1.0)]
    return [sign * amount for sign in signs for amount in (SHAKEN, -SHAKEN)]


def rows_of(logits: Row, option: Option, hypotheses: Sequence[Semantics]) -> list[Row]:
    """Return what hypotheses draw from."""
    case = SamplingCase(logits.astype(np.float32), dict(option))
    return [probabilities(case, hypothesis) for hypothesis in hypotheses]


def alike_kept(rows: Sequence[Row], others: Sequence[Row]) -> bool:
    """Whether the same tokens are kept."""
    return all(((p > 0) == (q > 0)).all() for p, q in zip(rows, others, strict=True))


def worst(rows: Sequence[Row]) -> float:
    """Draws after which the two hypotheses that are hardest to tell apart are, those left out that are the same."""
    pairs = [(p, q) for p, q in permutations(rows, 2) if not alike([p], [q], SAME)]
    return max((draws_by_likelihood([p], [q]) for p, q in pairs), default=0.0)
