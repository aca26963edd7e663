"""Which dialects an endpoint is consistent with."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import islice
from typing import Any

from sampling.conformance.contest import shown
from sampling.conformance.endings import CheckEnded, NotTestable
from sampling.conformance.endpoint.distribution import both, cold_least, cold_nucleus, questions
from sampling.conformance.endpoint.fenced import Asked, Fenced, batches, slope
from sampling.conformance.endpoint.lab import EndpointLab
from sampling.conformance.endpoint.penalties import with_prompt
from sampling.conformance.endpoint.reported import modes_that_fit
from sampling.conformance.identity import Exclusion, Identification
from sampling.conformance.semantics import Semantics
from sampling.conformance.statistics.eprocess import Likelihoods
from sampling.conformance.verdict import FALSE_ALARM
from sampling.dialects import DIALECTS

DRAWS = 256  # for each question

Readings = Mapping[str, Semantics]


def identify(lab: EndpointLab) -> Identification | None:
    """Ask what tells the dialects apart, as far as the endpoint answers; None if it does not."""
    try:
        return identified(lab)
    except CheckEnded:
        return None


def identified(lab: EndpointLab) -> Identification:
    """Weigh the dialects against each other on draws from fenced questions.

    Raises:
        CheckEnded: The endpoint does not answer as it has to.
    """
    readings = {name: Semantics.of(dialect) for name, dialect in DIALECTS.items()}
    asked, refused = answered(lab)
    seen, drawn = Likelihoods([*readings]), 0
    what: list[tuple[str, int]] = []
    for words, question in asked.items():
        rows = {name: question.row(reading) for name, reading in readings.items()}
        for _, tokens in islice(batches(lab, [question]), -(-DRAWS // lab.survey.per_request())):
            seen.add(tokens, rows)
            drawn += len(tokens)
        what.append((words, drawn))
    excluded = by_values(lab, readings)
    for name in readings:
        evidence = seen.against(name, 1 / FALSE_ALARM)
        if name not in excluded and evidence.crossed is not None:
            words = next(words for words, end in what if evidence.crossed <= end)
            reason = f"e-value {shown(evidence.e_value)} after {evidence.crossed} draws ({words})"
            excluded[name] = Exclusion(evidence.e_value, evidence.crossed, reason)
    winners = tuple(name for name in readings if name not in excluded)
    same = dict.fromkeys(winners[1:], "exact ties and exact hits of top_p, which no endpoint shows")
    return Identification(winners, excluded, same, drawn, tuple(refused))


def answered(lab: EndpointLab) -> tuple[dict[str, Asked], list[str]]:
    """The questions that the endpoint takes, by what they are about, and the parameters that it refuses."""
    taken: dict[str, Asked] = {}
    refused: list[str] = []
    for words, params in separating(lab).items():
        refusals = {name for name, value in params.items() if lab.refuses(**{name: value})}
        if refusals:
            refused += sorted(refusals - set(refused))
        else:
            taken[words] = questions(lab, params)[0]
    for name in ("presence_penalty", "repetition_penalty"):
        try:
            context, here = with_prompt(lab)
            value = 2.0 if name == "presence_penalty" else 1.03
            asked = Fenced(context, slope(len(context.tokens), 0.1), {name: value}, here)
        except NotTestable:
            continue
        if not lab.refuses(**{name: value}):
            taken[f"{name} and the prompt"] = asked
    return taken, refused


def separating(lab: EndpointLab) -> dict[str, dict[str, Any]]:
    """Parameters under which dialects differ."""
    return {
        "temperature and top_p": cold_nucleus(lab),
        "temperature and min_p": cold_least(lab),
        "top_k and top_p": both(lab),
        "a temperature near 0": {"temperature": 0.005},
    }


def by_values(lab: EndpointLab, readings: Readings) -> dict[str, Exclusion]:
    """The dialects that are out because of a value: a log probability, or a temperature of 0 that is taken."""
    out: dict[str, Exclusion] = {}
    for params in ({"temperature": 0.5}, {"top_p": 1e-3}):
        try:
            fitting = modes_that_fit(lab, params)
        except CheckEnded:
            continue
        for name, reading in readings.items():
            if fitting and reading.logprob_mode not in fitting:
                words = f"log probabilities are {' or '.join(fitting)}, not {reading.logprob_mode}"
                out.setdefault(name, Exclusion(math.inf, 0, words))
    if not lab.refuses(temperature=0):
        for name, reading in readings.items():
            if not reading.zero_temperature:
                out.setdefault(name, Exclusion(math.inf, 0, "temperature 0 is taken"))
    return out
