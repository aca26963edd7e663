"""Biases: ban, force, and their place in the order."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from sampling.conformance.check_context import CheckContext
from sampling.conformance.comparison import Hypothesis, compare
from sampling.conformance.fixtures import RANKED, spaced
from sampling.conformance.sampling_case import SamplingCase
from sampling.conformance.semantics import moved
from sampling.conformance.verdict import Finding, Verdict


def others(lab: CheckContext) -> list[Hypothesis]:
    """Return what else a bias can be."""
    return [
        Hypothesis("a bias without effect", lab.altered(ignores=frozenset({"logit_bias"})), Verdict.IGNORED),
        Hypothesis("a bias that is subtracted", lab.altered(bias_factor=-1.0)),
    ]


def ban(lab: CheckContext) -> Finding:
    """Ban three likely tokens, the first id among them."""
    lab.need(["logit_bias"])
    return compare(
        lab,
        [SamplingCase(spaced(), {"logit_bias": dict.fromkeys(RANKED[:3], -100)})],
        others(lab),
        least=2 * lab.least_draws,
    )


def force(lab: CheckContext) -> Finding:
    """Force the least likely token."""
    lab.need(["logit_bias"])
    return compare(lab, [SamplingCase(spaced(), {"logit_bias": {RANKED[-1]: 100}})], others(lab))


def temperature_order(lab: CheckContext) -> Finding:
    """Biases at a temperature below 1, and with a repetition penalty, which does not commute with them."""
    lab.need(["logit_bias", "temperature"])
    lab.need_acting("logit_bias")
    order, readings = lab.semantics.order, others(lab)
    questions: list[SamplingCase] = []
    if lab.acting(["temperature"]):
        late = moved(order, "logit_bias", after="temperature")
        readings.append(Hypothesis("the bias after the temperature", lab.altered(order=late)))
        bias = {RANKED[0]: 1.5, RANKED[3]: -1.5}
        questions.append(SamplingCase(spaced(), {"logit_bias": bias, "temperature": 0.6}))
    if lab.acting(["repetition_penalty"]):
        before = moved(order, "repetition_penalty", before="logit_bias")
        behind = moved(order, "repetition_penalty", after="logit_bias")
        readings += [
            Hypothesis("the repetition penalty before the bias", lab.altered(order=before)),
            Hypothesis("the repetition penalty after the bias", lab.altered(order=behind)),
        ]
        params = {"logit_bias": {RANKED[0]: 2.0}, "repetition_penalty": 2.0}
        questions.append(SamplingCase(spaced(offset=1.1), params, output_ids=(RANKED[0],)))
    if not questions:
        lab.need_acting("temperature")
    return compare(lab, questions, readings)


RUNS: Mapping[str, Callable[[CheckContext], Finding]] = {
    "bias.ban": ban,
    "bias.force": force,
    "bias.temperature-order": temperature_order,
}
