"""Checks of temperature, truncation and bias: each is the parameters of fenced questions, and readings that they tell apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

from sampling.conformance.contest import IGNORED
from sampling.conformance.endings import NotTestable
from sampling.conformance.endpoint.acting import require_effect
from sampling.conformance.endpoint.biased_case import Asked, BiasedCase, EndpointTest, batches, decide, slope
from sampling.conformance.endpoint.endpoint_context import EndpointContext, Run
from sampling.conformance.endpoint.ground import (
    BiasedGround,
    Ground,
    NaturalGround,
)
from sampling.conformance.endpoint.topics import (
    both,
    cold,
    cold_least,
    cold_nucleus,
    hot,
    leading,
    nucleus,
    single,
)
from sampling.conformance.hypotheses import Readings, by_count, by_joint, by_size, place
from sampling.conformance.semantics import Semantics, moved
from sampling.conformance.verdict import Finding, Verdict
from sampling.core.params import LARGEST
from sampling.dialects import parts

TWICE = 2  # requests for each arg max


def ground(lab: EndpointContext) -> Ground:
    """Where questions come from: fenced tokens, or contexts as they are where biases fence nothing.

    Raises:
        NotTestable: Neither can be had.
    """
    try:
        return BiasedGround(lab.survey.fence())
    except NotTestable as unfenced:
        try:
            return NaturalGround(lab.survey.contexts())
        except NotTestable as unknown:
            raise NotTestable(f"{unfenced}; {unknown}") from None


def questions(lab: EndpointContext, *params: Mapping[str, Any]) -> list[Asked]:
    """Questions about parameters in which several tokens are likely."""
    found = ground(lab)
    return [found.asked(given) for given in params]


def contest(lab: EndpointContext, asked: Sequence[Asked], readings: Readings, right: Readings) -> Finding:
    """Decide between readings, some of which are right; a bias after the temperature is another check's."""
    rights = {**right}
    for name, reading in right.items():
        late = moved(reading.order, "logit_bias", after="temperature")
        if any(given.fields.get("temperature", 1) not in (0, 1) for given in asked) and late != reading.order:
            rights[f"{name}, the bias after the temperature"] = replace(reading, order=late)
    return decide(lab, EndpointTest(asked, rights, {n: r for n, r in readings.items() if n not in rights}))


def temperature_scale(lab: EndpointContext) -> Finding:
    """Two temperatures, one below and one above 1."""
    own = lab.semantics
    wrong = {
        IGNORED: replace(own, ignores=frozenset({"temperature"})),
        "logits multiplied by the temperature": replace(own, temperature_power=-1.0),
        "logits divided twice": replace(own, temperature_power=2.0),
        "temperatures above 1 clamped to 1": replace(own, highest_temperature=1.0),
    }
    found = ground(lab)
    return contest(lab, [cold(found), hot(found)], wrong, {"logits divided": own})


def temperature_zero(lab: EndpointContext) -> Finding:
    """Temperature 0 where one of several tokens is on top, by little."""
    tops = ground(lab).tops({"temperature": 0})
    if not tops:
        raise NotTestable("in no context is the likeliest token known and clear")
    wrong = count = 0
    for which, tokens in islice(
        batches(lab, [asked for asked, _ in tops], TWICE * len(tops)), TWICE * len(tops)
    ):
        count += len(tokens)
        wrong += int((tokens != tops[which][1]).sum())
    detects = f"other tokens of a probability of {1 - 0.01 ** (1 / count):.2g}"
    if wrong:
        words = f"{wrong} of {count} draws at temperature 0 are not the arg max"
        return Finding(Verdict.DEVIATES, words, count, detects, false_alarm=0.0)
    words = f"{count} draws are all the arg max; exact ties cannot be made at an endpoint"
    return Finding(Verdict.CONFORMS, words, count, detects, false_alarm=0.0)


