"""What callables show of truncations besides: exact hits, ties, and the values that switch them off."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from sampling.conformance.callable_test import compare, sequential_test
from sampling.conformance.callables.compared import asked, compared
from sampling.conformance.case_context import CaseContext
from sampling.conformance.checks import COMPARISONS
from sampling.conformance.combine_findings import combine_findings
from sampling.conformance.comparison import Comparison
from sampling.conformance.endings import Refused
from sampling.conformance.fixtures import EQUAL, tied, two_levels
from sampling.conformance.oracle import probabilities
from sampling.conformance.sampling_case import SamplingCase
from sampling.conformance.sequential_test import NONE_FITS
from sampling.conformance.verdict import FALSE_ALARM, Finding, Verdict

TIE_WIDTHS = (16, 64)


def no_token_more(context: CaseContext) -> Finding:
    """Compare nuclei, and ask for one whose mass is hit exactly."""
    nuclei = compared("truncation.no-token-more", context)
    return combine_findings([("nuclei", nuclei), ("an exact hit", exact_hit(context))])


def exact_hit(context: CaseContext) -> Finding:
    """How many of eight equal tokens a nucleus of three quarters keeps; which of them is the business of `ties`.

    Of m equal tokens one at least is missing after N draws with a chance of at most m (1 - 1 / m)^N.
    """
    own, case = context.semantics, context.posed(SamplingCase(EQUAL, {"top_p": 0.75}))
    stops = own.top_p_stops_at_equality
    right, other = (
        int((probabilities(case, own.but(top_p_stops_at_equality=so)) > 0).sum()) for so in (stops, not stops)
    )
    needed = math.ceil(math.log(FALSE_ALARM / len(EQUAL)) / math.log1p(-1 / len(EQUAL)))
    tokens = context.draws(case, min(needed, context.most_draws))
    kept, draws = len(np.unique(tokens)), len(tokens)
    words = f"{kept} of {len(EQUAL)} equal tokens are kept, {right} should be"
    detects = "any other number of tokens"
    if kept > max(right, other) and own.top_p_ties == "arbitrary":
        words += "; which ones may vary, so that their number does not show"
        return Finding(Verdict.INCONCLUSIVE, words, draws, detects)
    if kept > right or draws == needed:
        if kept == right:
            words = f"{kept} of {len(EQUAL)} equal tokens are kept, as they should be"
            return Finding(Verdict.CONFORMS, words, draws, detects)
        if kept == other:
            words = f"{'one token more is taken' if stops else 'it stops there'}: {words}"
            return Finding(own.silent_verdict("exact_hit"), words, draws, detects)
        if kept == len(EQUAL):
            words = f"all that are equal are kept: {words}"
            return Finding(own.silent_verdict("ties"), words, draws, detects)
        return Finding(Verdict.DEVIATES, f"{NONE_FITS}: {words}", draws, detects)
    return Finding(Verdict.INCONCLUSIVE, f"{draws} draws are too few", draws, detects)


def disabled(context: CaseContext) -> Finding:
    """Ask for every value that switches a truncation off, one at a time."""
    own, many = context.semantics, context.posed(SamplingCase(two_levels(context.sizes.many)))
    values: list[tuple[str, float]] = [
        ("top_p", 1),
        ("top_k", own.no_top_k),
        ("top_k", context.sizes.many),
        ("min_p", 0),
    ]
    having = [(name, value) for name, value in values if name in own.stages]
    comparison = cutting_off(context, 0.001 if context.fine else 0.01)
    findings = [
        (f"{name} {value}", asked(context, comparison, [replace(many, params={name: value})], None))
        for name, value in having
    ]
    comparison = cutting_off(context, 0.05)
    for width in context.sizes.wide:
        settings = [(name, width if value == context.sizes.many else value) for name, value in having]
        wide = context.posed(SamplingCase(two_levels(width)))
        cases = [replace(wide, params={name: value}) for name, value in settings]
        findings.append((f"{width} logits", asked(context, comparison, cases, 0)))
    return combine_findings(findings)


def cutting_off(context: CaseContext, tail: float) -> Comparison:
    """Return the comparison of what such values keep, with a tail of some mass that may be cut off."""
    comparison = COMPARISONS["truncation.disabled"].comparison(context.semantics)
    cut = context.semantics.but(order=("top_p",), substitutes=(("top_p", 1.0, 1 - tail),))
    return replace(comparison, finer={f"a tail of mass {tail:g} is cut off": cut})


def ties(context: CaseContext) -> Finding:
    """Compare equal logits at the boundaries of top_p and, where there is one, of top_k: a few, and more than sixteen."""
    context.need(["top_p"])
    names = context.having(["top_p", "top_k"])
    return combine_findings(
        [
            (f"{name} on {width} logits", kept_ties(context, name, width))
            for name in names
            for width in (*TIE_WIDTHS, *context.sizes.wide)
        ]
    )


def kept_ties(context: CaseContext, name: str, width: int) -> Finding:
    """Which of equal logits a truncation keeps, on a row of some width.

    Where the draws show some but neither the low nor the high ids, as many as there is room for may still be right.
    """
    own, case, field = context.semantics, context.posed(tied(width, name)), f"{name}_ties"
    verdict = own.silent_verdict("ties")
    kept = {"low": "the lower ids are kept", "high": "the higher ids are kept", "all": "all of them are kept"}
    ties = {words: own.but(**{field: rule}) for rule, words in kept.items()}
    comparison = Comparison(
        null={"the dialect's ties": own}, alternatives=ties, verdicts=dict.fromkeys(ties, verdict)
    )
    try:
        test = sequential_test(context, comparison, [case], least=0)
        found = test.finding()
        if found.verdict is not Verdict.DEVIATES or test.possible():
            return found
        every = {kept["all"]: ties[kept["all"]]}
        number = replace(
            comparison, null={"any of them": own.but(**{field: "arbitrary"})}, alternatives=every
        )
        if compare(context, number, [case], least=0).verdict is not Verdict.CONFORMS:
            return found
    except Refused as refused:
        return refused.finding()
    words = "as many as there is room for are kept, in no order of ids"
    return replace(found, verdict=verdict, evidence=found.evidence.replace(NONE_FITS, words))


RUNS: Mapping[str, Callable[[CaseContext], Finding]] = {
    "truncation.no-token-more": no_token_more,
    "truncation.disabled": disabled,
    "truncation.ties": ties,
}
