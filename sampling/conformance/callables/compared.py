"""The checks of callables that compare hypotheses."""

from __future__ import annotations

from collections.abc import Sequence

from sampling.conformance.callable_test import compare
from sampling.conformance.callables.cases import cases, more_cases
from sampling.conformance.case_context import CaseContext
from sampling.conformance.checks import COMPARISONS
from sampling.conformance.combine_findings import combine_findings
from sampling.conformance.comparison import Comparison
from sampling.conformance.endings import Refused
from sampling.conformance.sampling_case import SamplingCase
from sampling.conformance.verdict import Finding


def compared(name: str, context: CaseContext) -> Finding:
    """Compare the hypotheses of a check on all its rows."""
    comparison = COMPARISONS[name].comparison(context.semantics)
    findings: list[tuple[str, Finding]] = []
    small, wide = cases(context.sizes)[name], more_cases(context.sizes).get(name, {})
    for groups, least in ((small, None), (wide, 0)):
        for group, among in groups.items():
            told = [context.posed(case) for case in among if context.can_ask(case) and acting(context, case)]
            findings += [(group, asked(context, comparison, told, least))] if told else []
    if not findings:
        context.need_acting(*next(iter(small.values()))[0].params)
    return combine_findings(findings)


def acting(context: CaseContext, case: SamplingCase) -> bool:
    """Whether a case can be told: of several parameters each acts by itself."""
    return len(case.params) == 1 or len(context.acting([*case.params])) == len(case.params)


def asked(
    context: CaseContext, comparison: Comparison, cases: Sequence[SamplingCase], least: int | None
) -> Finding:
    """Compare on some cases of several; a refusal answers these alone."""
    try:
        return compare(context, comparison, cases, least=least)
    except Refused as refused:
        return refused.finding()
