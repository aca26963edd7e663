"""The kinds of targets: how one is opened, and which checks there are for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sampling.conformance import callables
from sampling.conformance.check_context import CheckContext
from sampling.conformance.endpoint import runs as endpoint_runs
from sampling.conformance.endpoint.costs import requests_of
from sampling.conformance.endpoint.endpoint_context import EndpointContext
from sampling.conformance.endpoint.identify import identify as identify_endpoint
from sampling.conformance.identify import identify
from sampling.conformance.identity import Identification
from sampling.conformance.probe.context import ProbeContext
from sampling.conformance.probe.identify import identify_probe
from sampling.conformance.probe.runs import RUNS as PROBE_RUNS
from sampling.conformance.trace import checks as trace_checks
from sampling.conformance.trace.identify import identify as identify_trace
from sampling.conformance.verdict import Finding

Run = Callable[[Any], Finding]


@dataclass(frozen=True)
class Kind:
    """What the kit does with a kind of target.

    Args:
        runs: By check id the function that answers it; a check without one is not testable on this kind.
        context: Makes what checks work with from the target, the semantics and `verify`'s further arguments.
        identify: Says which dialects the target is consistent with; None where the target cannot be asked.
        reason: Why a check may be missing.
        cost: What a check takes: the cheapest come first, then the identification. None: as in the table, that last.
    """

    runs: Mapping[str, Run]
    context: Callable[..., Any]
    identify: Callable[[Any], Identification | None]
    reason: str
    cost: Callable[[str], int] | None = None


KINDS: dict[str, Kind] = {
    "callable": Kind(callables.RUNS, CheckContext, identify, "a callable shows no such thing"),
    "endpoint": Kind(
        endpoint_runs.RUNS, EndpointContext, identify_endpoint, "an endpoint shows no such thing", requests_of
    ),
    "probe": Kind(
        PROBE_RUNS,
        ProbeContext,
        identify_probe,
        "a probe is asked without biases and log probabilities: ask without it what they show, and how texts end",
    ),
    "trace": Kind(
        trace_checks.RUNS, trace_checks.TraceContext, identify_trace, "a trace shows no such thing"
    ),
}
