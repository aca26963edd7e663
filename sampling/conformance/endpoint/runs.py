"""What an endpoint is asked, by check."""

from __future__ import annotations

from collections.abc import Callable

from sampling.conformance.endings import NotTestable
from sampling.conformance.endpoint import bias, distribution, output, penalties, randomness, reported
from sampling.conformance.endpoint.endpoint_context import EndpointContext, Run
from sampling.conformance.verdict import Finding

# What no request shows, and why.
UNSEEN = {
    "truncation.ties": "biases bring logits close to each other, but not to equality",
    "penalties.repetition-sign": "an endpoint tells logits up to a constant only, so that their sign is not known",
    "randomness.tail": "a token of probability 1e-6 would take 13.8 million draws",
}


def unseen(reason: str) -> Callable[[EndpointContext], Finding]:
    """Return a check that can only say why it is none."""

    def run(_: EndpointContext) -> Finding:
        raise NotTestable(reason)

    return run


RUNS: dict[str, Run] = {
    **reported.RUNS,
    **distribution.RUNS,
    **penalties.RUNS,
    **bias.RUNS,
    **randomness.RUNS,
    **output.RUNS,
    **{name: unseen(reason) for name, reason in UNSEEN.items()},
}
