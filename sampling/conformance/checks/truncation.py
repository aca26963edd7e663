"""Truncations: order, boundaries, and the values that switch them off."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from sampling.conformance.comparison import Reading, compare
from sampling.conformance.endings import Refused
from sampling.conformance.fixtures import EQUAL, spaced, two_levels
from sampling.conformance.lab import Lab
from sampling.conformance.oracle import probabilities
from sampling.conformance.question import Question
from sampling.conformance.semantics import joined, moved
from sampling.conformance.together import together
from sampling.conformance.verdict import FALSE_ALARM, Finding, Verdict


def temperature_order(lab: Lab) -> Finding:
    """A nucleus at temperatures below and above 1."""
    lab.need(["temperature", "top_p"])
    order = lab.semantics.order
    early, late = moved(order, "temperature", before="top_p"), moved(order, "temperature", after="top_p")
    readings = [
        Reading("the temperature before top_p", lab.altered(order=early)),
        Reading("top_p before the temperature", lab.altered(order=late)),
        lab.ignoring("top_p"),
        lab.ignoring("temperature"),
    ]
    settings: list[dict[str, Any]] = [{"temperature": 0.5, "top_p": 0.9}, {"temperature": 1.5, "top_p": 0.7}]
    return compare(lab, [Question(spaced(), params) for params in settings], readings)


def crossing_token(lab: Lab) -> Finding:
    """Nuclei of half and of nine tenths of the mass."""
    lab.need(["top_p"])
    dropped = Reading("the crossing token is dropped", lab.altered(crossing_tokens=-1))
    return compare(lab, nuclei(), [dropped, lab.ignoring("top_p")])


def no_token_more(lab: Lab) -> Finding:
    """The same nuclei, and one whose mass is hit exactly."""
    lab.need(["top_p"])
    readings = [Reading("one token too many is kept", lab.altered(crossing_tokens=1)), lab.ignoring("top_p")]
    return together([("nuclei", compare(lab, nuclei(), readings)), ("an exact hit", exact_hit(lab))])


def exact_hit(lab: Lab) -> Finding:
    """How many of eight equal tokens a nucleus of three quarters keeps; which of them is the business of `ties`.

    Of m equal tokens one at least is missing after N draws with a chance of at most m (1 - 1 / m)^N.
    """
    question, stops = Question(EQUAL, {"top_p": 0.75}), lab.semantics.exact_hit_stops
    own, other = (
        int((probabilities(question, lab.altered(exact_hit_stops=so)) > 0).sum()) for so in (stops, not stops)
    )
    needed = math.ceil(math.log(FALSE_ALARM / len(EQUAL)) / math.log1p(-1 / len(EQUAL)))
    tokens = lab.draws(question, min(needed, lab.most_draws))
    kept, draws = len(np.unique(tokens)), len(tokens)
    words = f"{kept} of {len(EQUAL)} equal tokens are kept, {own} should be"
    detects = "any other number of tokens"
    if kept > own or draws == needed:
        if kept == own:
            words = f"{kept} of {len(EQUAL)} equal tokens are kept, as they should be"
            return Finding(Verdict.CONFORMS, words, draws, detects)
        if kept == other:
            words = f"{'one token more is taken' if stops else 'it stops there'}: {words}"
            return Finding(lab.verdict_on("exact_hit"), words, draws, detects)
        return Finding(Verdict.DEVIATES, f"no named reading fits: {words}", draws, detects)
    return Finding(Verdict.INCONCLUSIVE, f"{draws} draws are too few", draws, detects)


def nuclei() -> list[Question]:
    """Two nuclei, neither of them near a boundary."""
    return [Question(spaced(), {"top_p": p}) for p in (0.5, 0.9)]


def top_p_to_zero(lab: Lab) -> Finding:
    """A nucleus that one token overfills, and one of no mass at all."""
    lab.need(["top_p"])
    readings = [
        Reading("two tokens are kept", lab.altered(crossing_tokens=1)),
        Reading("top_p 0 keeps everything", lab.altered(substitutes=(("top_p", 0, 1.0),))),
        lab.ignoring("top_p"),
    ]
    return together(
        [(f"top_p {p:g}", asked(lab, Question(spaced(), {"top_p": p}), readings)) for p in (1e-6, 0)]
    )


def top_k(lab: Lab) -> Finding:
    """Three and eight tokens."""
    lab.need(["top_k"])
    readings = [
        Reading("k - 1 tokens are kept", lab.altered(top_k_offset=-1)),
        Reading("k + 1 tokens are kept", lab.altered(top_k_offset=1)),
        lab.ignoring("top_k"),
    ]
    return compare(lab, [Question(spaced(), {"top_k": k}) for k in (3, 8)], readings)


def disabled(lab: Lab) -> Finding:
    """Every value that switches a truncation off, one at a time."""
    logits = two_levels(2048)
    values: list[tuple[str, float]] = [("top_p", 1), ("top_k", 0), ("top_k", len(logits)), ("min_p", 0)]
    tail = 0.001 if lab.fine else 0.01
    cut = lab.altered(order=("top_p",), substitutes=(("top_p", 1.0, 1 - tail),))
    readings = [
        Reading(
            "the arg max",
            lab.altered(order=("top_k",), substitutes=(("top_k", len(logits), 1), ("top_k", 0, 1))),
        ),
        Reading(f"a tail of mass {tail:g} is cut off", cut),
    ]
    return together(
        [
            (f"{name} {value}", asked(lab, Question(logits, {name: value}), readings))
            for name, value in values
            if name in lab.semantics.stages
        ]
    )


def asked(lab: Lab, question: Question, readings: list[Reading]) -> Finding:
    """Ask one question of several; a refusal answers that one alone."""
    try:
        return compare(lab, [question], readings)
    except Refused as refused:
        return refused.finding()


def ties(lab: Lab) -> Finding:
    """Equal logits at the boundaries of top_p and, where there is one, of top_k."""
    lab.need(["top_p"])
    questions = [Question(EQUAL, {"top_p": 0.6})]
    if "top_k" in lab.semantics.stages:
        questions.append(Question(np.array([1, 1, 2, 1, 0, 1, 0, 0], dtype=np.float32), {"top_k": 3}))
    readings = [
        Reading(
            tie_words(low, keep),
            lab.altered(low_ids_first=low, top_k_keeps_ties=keep),
            lab.verdict_on("ties"),
        )
        for low in (True, False)
        for keep in (True, False)
    ]
    return compare(lab, questions, readings)


def tie_words(low_ids_first: bool, keeps_ties: bool) -> str:
    """A rule for equal logits in words."""
    first = "lower" if low_ids_first else "higher"
    return f"{first} ids first, top_k keeps {'all that are equal' if keeps_ties else 'exactly k'}"


def joint(lab: Lab) -> Finding:
    """top_k and top_p together."""
    lab.need(["top_k", "top_p"])
    order = lab.semantics.order
    readings = [
        Reading(
            "top_p after top_k, of what that left", lab.altered(order=moved(order, "top_k", before="top_p"))
        ),
        Reading("both of the same distribution", lab.altered(order=joined(order, "top_k", "top_p"))),
        lab.ignoring("top_k"),
        lab.ignoring("top_p"),
    ]
    settings: list[dict[str, Any]] = [{"top_k": 5, "top_p": 0.8}, {"top_k": 8, "top_p": 0.9}]
    return compare(lab, [Question(spaced(), params) for params in settings], readings)


def min_p_order(lab: Lab) -> Finding:
    """min_p with a temperature, and with top_p."""
    lab.need(["temperature", "top_p", "min_p"])
    order = lab.semantics.order
    orders = {
        "the temperature before min_p": moved(order, "temperature", before="min_p"),
        "min_p before the temperature": moved(order, "min_p", before="temperature"),
        "top_p before min_p": moved(order, "min_p", after="top_p"),
        "min_p before top_p": moved(order, "min_p", before="top_p"),
    }
    readings = [Reading(name, lab.altered(order=changed)) for name, changed in orders.items()]
    absolute = Reading("min_p is a probability, not a fraction", lab.altered(min_p_of_maximum=False))
    settings: list[dict[str, Any]] = [{"temperature": 2.0, "min_p": 0.1}, {"top_p": 0.85, "min_p": 0.15}]
    questions = [Question(spaced(), params) for params in settings]
    return compare(lab, questions, [*readings, absolute, lab.ignoring("min_p")])


RUNS: Mapping[str, Callable[[Lab], Finding]] = {
    "truncation.temperature-order": temperature_order,
    "truncation.crossing-token": crossing_token,
    "truncation.no-token-more": no_token_more,
    "truncation.top-p-to-zero": top_p_to_zero,
    "truncation.top-k": top_k,
    "truncation.disabled": disabled,
    "truncation.ties": ties,
    "truncation.joint": joint,
    "truncation.min-p-order": min_p_order,
}