def temperature_limit(lab: EndpointContext) -> Finding:
    """Ask for a temperature of 0.001 where the first two logits are close to each other."""
    own = lab.semantics
    floors = {f"clamped to {low:g}": replace(own, lowest_temperature=low) for low in (0.01, 0.1)}
    wrong = {**floors, IGNORED: replace(own, ignores=frozenset({"temperature"}))}
    if own.lowest_temperature:
        wrong["not clamped"] = replace(own, lowest_temperature=0.0)
        wrong.pop(f"clamped to {own.lowest_temperature:g}", None)
    return contest(lab, [ground(lab).near({"temperature": 0.001})], wrong, {"as temperature 0": own})


def temperature_range(lab: EndpointContext) -> Finding:
    """Temperatures outside of the dialect's range: -0.5, and 2.5 unless it has no upper end."""
    low, high = lab.semantics.ranges.temperature
    outside = (low - 0.5, *((high + 0.5,) if high < LARGEST else ()))
    said = {value: lab.refuses(temperature=value) for value in outside}
    taken = [f"{value:g}" for value, refusal in said.items() if not refusal]
    if taken:
        return Finding(
            Verdict.DEVIATES,
            f"a temperature of {' and of '.join(taken)} is taken, not refused",
            false_alarm=0.0,
        )
    named = all("temperature" in words for words in said.values())
    refused = (
        " and ".join(f"{value:g}" for value in outside) + (" are" if outside[1:] else " is") + " refused"
    )
    words = refused + ("" if named else ", in words that do not name the field")
    return Finding(Verdict.CONFORMS, words, false_alarm=0.0)


def temperature_order(lab: EndpointContext) -> Finding:
    """Ask for a temperature and a top_p at which the two orders keep different tokens; one more or fewer is another check's."""
    has(lab, "top_p")
    return by_order(lab, [cold_nucleus(ground(lab))], "top_p")


def min_p_order(lab: EndpointContext) -> Finding:
    """Ask for a temperature and a min_p at which the two orders keep different tokens."""
    has(lab, "min_p")
    return by_order(lab, [cold_least(ground(lab))], "min_p")


def by_order(lab: EndpointContext, asked: Sequence[Asked], stage: str) -> Finding:
    """Decide whether the temperature comes before or after a truncation."""
    own = lab.semantics
    require_effect(lab, ground(lab), "temperature", stage)
    joint = next(entry for entry in own.order if stage in parts(entry))
    orders = {
        f"temperature before {stage}": moved(own.order, "temperature", before=parts(joint)[0]),
        f"{stage} before temperature": moved(own.order, "temperature", after=stage),
    }
    first = place(own.order, "temperature") < place(own.order, stage)
    mine, other = orders if first else [*orders][::-1]
    counts = (
        {f", {kept}": reading for kept, reading in by_count(own).items()} if stage == "top_p" else {"": own}
    )
    readings = {
        f"{name}{kept}": replace(reading, order=order)
        for name, order in orders.items()
        for kept, reading in counts.items()
    }
    right = {name: reading for name, reading in readings.items() if name.startswith(mine)}
    wrong = {name: reading for name, reading in readings.items() if name.startswith(other)}
    wrong[IGNORED] = replace(own, ignores=frozenset({stage}))
    return contest(lab, asked, wrong, right)


def crossing_token(lab: EndpointContext) -> Finding:
    """Ask for a top_p in the middle of a token's share."""
    readings = by_count(lab.semantics)
    kept, dropped, more = readings
    wrong = {dropped: readings[dropped], IGNORED: replace(lab.semantics, ignores=frozenset({"top_p"}))}
    return contest(lab, [nucleus(ground(lab))], wrong, {kept: readings[kept], more: readings[more]})


def no_token_more(lab: EndpointContext) -> Finding:
    """Ask for the same, looking behind the crossing token."""
    readings = by_count(lab.semantics)
    kept, dropped, more = readings
    wrong = {more: readings[more], IGNORED: replace(lab.semantics, ignores=frozenset({"top_p"}))}
    return contest(lab, [nucleus(ground(lab))], wrong, {kept: readings[kept], dropped: readings[dropped]})


