"""Which dialects an engine on a probe is consistent with: by cases, and by paths for what penalties count."""

from __future__ import annotations

from dataclasses import replace
from itertools import chain

import numpy as np

from sampling.conformance.endings import CheckEnded
from sampling.conformance.identify import QUESTIONS, identify
from sampling.conformance.identity import Exclusion, Identification
from sampling.conformance.oracle import probabilities
from sampling.conformance.probe.context import ProbeContext
from sampling.conformance.probe.paths import Place, paths
from sampling.conformance.semantics import Semantics
from sampling.conformance.sequential_test import e_words
from sampling.conformance.statistics.eprocess import Likelihoods
from sampling.conformance.verdict import FALSE_ALARM
from sampling.dialects import DIALECTS, PENALTIES

ROUNDS = 3


def identify_probe(context: ProbeContext) -> Identification:
    """Ask what tells the dialects apart; the right one is excluded with a chance of at most 2e-6."""
    found = identify(context)
    asked = {name: case for name, case in QUESTIONS.items() if {*case.params} & {*PENALTIES}}
    asked = {name: case for name, case in asked.items() if "logit_bias" not in case.params}
    places: list[Place] = []
    refused = {*found.refused}
    for case in chain(*[asked.values()] * ROUNDS):
        if refused & case.params.keys():
            continue
        try:
            places += paths(context, case)
        except CheckEnded:
            refused |= case.params.keys()
    excluded = {**found.excluded, **by_paths(places)}
    left = tuple(name for name in found.winners if name not in excluded)
    others = {name: why for name, why in found.indistinguishable.items() if name not in excluded}
    draws = found.draws + len(places)
    return replace(
        found,
        winners=left,
        excluded=excluded,
        indistinguishable=others,
        draws=draws,
        refused=tuple(sorted(refused)),
    )


def by_paths(places: list[Place]) -> dict[str, Exclusion]:
    """Return the dialects that paths exclude."""
    found: dict[str, Exclusion] = {}
    if not places:
        return found
    dialects = {name: Semantics.of(dialect) for name, dialect in DIALECTS.items()}
    seen = Likelihoods([*dialects])
    with np.errstate(divide="ignore"):
        logs = {
            name: np.log([probabilities(place.case, one)[place.token] for place in places])
            for name, one in dialects.items()
        }
    seen.take(logs)
    for name in dialects:
        evidence = seen.against(name, 1 / FALSE_ALARM)
        if evidence.crossed is not None:
            words = f"e-value {e_words(evidence.e_value)}, out after {evidence.crossed} draws (what penalties count)"
            found[name] = Exclusion(evidence.e_value, evidence.crossed, words)
    return found
