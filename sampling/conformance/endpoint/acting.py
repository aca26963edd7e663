"""Whether a parameter has any effect: asked before a question that takes two of them, so that the right one is blamed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from sampling.conformance.contest import ENOUGH, IGNORED
from sampling.conformance.endings import NotTestable
from sampling.conformance.endpoint.biased_case import EndpointTest, batches
from sampling.conformance.endpoint.endpoint_context import EndpointContext
from sampling.conformance.endpoint.ground import Ground
from sampling.conformance.endpoint.topics import cold, leading, likely, nucleus
from sampling.conformance.hypotheses import Readings, by_count, by_size
from sampling.conformance.semantics import Semantics

MOST = 256  # draws; a parameter of which they say nothing is taken to act


ALONE = {"temperature": cold, "top_p": nucleus, "top_k": leading, "min_p": likely}
"""A parameter by itself, at a value at which it shows."""


def effects(own: Semantics, name: str) -> Readings:
    """Return what a parameter may do by itself, rightly or not."""
    readings: Mapping[str, Readings] = {
        "temperature": {
            f"to the power of {power:g}": replace(own, temperature_power=power) for power in (1.0, -1.0, 2.0)
        },
        "top_p": by_count(own),
        "top_k": {**by_size(own)[0], **{n: r for n, r in by_size(own)[1].items() if n != IGNORED}},
        "min_p": {"of the largest": own, "a probability": replace(own, min_p_of_maximum=False)},
    }
    return readings[name]


def require_effect(lab: EndpointContext, ground: Ground, *names: str) -> None:
    """Go on only with parameters that have an effect each by itself.

    Args:
        lab: The lab, which keeps what was found.
        ground: Where questions come from.
        names: Of the parameters.

    Raises:
        NotTestable: One has none.
    """
    for name in names:
        if name not in lab.effective:
            lab.effective[name] = acts(lab, ground, name)
        if not lab.effective[name]:
            raise NotTestable(
                f"{name} has no effect by itself, so that its place among others cannot be told"
            )


def acts(lab: EndpointContext, ground: Ground, name: str) -> bool:
    """Whether draws under a parameter differ from those without it; True where they do not say."""
    asked = ALONE[name](ground)
    none = {IGNORED: replace(lab.semantics, ignores=frozenset({name}))}
    contest = EndpointTest([asked], effects(lab.semantics, name), none)
    for which, tokens in batches(lab, [asked]):
        contest.add(which, tokens)
        if contest.standing.failed:
            return contest.standing.e_value(IGNORED) >= ENOUGH
        if contest.standing.passed or contest.count >= MOST:
            break
    return True
