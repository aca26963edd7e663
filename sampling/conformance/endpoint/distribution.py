"""The checks of temperature, truncation and bias: what they compare is data, and so are most of their cases."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import Any

from sampling.conformance.checks import COMPARISONS
from sampling.conformance.comparison import Comparison
from sampling.conformance.endings import NotTestable
from sampling.conformance.endpoint.acting import require_effect
from sampling.conformance.endpoint.biased_case import BiasedCase, slope
from sampling.conformance.endpoint.cases import CASES, SINGLE
from sampling.conformance.endpoint.draws import batches
from sampling.conformance.endpoint.endpoint_context import EndpointContext, Run
from sampling.conformance.endpoint.endpoint_test import decide
from sampling.conformance.endpoint.ground import BiasedGround, EndpointCase, Ground, NaturalGround
from sampling.conformance.statistics.planning import detectable_mass
from sampling.conformance.verdict import Finding, Verdict
from sampling.core.params import LARGEST

TWICE = 2  # requests for each arg max


def ground(context: EndpointContext) -> Ground:
    """Where cases come from: tokens that biases single out, or contexts as they are where biases have no effect.

    Raises:
        NotTestable: Neither can be had.
    """
    try:
        return BiasedGround(context.profile.support())
    except NotTestable as unfenced:
        try:
            return NaturalGround(context.profile.contexts())
        except NotTestable as unknown:
            raise NotTestable(f"{unfenced}; {unknown}") from None


def compared(name: str, context: EndpointContext) -> Finding:
    """Compare the hypotheses of a check by its cases."""
    comparison, found = COMPARISONS[name].comparison(context.semantics), ground(context)
    cases = [choice.case(found) for choice in CASES[name]]
    together = dict.fromkeys(param for case in cases for param in case.params)
    if len(together) > 1:
        require_effect(context, found, *together)
    return decide(context, cases, but_for_biases(comparison, cases))


def but_for_biases(comparison: Comparison, cases: Sequence[EndpointCase]) -> Comparison:
    """Return a comparison that is passed with a bias after the temperature, too, which is another check's business."""
    if all(case.params.get("temperature", 1) in (0, 1) for case in cases):
        return comparison
    late = {
        f"{name}, the bias after the temperature": own.moving("logit_bias", after="temperature")
        for name, own in comparison.null.items()
    }
    return replace(comparison, null={**comparison.null, **late})


def temperature_zero(context: EndpointContext) -> Finding:
    """Temperature 0 where one of several tokens is on top, by little."""
    tops = ground(context).tops({"temperature": 0})
    if not tops:
        raise NotTestable("in no context is the likeliest token known and clear")
    wrong = count = 0
    requests = TWICE * len(tops)
    for which, tokens in islice(batches(context, [case for case, _ in tops], requests), requests):
        count += len(tokens)
        wrong += int((tokens != tops[which][1]).sum())
    verdict = Verdict.DEVIATES if wrong else Verdict.CONFORMS
    words = f"{count} draws are all the arg max; exact ties cannot be made at an endpoint"
    if wrong:
        words = f"{wrong} of {count} draws at temperature 0 are not the arg max"
    detects = f"other tokens of a probability of {detectable_mass(count):.2g}"
    return Finding(verdict, words, count, detects, false_alarm=0.0)


def temperature_limit(context: EndpointContext) -> Finding:
    """Ask for a temperature of 0.001 where the first two logits are close to each other."""
    comparison = COMPARISONS["temperature.limit"].comparison(context.semantics)
    cases = [ground(context).near({"temperature": 0.001})]
    return decide(context, cases, but_for_biases(comparison, cases))


def temperature_range(context: EndpointContext) -> Finding:
    """Temperatures outside of the dialect's range: -0.5, and 2.5 unless it has no upper end."""
    low, high = context.semantics.ranges.temperature
    outside = (low - 0.5, *((high + 0.5,) if high < LARGEST else ()))
    said = {value: context.refuses(temperature=value) for value in outside}
    taken = [f"{value:g}" for value, refusal in said.items() if not refusal]
    if taken:
        words = f"a temperature of {' and of '.join(taken)} is taken, not refused"
        return Finding(Verdict.DEVIATES, words, false_alarm=0.0)
    named = all("temperature" in words for words in said.values())
    words = " and ".join(f"{value:g}" for value in outside) + (" are" if outside[1:] else " is") + " refused"
    words += "" if named else ", in words that do not name the field"
    return Finding(Verdict.CONFORMS, words, false_alarm=0.0)


def top_p_to_zero(context: EndpointContext) -> Finding:
    """Ask for a top_p of 1e-6, and of 0 where it is taken."""
    comparison = COMPARISONS["truncation.top-p-to-zero"].comparison(context.semantics)
    case: Any = SINGLE.case(ground(context))
    none = [] if context.refuses(top_p=0) else [replace(case, params={"top_p": 0})]
    return decide(context, [case, *none], comparison)


def disabled(context: EndpointContext) -> Finding:
    """Ask for the values that switch truncations off, as far as they are taken."""
    own = context.semantics
    off: list[dict[str, Any]] = [{"top_p": 1}, {"top_k": own.no_top_k}, {"min_p": 0}]
    taken = [given for given in off if not set(given) - set(own.stages) and not context.refuses(**given)]
    if not taken:
        raise NotTestable("no value that switches a truncation off is taken")
    found = ground(context)
    cases = [found.case(given) for given in taken]
    return decide(context, cases, COMPARISONS["truncation.disabled"].comparison(own))


def bias_order(context: EndpointContext) -> Finding:
    """Ask for a temperature of 0.5, and the largest biases for the least likely tokens."""
    comparison = COMPARISONS["bias.temperature-order"].comparison(context.semantics)
    support = context.profile.support()
    require_effect(context, BiasedGround(support), "temperature")
    case = BiasedCase(support, slope(len(support.tokens))[::-1], {"temperature": 0.5})
    return decide(context, [case], comparison)


RUNS: dict[str, Run] = {
    **{name: partial(compared, name) for name in CASES},
    "temperature.zero": temperature_zero,
    "temperature.limit": temperature_limit,
    "temperature.range": temperature_range,
    "truncation.top-p-to-zero": top_p_to_zero,
    "truncation.disabled": disabled,
    "bias.temperature-order": bias_order,
}
