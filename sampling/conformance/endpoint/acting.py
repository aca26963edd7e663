"""Whether a parameter has any effect: asked before a question that takes two of them, so that the right one is blamed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sampling.conformance.contest import ENOUGH, IGNORED
from sampling.conformance.endings import NotTestable
from sampling.conformance.endpoint.fenced import Contest, batches
from sampling.conformance.endpoint.ground import Ground, clear_k, clear_p
from sampling.conformance.endpoint.lab import EndpointLab
from sampling.conformance.readings import Readings, by_count, by_size
from sampling.conformance.semantics import Semantics

MOST = 256  # draws; a parameter of which they say nothing is taken to act


def alone(ground: Ground, name: str) -> dict[str, Any]:
    """A parameter by itself, at a value at which it shows."""
    return {
        "temperature": lambda: {"temperature": 0.6},
        "top_p": lambda: {"top_p": clear_p([ground.row()])},
        "top_k": lambda: {"top_k": clear_k(ground.row(), 4)},
        "min_p": lambda: {"min_p": 0.3},
    }[name]()


def effects(own: Semantics, name: str) -> Readings:
    """What a parameter may do by itself, rightly or not."""
    readings: Mapping[str, Readings] = {
        "temperature": {
            f"to the power of {power:g}": replace(own, temperature_power=power) for power in (1.0, -1.0, 2.0)
        },
        "top_p": by_count(own),
        "top_k": {**by_size(own)[0], **{n: r for n, r in by_size(own)[1].items() if n != IGNORED}},
        "min_p": {"of the largest": own, "a probability": replace(own, min_p_of_maximum=False)},
    }
    return readings[name]


def require_effect(lab: EndpointLab, ground: Ground, *names: str) -> None:
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
                f"{name} has no effect by itself, so that its place among others can not be told"
            )


def acts(lab: EndpointLab, ground: Ground, name: str) -> bool:
    """Whether draws under a parameter differ from those without it; True where they do not say."""
    asked = ground.asked(alone(ground, name))
    none = {IGNORED: replace(lab.semantics, ignores=frozenset({name}))}
    contest = Contest([asked], effects(lab.semantics, name), none)
    for which, tokens in batches(lab, [asked]):
        contest.add(which, tokens)
        if contest.standing.failed:
            return contest.standing.e_value(IGNORED) >= ENOUGH
        if contest.standing.passed or contest.count >= MOST:
            break
    return True
