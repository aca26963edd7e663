"""Which dialects an engine on a probe is consistent with: by cases, and by paths for what penalties count."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import chain

import numpy as np

from sampling.conformance.endings import CheckEnded
from sampling.conformance.identify import QUESTIONS, identify
from sampling.conformance.identity import Exclusion, Identification
from sampling.conformance.oracle import Row, probabilities
from sampling.conformance.probe.context import ProbeContext
from sampling.conformance.probe.paths import Place, paths
from sampling.conformance.semantics import Semantics
from sampling.conformance.sequential_test import e_words
from sampling.conformance.statistics.eprocess import Likelihoods
from sampling.conformance.verdict import FALSE_ALARM
from sampling.dialects import DIALECTS, PENALTIES

ROUNDS = 3


def identify_probe(context: ProbeContext) -> Identification:
    """Ask what tells the dialects apart; the right one is excluded with a chance of at most 2e-6.

    What penalties count is asked along paths, once, and again while several dialects are left.
    """
    found = identify(context)
    refused = {*found.refused}
    cases = [
        case
        for case in QUESTIONS.values()
        if {*case.params} & {*PENALTIES} and "logit_bias" not in case.params
    ]
    dialects = {name: Semantics.of(dialect) for name, dialect in DIALECTS.items()}
    seen, draws = Likelihoods([*dialects]), 0
    excluded: dict[str, Exclusion] = {}
    for turn, case in enumerate(chain(*[cases] * ROUNDS)):
        if refused & case.params.keys():
            continue
        if turn >= len(cases) and len({*found.winners} - excluded.keys()) <= 1:
            break
        try:
            walked = paths(context, case)
        except CheckEnded:
            refused |= case.params.keys()
            continue
        seen.take({name: logs(walked, semantics) for name, semantics in dialects.items()})
        draws += len(walked)
        excluded = excluded_by(seen)
    return replace(
        found,
        winners=tuple(name for name in found.winners if name not in excluded),
        excluded={**found.excluded, **excluded},
        indistinguishable={
            name: why for name, why in found.indistinguishable.items() if name not in excluded
        },
        draws=found.draws + draws,
        refused=tuple(sorted(refused)),
        but_for_ties=tuple(name for name in found.but_for_ties if name not in excluded),
    )


def logs(walked: Sequence[Place], semantics: Semantics) -> Row:
    """Return the logarithm of each place's probability under a semantics, float64 [N]."""
    with np.errstate(divide="ignore"):
        return np.log([probabilities(place.case, semantics)[place.token] for place in walked])


def excluded_by(seen: Likelihoods) -> dict[str, Exclusion]:
    """Return the dialects that paths exclude."""
    found: dict[str, Exclusion] = {}
    for name in seen.names:
        evidence = seen.against(name, 1 / FALSE_ALARM)
        if evidence.crossed is not None:
            words = f"e-value {e_words(evidence.e_value)}, out after {evidence.crossed} draws (what penalties count)"
            found[name] = Exclusion(evidence.e_value, evidence.crossed, words)
    return found
