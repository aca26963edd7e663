"""Numbers from many: latencies, and whether memory grows."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

Json = Any

LAST = 20  # seconds of each half that are looked at
SMALLEST = 2.0  # MiB below which nothing counts as growth


def latencies(seconds: list[float]) -> Json:
    """Median, p90, p99 and the largest."""
    if len(seconds) < 2:
        return {"count": len(seconds)}
    cuts = statistics.quantiles(seconds, n=100, method="inclusive")
    named = {"median": cuts[49], "p90": cuts[89], "p99": cuts[98], "largest": max(seconds)}
    return {"count": len(seconds)} | {name: round(value, 4) for name, value in named.items()}


def growth(samples: Sequence[tuple[float, float]], seconds: float, answers: int) -> Json:
    """Whether memory grows from the first half of a run to the second.

    The medians of the last 20 seconds of each half are compared. Growth counts from three times the largest change from one
    sample to the next within these 20 seconds, and from 2 MiB; said also per answer, since half of them come in between.

    Args:
        samples: (second, MiB).
        seconds: How long the run was meant to be.
        answers: How many there were in all.
    """
    first, second = (within(samples, end - LAST, end) for end in (seconds / 2, seconds))
    if not first or not second:
        return {"samples": len(samples), "grown_mib": None, "grows": False}
    grown = statistics.median(second) - statistics.median(first)
    changes = [round(largest_change(one), 2) for one in (first, second)]
    counts = max(SMALLEST, 3 * max(changes))
    return {
        "samples": len(samples),
        "median_mib": [round(statistics.median(one), 2) for one in (first, second)],
        "largest_change_in_a_second_mib": changes,
        "grown_mib": round(grown, 2),
        "growth_that_counts_mib": round(counts, 2),
        "growth_that_counts_bytes_an_answer": round(counts * 2**20 / max(1, answers / 2)),
        "grows": grown >= counts,
        "every_second_mib": [round(mib, 1) for _, mib in samples],
    }


def largest_change(values: Sequence[float]) -> float:
    """The largest change from one value to the next."""
    return max((abs(later - earlier) for earlier, later in pairwise(values)), default=0.0)


def within(samples: Sequence[tuple[float, float]], start: float, end: float) -> list[float]:
    """The values of a span of seconds."""
    return [value for second, value in samples if start < second <= end]
