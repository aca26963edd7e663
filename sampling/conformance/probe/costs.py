"""What the checks of a probe take, told before anything is asked: the numbers are those of an engine that conforms."""

from __future__ import annotations

from collections.abc import Sequence

from sampling.conformance.table import CHECKS

LOAD = 40  # requests for the load, and for what an engine takes
IDENTIFICATION = 20
TOKENS = 1024  # sampled by a request at most
# Each by itself, where 16 choices of a request differ.
REQUESTS = {
    "temperature.scale": 18,
    "temperature.zero": 8,
    "temperature.limit": 4,
    "temperature.range": 11,
    "truncation.temperature-order": 8,
    "truncation.crossing-token": 8,
    "truncation.no-token-more": 8,
    "truncation.top-p-to-zero": 3,
    "truncation.top-k": 25,
    "truncation.disabled": 56,
    "truncation.ties": 18,
    "truncation.joint": 11,
    "truncation.min-p-order": 24,
    "penalties.presence-scope": 3,
    "penalties.frequency-counts": 16,
    "penalties.repetition-sign": 8,
    "penalties.repetition-scope": 6,
    "penalties.temperature-order": 6,
    "penalties.per-choice": 1,
    "randomness.seed-repeats": 48,
    "randomness.seeds-differ": 120,
    "randomness.choices-differ": 40,
    "randomness.unseeded-vary": 40,
    "randomness.uniformity": 40,
    "randomness.tail": 21,
}


def estimate(checks: Sequence[str]) -> str:
    """Return what some checks take, in words.

    Example:
        >>> estimate(["temperature.zero"]).partition(" if ")[0]
        '1 checks: about 48 requests of up to 1,024 sampled tokens'
    """
    requests = LOAD + sum(REQUESTS.get(name, 0) for name in checks)
    requests += IDENTIFICATION if len(checks) == len(CHECKS) else 0
    return (
        f"{len(checks)} checks: about {requests:,} requests of up to {TOKENS:,} sampled tokens if n = 16 is honoured, "
        f"and up to 6 times as many if it is not"
    )
