"""Truncations: order, boundaries, and the values that switch them off."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from sampling.conformance.check_context import CheckContext
from sampling.conformance.combine_findings import combine_findings
from sampling.conformance.comparison import Hypothesis, compare, sequential_test
from sampling.conformance.endings import Refused
from sampling.conformance.fixtures import (
    EQUAL,
    HALF,
    LOWEST,
    WIDE,
    candidates,
    long_tailed,
    shelf,
    shelf_share,
    spaced,
    tied,
    two_levels,
)
from sampling.conformance.oracle import probabilities
from sampling.conformance.sampling_case import SamplingCase
from sampling.conformance.semantics import joined, moved
from sampling.conformance.verdict import FALSE_ALARM, Finding, Verdict

Params = Mapping[str, Any]

# Rows that real requests have, and sixteen logits have not: each is asked with as many draws as it takes, and no more.
TAILS = [long_tailed(width) for width in WIDE]
FEW = [candidates(shares) for shares in ((0.6, 0.4), (0.4, 0.3, 0.3), (0.4, 0.3, 0.2, 0.1))]
BANNED = candidates((0.5, 0.3, 0.15, 0.05), low=-100.0, count=3)
LOW = [long_tailed(WIDE[0], low, count) for low, count in ((-100.0, 200), (-1e4, 1), (LOWEST, 1))]
TIE_WIDTHS = (16, 64, *WIDE)


def asked(
    lab: CheckContext, questions: Sequence[SamplingCase], readings: Sequence[Hypothesis], least: int | None
) -> Finding:
    """Ask some questions of several; a refusal answers these alone."""
    try:
        return compare(lab, questions, readings, least=least)
    except Refused as refused:
        return refused.finding()


def on_all_rows(
    lab: CheckContext,
    questions: Sequence[SamplingCase],
    readings: Sequence[Hypothesis],
    **others: Sequence[SamplingCase],
) -> Finding:
    """Questions on sixteen logits, and after these others on rows of other kinds.

    Args:
        lab: The lab.
        questions: The first ones.
        readings: What else all of them may show.
        others: By kind, with underscores for spaces.
    """
    findings = [("16 logits", compare(lab, questions, readings))]
    findings += [(name.replace("_", " "), asked(lab, more, readings, 0)) for name, more in others.items()]
    return combine_findings(findings)


def of_top_p(lab: CheckContext) -> list[Hypothesis]:
    """Return what a nucleus may be on rows of all kinds."""
    return [
        lab.ignoring("top_p"),
        Hypothesis("top_p stops at a bound for what is left", lab.altered(top_p_bounded=True)),
        Hypothesis("the least likely candidate goes, and what equals it", lab.altered(last_goes=True)),
        Hypothesis("only the 1024 most likely tokens are looked at", lab.altered(most_candidates=1024)),
    ]


def temperature_order(lab: CheckContext) -> Finding:
    """Ask for a nucleus at temperatures below and above 1."""
    lab.need_acting("temperature", "top_p")
    order = lab.semantics.order
    early, late = moved(order, "temperature", before="top_p"), moved(order, "temperature", after="top_p")
    readings = [
        Hypothesis("the temperature before top_p", lab.altered(order=early)),
        Hypothesis("top_p before the temperature", lab.altered(order=late)),
        *of_top_p(lab),
    ]
    settings: list[Params] = [{"temperature": 0.5, "top_p": 0.9}, {"temperature": 1.5, "top_p": 0.7}]
    cold: Params = {"temperature": 0.5, "top_p": 0.25}
    return on_all_rows(
        lab,
        [SamplingCase(spaced(), params) for params in settings],
        readings,
        long_tails=[SamplingCase(row, cold) for row in TAILS],
        low_logits=[SamplingCase(row, cold) for row in LOW],
    )


def crossing_token(lab: CheckContext) -> Finding:
    """Nuclei of half and of nine tenths of the mass; of a few candidates, which all stay; and in long tails."""
    lab.need(["top_p"])
    dropped = Hypothesis("the crossing token is dropped", lab.altered(crossing_tokens=-1))
    return on_all_rows(
        lab,
        nuclei(),
        [dropped, *of_top_p(lab)],
        long_tails=wide_nuclei(),
        few_candidates=[SamplingCase(row, {"top_p": 0.95}) for row in FEW],
    )


def no_token_more(lab: CheckContext) -> Finding:
    """Ask for the same nuclei, with low logits beside them, too; and one whose mass is hit exactly."""
    lab.need(["top_p"])
    readings = [Hypothesis("one token too many is kept", lab.altered(crossing_tokens=1)), *of_top_p(lab)]
    low = [SamplingCase(BANNED, {"top_p": 0.9}), *(SamplingCase(row, {"top_p": 0.25}) for row in LOW)]
    nucleus = on_all_rows(lab, nuclei(), readings, long_tails=wide_nuclei(), low_logits=low)
    return combine_findings([("nuclei", nucleus), ("an exact hit", exact_hit(lab))])


def exact_hit(lab: CheckContext) -> Finding:
    """How many of eight equal tokens a nucleus of three quarters keeps; which of them is the business of `ties`.

    Of m equal tokens one at least is missing after N draws with a chance of at most m (1 - 1 / m)^N.
    """
    question, stops = SamplingCase(EQUAL, {"top_p": 0.75}), lab.semantics.top_p_stops_at_equality
    own, other = (
        int((probabilities(question, lab.altered(top_p_stops_at_equality=so)) > 0).sum())
        for so in (stops, not stops)
    )
    needed = math.ceil(math.log(FALSE_ALARM / len(EQUAL)) / math.log1p(-1 / len(EQUAL)))
    tokens = lab.draws(question, min(needed, lab.most_draws))
    kept, draws = len(np.unique(tokens)), len(tokens)
    words = f"{kept} of {len(EQUAL)} equal tokens are kept, {own} should be"
    detects = "any other number of tokens"
    if kept > max(own, other) and lab.semantics.top_p_ties == "arbitrary":
        words += "; which ones may vary, so that their number does not show"
        return Finding(Verdict.INCONCLUSIVE, words, draws, detects)
    if kept > own or draws == needed:
        if kept == own:
            words = f"{kept} of {len(EQUAL)} equal tokens are kept, as they should be"
            return Finding(Verdict.CONFORMS, words, draws, detects)
        if kept == other:
            words = f"{'one token more is taken' if stops else 'it stops there'}: {words}"
            return Finding(lab.verdict_on("exact_hit"), words, draws, detects)
        if kept == len(EQUAL):
            words = f"all that are equal are kept: {words}"
            return Finding(lab.verdict_on("ties"), words, draws, detects)
        return Finding(Verdict.DEVIATES, f"no named reading fits: {words}", draws, detects)
    return Finding(Verdict.INCONCLUSIVE, f"{draws} draws are too few", draws, detects)


def nuclei() -> list[SamplingCase]:
    """Two nuclei, neither of them near a boundary."""
    return [SamplingCase(spaced(), {"top_p": p}) for p in (0.5, 0.9)]


def wide_nuclei() -> list[SamplingCase]:
    """Of each long row a nucleus of two tokens, and one of `HEAD`; neither is near a boundary."""
    large = [SamplingCase(shelf(width), {"top_p": shelf_share()}) for width in WIDE]
    return [*(SamplingCase(row, {"top_p": 0.25}) for row in TAILS), *large]


def top_p_to_zero(lab: CheckContext) -> Finding:
    """Ask for a nucleus that one token overfills, and one of no mass at all."""
    lab.need(["top_p"])
    readings = [
        Hypothesis("two tokens are kept", lab.altered(crossing_tokens=1)),
        Hypothesis("top_p 0 keeps everything", lab.altered(substitutes=(("top_p", 0, 1.0),))),
        *of_top_p(lab),
    ]
    settings = {
        f"top_p {p:g}": asked(lab, [SamplingCase(spaced(), {"top_p": p})], readings, None) for p in (1e-6, 0)
    }
    wide = asked(lab, [SamplingCase(row, {"top_p": 0.1}) for row in TAILS], readings, 0)
    return combine_findings([*settings.items(), ("top_p 0.1 of long tails", wide)])


def top_k(lab: CheckContext) -> Finding:
    """Three and eight tokens; more than there are candidates; and fifty of long rows."""
    lab.need(["top_k"])
    readings = [
        Hypothesis("k - 1 tokens are kept", lab.altered(top_k_offset=-1)),
        Hypothesis("k + 1 tokens are kept", lab.altered(top_k_offset=1)),
        lab.ignoring("top_k"),
    ]
    return on_all_rows(
        lab,
        [SamplingCase(spaced(), {"top_k": k}) for k in (3, 8)],
        readings,
        long_tails=[SamplingCase(row, {"top_k": k}) for row in TAILS for k in (3, 50)],
        few_candidates=[SamplingCase(row, {"top_k": 20}) for row in FEW],
        low_logits=[SamplingCase(row, {"top_k": k}) for row in LOW for k in (3, 50)],
    )


def disabled(lab: CheckContext) -> Finding:
    """Every value that switches a truncation off, one at a time."""
    many, tail = two_levels(2048), 0.001 if lab.fine else 0.01
    none = lab.semantics.no_top_k
    values: list[tuple[str, float]] = [("top_p", 1), ("top_k", none), ("top_k", len(many)), ("min_p", 0)]
    having = [(name, value) for name, value in values if name in lab.semantics.stages]
    findings = [
        (f"{name} {value}", asked(lab, [SamplingCase(many, {name: value})], cut_off(lab, tail), None))
        for name, value in having
    ]
    for width in WIDE:
        settings = [(name, width if value == len(many) else value) for name, value in having]
        questions = [SamplingCase(two_levels(width), {name: value}) for name, value in settings]
        findings.append((f"{width} logits", asked(lab, questions, cut_off(lab, 0.05), 0)))
    return combine_findings(findings)


def cut_off(lab: CheckContext, tail: float) -> list[Hypothesis]:
    """Return what values that should switch truncations off may do, besides to keep one token."""
    cut = lab.altered(order=("top_p",), substitutes=(("top_p", 1.0, 1 - tail),))
    return [Hypothesis(f"a tail of mass {tail:g} is cut off", cut)]


def ties(lab: CheckContext) -> Finding:
    """Equal logits at the boundaries of top_p and, where there is one, of top_k: a few, and more than sixteen."""
    lab.need(["top_p"])
    names = lab.having(["top_p", "top_k"])
    return combine_findings(
        [(f"{name} on {width} logits", kept_ties(lab, name, width)) for name in names for width in TIE_WIDTHS]
    )


def kept_ties(lab: CheckContext, name: str, width: int) -> Finding:
    """Which of equal logits a truncation keeps, on a row of some width.

    Where the draws show some but neither the low nor the high ids, as many as there is room for may still be right.
    """
    question, field, verdict = tied(width, name), f"{name}_ties", lab.verdict_on("ties")
    kept = {"low": "the lower ids are kept", "high": "the higher ids are kept", "all": "all of them are kept"}
    readings = [Hypothesis(words, lab.altered(**{field: rule}), verdict) for rule, words in kept.items()]
    try:
        trial = sequential_test(lab, [question], readings, least=0)
        found = trial.finding()
        if found.verdict is not Verdict.DEVIATES or trial.possible():
            return found
        number = compare(lab.reading(**{field: "arbitrary"}), [question], readings[2:], least=0)
    except Refused as refused:
        return refused.finding()
    if number.verdict is not Verdict.CONFORMS:
        return found
    words = "as many as there is room for are kept, in no order of ids"
    return replace(found, verdict=verdict, evidence=found.evidence.replace("no named reading fits", words))


def joint(lab: CheckContext) -> Finding:
    """top_k and top_p together."""
    lab.need_acting("top_k", "top_p")
    order = lab.semantics.order
    readings = [
        Hypothesis(
            "top_p after top_k, of what that left", lab.altered(order=moved(order, "top_k", before="top_p"))
        ),
        Hypothesis("both of the same distribution", lab.altered(order=joined(order, "top_k", "top_p"))),
        lab.ignoring("top_k"),
        *of_top_p(lab),
    ]
    settings: list[Params] = [{"top_k": 5, "top_p": 0.8}, {"top_k": 8, "top_p": 0.9}]
    wide: Params = {"top_k": 50, "top_p": 0.5}
    return on_all_rows(
        lab,
        [SamplingCase(spaced(), params) for params in settings],
        readings,
        long_tails=[SamplingCase(row, wide) for row in TAILS],
        few_candidates=[SamplingCase(row, {"top_k": 20, "top_p": 0.95}) for row in FEW],
        low_logits=[
            SamplingCase(BANNED, {"top_k": 20, "top_p": 0.9}),
            *(SamplingCase(row, wide) for row in LOW),
        ],
    )


def min_p_order(lab: CheckContext) -> Finding:
    """min_p alone, one token at its boundary; with a temperature, and with top_p."""
    lab.need(["temperature", "top_p", "min_p"])
    order = lab.semantics.order
    orders = {
        "the temperature before min_p": moved(order, "temperature", before="min_p"),
        "min_p before the temperature": moved(order, "min_p", before="temperature"),
        "top_p before min_p": moved(order, "min_p", after="top_p"),
        "min_p before top_p": moved(order, "min_p", before="top_p"),
    }
    readings = [Hypothesis(name, lab.altered(order=changed)) for name, changed in orders.items()]
    readings += [
        Hypothesis("min_p is a probability, not a fraction", lab.altered(min_p_of_maximum=False)),
        lab.ignoring("min_p"),
    ]
    pairs: dict[str, Params] = {
        "temperature": {"temperature": 2.0, "min_p": 0.1},
        "top_p": {"top_p": 0.85, "min_p": 0.15},
    }
    acting = [params for name, params in pairs.items() if lab.acting([name])]
    wide = [{**params, "top_p": 0.5} if "top_p" in params else params for params in acting]
    orders_found = on_all_rows(
        lab,
        [SamplingCase(spaced(), params) for params in [{"min_p": 0.15}, *acting]],
        readings,
        long_tails=[SamplingCase(row, params) for row in TAILS for params in [{"min_p": 0.15}, *wide]],
        few_candidates=[SamplingCase(row, {"min_p": 0.2}) for row in FEW],
        low_logits=[SamplingCase(row, {"min_p": 0.2}) for row in (BANNED, *LOW)],
    )
    return combine_findings([("min_p", orders_found), ("a token exactly at min_p", exact_min_p(lab))])


def exact_min_p(lab: CheckContext) -> Finding:
    """Ask for a token half as likely as the likeliest, to the precision of float32, and a min_p of that."""
    strict = lab.semantics.min_p_strict
    other = Hypothesis(
        "it is kept" if strict else "it goes",
        lab.altered(min_p_strict=not strict),
        lab.verdict_on("exact_hit"),
    )
    row = np.array([-2.0, 0.0, -3.0, HALF, -2.0, -4.0, -4.0, -4.0], dtype=np.float32)
    return asked(lab, [SamplingCase(row, {"min_p": 0.499999999})], [other, lab.ignoring("min_p")], 0)


RUNS: Mapping[str, Callable[[CheckContext], Finding]] = {
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
