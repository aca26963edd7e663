"""The sequential test of a callable: logits of our choice, drawn for as often as was planned."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sampling.conformance.apart import SAME, gathered, told_apart
from sampling.conformance.comparison import Comparison
from sampling.conformance.oracle import Row, probabilities
from sampling.conformance.sampling_case import SamplingCase
from sampling.conformance.semantics import Semantics
from sampling.conformance.sequential_test import Alternative, SequentialTest, distinct, planned_draws
from sampling.conformance.verdict import Finding

if TYPE_CHECKING:
    from sampling.conformance.case_context import CaseContext

FIRST = 64  # draws of each case in the first round; every round doubles them
LEAST = 250  # draws of each case, so that Pearson's test has a few cells
NAMING = 1000  # draws of each case before an alternative is named


def compare(
    context: CaseContext, comparison: Comparison, cases: Sequence[SamplingCase], *, least: int | None = None
) -> Finding:
    """Draw from cases until the tokens say which hypothesis the target has, or the promised number is reached."""
    return sequential_test(context, comparison, cases, least=least).finding()


def sequential_test(
    context: CaseContext, comparison: Comparison, cases: Sequence[SamplingCase], *, least: int | None = None
) -> SequentialTest:
    """Draw as `compare` does."""
    name, own = next(iter(comparison.null.items()))
    cells = [told_apart(case, own) for case in cases]

    def rows(semantics: Semantics) -> list[Row]:
        return [
            gathered(probabilities(case, semantics), cell) for case, cell in zip(cases, cells, strict=True)
        ]

    null, others = (
        {name: rows(own)},
        comparison.others(comparison.finer, comparison.finest if context.fine else {}),
    )
    named = [Alternative(words, comparison.verdict(words), rows(other)) for words, other in others.items()]
    alternatives = distinct(null, named, SAME)
    least = context.least_draws if least is None else least
    count = min(max(planned_draws(null[name], alternatives), least, LEAST), context.most_draws)
    test = SequentialTest(null, alternatives, planned=count * len(cases))

    def draw(count: int) -> None:
        done, step = 0, min(FIRST, count)
        while done < count:
            for place, case in enumerate(cases):
                test.add(place, cells[place][context.draws(case, step)])
            done += step
            step = min(done, count - done)

    draw(count)
    if test.failed:
        draw(min(NAMING, context.most_draws) - count)
    return test
