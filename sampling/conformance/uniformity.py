"""Whether draws are uniform and independent of their neighbours, by their probability integral transforms."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sampling.conformance.statistics.pearson import pearson
from sampling.conformance.statistics.pit import cells, pair_cells
from sampling.conformance.verdict import FALSE_ALARM, Finding, Verdict

BINS, PAIR_BINS = 8, 3


def uniformity_of(uniforms: NDArray[np.float64]) -> Finding:
    """Look at the shares of equal parts, and at pairs of neighbours.

    Args:
        uniforms: The transforms, in the order of the draws, float64 [N].
    """
    count = len(uniforms)
    first, second = uniforms[: count // 2 * 2].reshape(-1, 2).T
    single = pearson([cells(uniforms, BINS)], [np.full(BINS, 1 / BINS)])
    pairs = pearson([pair_cells(first, second, PAIR_BINS)], [np.full(PAIR_BINS**2, PAIR_BINS**-2.0)])
    if not single.degrees:
        return Finding(Verdict.INCONCLUSIVE, f"{count} draws are too few", count)
    worst = min(single.p_value, pairs.p_value)
    words = (
        f"p-value {single.p_value:.2g} for {BINS} equal parts, {pairs.p_value:.2g} for pairs of neighbours"
    )
    detects = f"a relative error of {single.effect:.2g} of the parts, of {pairs.effect:.2g} of the pairs"
    verdict = Verdict.DEVIATES if worst < FALSE_ALARM / 2 else Verdict.CONFORMS
    return Finding(verdict, f"{count} draws: {words}", count, detects)
