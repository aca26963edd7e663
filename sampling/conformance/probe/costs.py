"""What the checks of a probe take, told before anything is asked: the numbers are those of an engine that conforms."""

from __future__ import annotations

from collections.abc import Sequence

from sampling.conformance.table import CHECKS

LOAD = 40  # requests for the load, and what an engine takes
IDENTIFICATION = 30
WHOLE = 0, 0  # requests and tokens of all checks, where 16 choices of a request differ
REQUESTS: dict[str, int] = {}


def estimate(checks: Sequence[str]) -> str:
    """Return what some checks take, in words."""
    whole = len(checks) == len(CHECKS)
    requests = LOAD + sum(REQUESTS.get(name, 0) for name in checks) + (IDENTIFICATION if whole else 0)
    return (
        f"{len(checks)} checks: about {requests:,} requests of up to {16 * 64:,} sampled tokens each if n = 16 is honoured; "
        f"up to 16 times as many if it is not"
    )
