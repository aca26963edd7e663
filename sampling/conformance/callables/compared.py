"""The checks of callables that compare hypotheses."""

from __future__ import annotations

from collections.abc import Sequence

from sampling.conformance.callable_test import compare
from sampling.conformance.callables.cases import CASES, MORE_CASES
from sampling.conformance.check_context import CheckContext
from sampling.conformance.checks import COMPARISONS
from sampling.conformance.combine_findings import combine_findings
from sampling.conformance.comparison import Comparison
from sampling.conformance.endings import Refused
from sampling.conformance.sampling_case import SamplingCase
from sampling.conformance.verdict import Finding


def compared(name: str, context: CheckContext) -> Finding:
    """Compare the hypotheses of a check on all its rows."""
    comparison = COMPARISONS[name].comparison(context.semantics)
    findings: list[tuple[str, Finding]] = []
    for groups, least in ((CASES[name], None), (MORE_CASES.get(name, {}), 0)):
        for group, cases in groups.items():
            told = [case for case in cases if acting(context, case)]
            findings += [(group, asked(context, comparison, told, least))] if told else []
    if not findings:
        context.need_acting(*next(iter(CASES[name].values()))[0].params)
    return combine_findings(findings)


def acting(context: CheckContext, case: SamplingCase) -> bool:
    """Whether a case can be told: of several parameters each acts by itself."""
    return len(case.params) == 1 or len(context.acting([*case.params])) == len(case.params)


def asked(
    context: CheckContext, comparison: Comparison, cases: Sequence[SamplingCase], least: int | None
) -> Finding:
    """Compare on some cases of several; a refusal answers these alone."""
    try:
        return compare(context, comparison, cases, least=least)
    except Refused as refused:
        return refused.finding()
