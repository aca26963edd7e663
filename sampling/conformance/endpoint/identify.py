"""Which dialects an endpoint is consistent with."""

from __future__ import annotations

import math
from collections.abc import Mapping

from sampling.conformance.distributions import alike
from sampling.conformance.endings import CheckEnded, NotTestable
from sampling.conformance.endpoint.biased_case import Row
from sampling.conformance.endpoint.cases import BOTH, COLD_LEAST, COLD_NUCLEUS
from sampling.conformance.endpoint.design import SAME
from sampling.conformance.endpoint.distribution import ground
from sampling.conformance.endpoint.draws import batches
from sampling.conformance.endpoint.endpoint_context import EndpointContext
from sampling.conformance.endpoint.ground import EndpointCase
from sampling.conformance.endpoint.penalties import in_prompt
from sampling.conformance.endpoint.reported import modes_that_fit
from sampling.conformance.endpoint.trouble import Spent
from sampling.conformance.identity import Exclusion, Identification
from sampling.conformance.semantics import Semantics
from sampling.conformance.sequential_test import e_words
from sampling.conformance.statistics.eprocess import Likelihoods
from sampling.conformance.verdict import FALSE_ALARM
from sampling.dialects import DIALECTS

DRAWS, LEAST_REQUESTS = 256, 8  # for each question
SHARE = 25  # the part of the budget that one question may take

Readings = Mapping[str, Semantics]


def identify(context: EndpointContext) -> Identification | None:
    """Ask what tells the dialects apart, as far as the endpoint answers; None if it does not."""
    try:
        return identified(context)
    except CheckEnded:
        return None


def identified(context: EndpointContext) -> Identification:
    """Weigh the dialects against each other on draws from biased cases.

    Raises:
        CheckEnded: The endpoint does not answer as it has to.
    """
    readings = {name: Semantics.of(dialect) for name, dialect in DIALECTS.items()}
    excluded = by_values(context, readings)
    asked, refused = answered(context)
    seen, drawn = Likelihoods([*readings]), 0
    what: list[tuple[str, int]] = []
    for words, question in asked.items():
        rows = {name: question.row(reading) for name, reading in readings.items()}
        open_rows = {name: row for name, row in rows.items() if name not in excluded}
        # what a check has drawn is taken in whole
        requests = max(LEAST_REQUESTS, len(context.pools.get(repr(question), [])))
        least, most = drawn + requests * context.profile.per_request(), drawn + most_draws(context)
        try:
            for _, tokens in batches(context, [question]):
                seen.add(tokens, rows)
                drawn += len(tokens)
                if drawn >= most or (drawn >= least and settled(seen, open_rows)):
                    break
        except Spent:
            break  # what was drawn until then is evidence, too
        finally:
            what.append((words, drawn))
    for name in readings:
        evidence = seen.against(name, 1 / FALSE_ALARM)
        if name not in excluded and evidence.crossed is not None:
            words = next(words for words, end in what if evidence.crossed <= end)
            reason = f"e-value {e_words(evidence.e_value)} after {evidence.crossed} draws ({words})"
            excluded[name] = Exclusion(evidence.e_value, evidence.crossed, reason)
    winners = tuple(name for name in readings if name not in excluded)
    same = dict.fromkeys(winners[1:], "exact ties and exact hits of top_p, which no endpoint shows")
    return Identification(winners, excluded, same, drawn, tuple(refused))


def most_draws(context: EndpointContext) -> int:
    """Return how many draws a question may take: fewer where that would be more than its share of the budget."""
    most = context.client.budget.most
    return DRAWS if most is None else min(DRAWS, most // SHARE * context.profile.per_request())


def settled(seen: Likelihoods, rows: Mapping[str, Row]) -> bool:
    """Whether of some readings all that are not excluded draw from the same distribution."""
    left = [name for name in rows if seen.against(name, 1 / FALSE_ALARM).e_value < 1 / FALSE_ALARM]
    return all(alike([rows[name]], [rows[left[0]]], SAME) for name in left)


def answered(context: EndpointContext) -> tuple[dict[str, EndpointCase], list[str]]:
    """Return the questions that the endpoint takes, by what they are about, and the parameters that it refuses."""
    taken: dict[str, EndpointCase] = {}
    refused: list[str] = []
    for words, question in separating(context).items():
        params = [(name, value) for name, value in question.fields.items() if name != "logit_bias"]
        refusals = {name for name, value in params if context.refuses(**{name: value})}
        if refusals:
            refused += sorted(refusals - set(refused))
        else:
            taken[words] = question
    for name in ("presence_penalty", "repetition_penalty"):
        try:
            asked = in_prompt(context, name)
        except NotTestable:
            continue
        if not context.refuses(**asked.params):
            taken[f"{name} and the prompt"] = asked
    return taken, refused


def separating(context: EndpointContext) -> dict[str, EndpointCase]:
    """Questions in which dialects differ."""
    found = ground(context)
    return {
        "temperature and top_p": COLD_NUCLEUS.case(found),
        "temperature and min_p": COLD_LEAST.case(found),
        "top_k and top_p": BOTH.case(found),
        "a temperature near 0": found.case({"temperature": 0.005}),
    }


def by_values(context: EndpointContext, readings: Readings) -> dict[str, Exclusion]:
    """Return the dialects that are out because of a value: a log probability, or a temperature of 0 that is taken."""
    out: dict[str, Exclusion] = {}
    for params in ({"temperature": 0.5}, {"top_p": 1e-3}):
        try:
            fitting = modes_that_fit(context, params)
        except CheckEnded:
            continue
        for name, reading in readings.items():
            if fitting and reading.logprob_mode not in fitting:
                words = f"log probabilities are {' or '.join(fitting)}, not {reading.logprob_mode}"
                out.setdefault(name, Exclusion(math.inf, 0, words))
    if not context.refuses(temperature=0):
        for name, reading in readings.items():
            if not reading.zero_temperature:
                out.setdefault(name, Exclusion(math.inf, 0, "temperature 0 is taken"))
    return out