def top_p_to_zero(lab: EndpointContext) -> Finding:
    """Ask for a top_p of 1e-6, and of 0 where it is taken."""
    own = lab.semantics
    values = [1e-6] if lab.refuses(top_p=0) else [1e-6, 0]
    wrong = {
        IGNORED: replace(own, ignores=frozenset({"top_p"})),
        "0 keeps all": replace(own, substitutes=(("top_p", 0, 1.0),)),
        "one token more kept": replace(own, crossing_tokens=1),
    }
    found = ground(lab)
    return contest(lab, [single(found, value) for value in values], wrong, {"one token kept": own})


def top_k(lab: EndpointContext) -> Finding:
    """Ask for a top_k of a few tokens."""
    right, wrong = by_size(has(lab, "top_k"))
    return contest(lab, [leading(ground(lab))], wrong, right)


def disabled(lab: EndpointContext) -> Finding:
    """Ask for the values that switch truncations off, as far as they are taken."""
    own = lab.semantics
    none = own.no_top_k
    off: list[dict[str, Any]] = [{"top_p": 1}, {"top_k": none}, {"min_p": 0}]
    taken = [given for given in off if not set(given) - set(own.stages) and not lab.refuses(**given)]
    greedy = {
        f"{name} {value} keeps one token": replace(own, substitutes=((name, value, used),))
        for name, value, used in (("top_p", 1, 1e-9), ("top_k", none, 1), ("min_p", 0, 1))
        if {name: value} in taken
    }
    if not taken:
        raise NotTestable("no value that switches a truncation off is taken")
    return contest(lab, questions(lab, *taken), greedy, {"all kept": own})


def joint(lab: EndpointContext) -> Finding:
    """Ask for a top_k and a top_p that keep fewer tokens when top_p sees what top_k left."""
    right, wrong = by_joint(has(lab, "top_k"))
    require_effect(lab, ground(lab), "top_k", "top_p")
    return contest(lab, [both(ground(lab))], wrong, right)


def has(lab: EndpointContext, stage: str) -> Semantics:
    """Return the dialect's reading, if it has a stage."""
    if stage not in lab.semantics.stages:
        raise NotTestable(f"the dialect {lab.semantics.name!r} has no {stage}")
    return lab.semantics


def bias_order(lab: EndpointContext) -> Finding:
    """Ask for a temperature of 0.5, and the largest biases for the least likely tokens."""
    own = lab.semantics
    orders = {
        "bias before temperature": moved(own.order, "logit_bias", before="temperature"),
        "bias after temperature": moved(own.order, "logit_bias", after="temperature"),
    }
    first = place(own.order, "logit_bias") < place(own.order, "temperature")
    mine, other = orders if first else [*orders][::-1]
    readings = {name: replace(own, order=order) for name, order in orders.items()}
    fence = lab.survey.fence()
    require_effect(lab, BiasedGround(fence), "temperature")
    asked = [BiasedCase(fence, slope(len(fence.tokens))[::-1], {"temperature": 0.5})]
    return decide(lab, EndpointTest(asked, {mine: readings[mine]}, {other: readings[other]}))


RUNS: dict[str, Run] = {
    "temperature.scale": temperature_scale,
    "temperature.zero": temperature_zero,
    "temperature.limit": temperature_limit,
    "temperature.range": temperature_range,
    "truncation.temperature-order": temperature_order,
    "truncation.crossing-token": crossing_token,
    "truncation.no-token-more": no_token_more,
    "truncation.top-p-to-zero": top_p_to_zero,
    "truncation.top-k": top_k,
    "truncation.disabled": disabled,
    "truncation.joint": joint,
    "truncation.min-p-order": min_p_order,
    "bias.temperature-order": bias_order,
}
