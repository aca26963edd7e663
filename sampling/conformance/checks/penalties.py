"""Penalties: what they count, how they act, and their place in the order."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cache
from typing import Any

import numpy as np

from sampling.conformance.check_context import CheckContext
from sampling.conformance.combine_findings import combine_findings
from sampling.conformance.comparison import (
    FIRST,
    NAMING,
    NULL,
    AlternativeHypothesis,
    Hypothesis,
    SequentialTest,
    compare,
    plan,
    settled,
)
from sampling.conformance.endings import CouldNotRun, NotTestable
from sampling.conformance.fixtures import LONG, RANKED, spaced
from sampling.conformance.oracle import Row
from sampling.conformance.sampling_case import SamplingCase
from sampling.conformance.semantics import moved
from sampling.conformance.statistics.eprocess import Likelihoods
from sampling.conformance.statistics.pit import transform
from sampling.conformance.token_names import TokenNames
from sampling.conformance.verdict import SHARE, Finding, Verdict
from sampling.core.history import OUTPUT, PROMPT_AND_OUTPUT, Scope

REQUESTS = 50  # of four choices each
SCOPES = {
    "the sampled tokens": OUTPUT,
    "the prompt and the sampled tokens": PROMPT_AND_OUTPUT,
    **{
        f"the last {last} {'with' if prompt else 'without'} the prompt": Scope(prompt=prompt, last=last)
        for last in (20, 64)
        for prompt in (True, False)
    },
}


def presence_scope(lab: CheckContext) -> Finding:
    """Likely tokens in the prompt, far back, and just sampled."""
    return scope(lab, "presence_penalty", 1.5, "presence_counts")


def repetition_scope(lab: CheckContext) -> Finding:
    """Ask for the same for the repetition penalty."""
    return scope(lab, "repetition_penalty", 1.5, "repetition_scope")


def scope(lab: CheckContext, name: str, value: float, counts: str) -> Finding:
    """Which tokens a penalty counts."""
    lab.need([name])
    readings = [
        Hypothesis(f"{words} count", lab.altered(**{counts: found})) for words, found in SCOPES.items()
    ]
    logits = spaced(offset=3.0)
    questions = [
        SamplingCase(logits, {name: value}, prompt_ids=RANKED[:2], output_ids=(RANKED[2], RANKED[2])),
        SamplingCase(logits, {name: value}, prompt_ids=RANKED[:1], output_ids=LONG),
    ]
    return compare(lab, questions, [*readings, lab.ignoring(name)])


def frequency_counts(lab: CheckContext) -> Finding:
    """Tokens of both signs that were sampled once, twice and three times."""
    lab.need(["frequency_penalty", "presence_penalty"])
    readings = [
        Hypothesis(
            "the frequency penalty acts once, as presence does", lab.altered(frequency_multiplies=False)
        ),
        Hypothesis("the frequency penalty is divided by the length", lab.altered(frequency_divides=True)),
        Hypothesis(
            "the frequency penalty counts the prompt", lab.altered(frequency_counts=PROMPT_AND_OUTPUT)
        ),
        Hypothesis("the presence penalty is multiplied by the count", lab.altered(presence_multiplies=True)),
        Hypothesis("penalties are added", lab.altered(penalty_factor=-1.0)),
        Hypothesis("penalties are added to negative logits", lab.altered(penalties_follow_sign=True)),
        Hypothesis("penalties are subtracted whatever the sign", lab.altered(penalties_follow_sign=False)),
        lab.ignoring("frequency_penalty"),
        lab.ignoring("presence_penalty"),
        lab.ignoring("frequency_penalty", "presence_penalty"),
    ]
    prompt = (RANKED[1], RANKED[1])
    output = (RANKED[0], RANKED[2], RANKED[0], RANKED[3], RANKED[2], RANKED[0])
    questions = [
        SamplingCase(spaced(offset=1.0), {name: 0.8}, prompt_ids=prompt, output_ids=output)
        for name in ("frequency_penalty", "presence_penalty")
    ]
    return compare(lab, questions, readings)


def repetition_sign(lab: CheckContext) -> Finding:
    """Logits of both signs."""
    lab.need(["repetition_penalty"])
    readings = [
        Hypothesis("it divides whatever the sign", lab.altered(repetition_rule="divide")),
        Hypothesis("it multiplies whatever the sign", lab.altered(repetition_rule="multiply")),
        Hypothesis(
            "it multiplies positive logits and divides negative ones", lab.altered(repetition_rule="reversed")
        ),
        Hypothesis("it acts once for every occurrence", lab.altered(repetition_per_occurrence=True)),
        lab.ignoring("repetition_penalty"),
    ]
    output = (RANKED[0], RANKED[2], RANKED[2])
    questions = [
        SamplingCase(spaced(offset=offset), {"repetition_penalty": 1.4}, output_ids=output)
        for offset in (3.1, -0.9)
    ]
    return compare(lab, questions, readings)


def temperature_order(lab: CheckContext) -> Finding:
    """Presence and frequency penalty at a temperature below 1; the repetition penalty scales, as the temperature does."""
    having = lab.having(["frequency_penalty", "presence_penalty"])
    if not having:
        raise NotTestable("a repetition penalty and a temperature give the same in either order")
    lab.need_acting("temperature")
    names = lab.acting(having)
    if not names:
        lab.need_acting(*having)
    order = lab.semantics.order
    readings = [
        Hypothesis(
            f"{name} after the temperature", lab.altered(order=moved(order, name, after="temperature"))
        )
        for name in names
    ]
    questions = [
        SamplingCase(spaced(), {name: 1.2, "temperature": 0.6}, output_ids=(RANKED[0], RANKED[2]))
        for name in names
    ]
    late = order
    for name in names:
        late = moved(late, name, after="temperature")
    readings.append(Hypothesis(f"{' and '.join(names)} after the temperature", lab.altered(order=late)))
    return compare(lab, questions, readings)


def per_choice(lab: CheckContext) -> Finding:
    """Two histories asked in turn, and the choices of one request where the target gives them."""
    name = [*lab.having(["presence_penalty", "repetition_penalty"]), "presence_penalty"][0]
    lab.need_acting(name)  # of one that does nothing the other choices' tokens cannot count either
    params = {name: 2.0}
    findings = [("histories in turn", in_turn(lab, params))]
    with suppress(NotTestable):
        findings.append(("choices of one request", of_choices(lab, params)))
    return combine_findings(findings)


def in_turn(lab: CheckContext, params: Mapping[str, Any]) -> Finding:
    """Ask about two histories, one call after the other."""
    logits, histories = spaced(offset=3.0), (RANKED[0:1], RANKED[1:2])
    questions = [SamplingCase(logits, params, output_ids=history) for history in histories]
    both = SamplingCase(logits, params, output_ids=RANKED[0:2])
    own = [lab.expected(question) for question in questions]
    rival = AlternativeHypothesis(
        "the other request's tokens count, too", Verdict.DEVIATES, [lab.expected(both)] * 2
    )
    trial = SequentialTest(own, [rival], planned=plan(own, [rival]))

    def ask(count: int) -> None:
        for _ in range(count):
            for place, question in enumerate(questions):
                trial.add(place, lab.singly(question))

    count = max(trial.planned, FIRST)
    ask(count)
    if trial.seen.against(NULL, 1 / SHARE).crossed is not None:
        ask(min(NAMING, lab.most_draws) - count)  # enough to see whether the other reading fits
    return trial.finding()


def of_choices(lab: CheckContext, params: Mapping[str, Any]) -> Finding:
    """Two tokens of each of four choices: the second knows the first of its own choice, and no other's."""
    logits = spaced(offset=3.0)
    names = TokenNames.learnt(lab, len(logits))
    asked = SamplingCase(logits, {**params, "n": 4, "max_tokens": 2, "logprobs": True})
    rival = AlternativeHypothesis("the tokens of all choices count", Verdict.DEVIATES, [])
    seen, uniforms = Likelihoods([NULL, rival.name]), list[Row]()

    @cache
    def after(output: tuple[int, ...]) -> Row:
        return lab.expected(SamplingCase(logits, params, output_ids=output))

    for _ in range(REQUESTS):
        pairs = [names.sampled(choice) for choice in lab.choices(asked)]
        if any(len(pair) != 2 for pair in pairs):
            raise CouldNotRun(f"max_tokens 2 gives {[len(pair) for pair in pairs]} tokens")
        firsts = tuple(first for first, _ in pairs)
        for first, second in pairs:
            rows = {NULL: after((first,)), rival.name: after(firsts)}
            seen.add(np.array([second]), rows)
            uniforms.append(transform(np.array([second]), rows[rival.name], lab.rng.random(1)))
    detects = f"the named reading within {4 * REQUESTS} draws"
    return settled(seen, rival, np.concatenate(uniforms), detects)


RUNS: Mapping[str, Callable[[CheckContext], Finding]] = {
    "penalties.presence-scope": presence_scope,
    "penalties.frequency-counts": frequency_counts,
    "penalties.repetition-sign": repetition_sign,
    "penalties.repetition-scope": repetition_scope,
    "penalties.temperature-order": temperature_order,
    "penalties.per-choice": per_choice,
}
