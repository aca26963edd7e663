"""The sequential test of an endpoint: cases asked in turns until it is decided, and as often as was planned."""

from __future__ import annotations

from collections.abc import Sequence

from sampling.conformance.comparison import Comparison
from sampling.conformance.endings import NotTestable
from sampling.conformance.endpoint.biased_case import Row
from sampling.conformance.endpoint.design import SAME
from sampling.conformance.endpoint.draws import batches, per_request
from sampling.conformance.endpoint.endpoint_context import EndpointContext
from sampling.conformance.endpoint.ground import EndpointCase
from sampling.conformance.semantics import Semantics
from sampling.conformance.sequential_test import Alternative, SequentialTest, distinct
from sampling.conformance.verdict import Finding

MOST_DRAWS = 4096  # for one check
# Requests of a check: where n choices come with each, many draws cost little, and deviations without a name show, too.
LEAST_REQUESTS, LEAST_ALONE, MOST_REQUESTS = 32, 12, 400


def sequential_test(
    cases: Sequence[EndpointCase], comparison: Comparison, planned: int | None = None
) -> SequentialTest:
    """Return the test of a comparison by draws from some cases."""

    def rows(semantics: Semantics) -> list[Row]:
        return [case.row(semantics) for case in cases]

    null = {name: rows(semantics) for name, semantics in comparison.null.items()}
    others = [
        Alternative(name, comparison.verdict(name), rows(semantics))
        for name, semantics in comparison.others().items()
    ]
    known = [case.tokens for case in cases]
    return SequentialTest(null, distinct(null, others, SAME), planned=planned, known=known)


def decide(context: EndpointContext, cases: Sequence[EndpointCase], comparison: Comparison) -> Finding:
    """Draw until one side is excluded, and the planned number is reached.

    Raises:
        CheckEnded: The endpoint does not answer as it has to.
    """
    each = max(per_request(context, case) for case in cases)
    planned = LEAST_REQUESTS * each if each > 1 else LEAST_ALONE
    test = sequential_test(cases, comparison, planned)
    if not test.alternatives:
        raise NotTestable("all hypotheses give the same distribution in the model's context")
    for place, tokens in batches(context, cases, -(-planned // each)):
        test.add(place, tokens)
        if test.draws >= min(MOST_DRAWS, MOST_REQUESTS * each) or (test.draws >= planned and test.decided):
            break
    return test.finding()
