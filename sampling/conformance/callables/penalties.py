"""What callables show of penalties besides: that each choice has its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cache
from typing import Any

import numpy as np

from sampling.conformance.callable_test import FIRST, NAMING
from sampling.conformance.check_context import CheckContext
from sampling.conformance.combine_findings import combine_findings
from sampling.conformance.endings import CouldNotRun, NotTestable
from sampling.conformance.fixtures import RANKED, spaced
from sampling.conformance.oracle import Row
from sampling.conformance.sampling_case import SamplingCase
from sampling.conformance.sequential_test import Alternative, SequentialTest, planned_draws
from sampling.conformance.token_names import TokenNames
from sampling.conformance.verdict import Finding, Verdict

REQUESTS = 50  # of four choices each
OWN = "its own tokens alone count"


def per_choice(context: CheckContext) -> Finding:
    """Two histories asked in turn, and the choices of one request where the target gives them."""
    name = [*context.having(["presence_penalty", "repetition_penalty"]), "presence_penalty"][0]
    context.need_acting(name)  # of one that does nothing the other choices' tokens cannot count either
    params = {name: 2.0}
    findings = [("histories in turn", in_turn(context, params))]
    with suppress(NotTestable):
        findings.append(("choices of one request", of_choices(context, params)))
    return combine_findings(findings)


def in_turn(context: CheckContext, params: Mapping[str, Any]) -> Finding:
    """Ask about two histories, one call after the other."""
    logits, histories = spaced(offset=3.0), (RANKED[0:1], RANKED[1:2])
    cases = [SamplingCase(logits, params, output_ids=history) for history in histories]
    both = context.expected(SamplingCase(logits, params, output_ids=RANKED[0:2]))
    own = [context.expected(case) for case in cases]
    other = Alternative("the other request's tokens count, too", Verdict.DEVIATES, [both] * 2)
    count = max(planned_draws(own, [other]), FIRST)
    test = SequentialTest({OWN: own}, [other], planned=count * len(cases))

    def ask(count: int) -> None:
        for _ in range(count):
            for place, case in enumerate(cases):
                test.add(place, context.singly(case))

    ask(count)
    if test.failed:
        ask(min(NAMING, context.most_draws) - count)
    return test.finding()


def of_choices(context: CheckContext, params: Mapping[str, Any]) -> Finding:
    """Two tokens of each of four choices: the second knows the first of its own choice, and no other's."""
    logits = spaced(offset=3.0)
    names = TokenNames.learnt(context, len(logits))
    asked = SamplingCase(logits, {**params, "n": 4, "max_tokens": 2, "logprobs": True})
    own, every, drawn = list[Row](), list[Row](), list[int]()

    @cache
    def after(output: tuple[int, ...]) -> Row:
        return context.expected(SamplingCase(logits, params, output_ids=output))

    for _ in range(REQUESTS):
        pairs = [names.sampled(choice) for choice in context.choices(asked)]
        if any(len(pair) != 2 for pair in pairs):
            raise CouldNotRun(f"max_tokens 2 gives {[len(pair) for pair in pairs]} tokens")
        firsts = tuple(first for first, _ in pairs)
        for first, second in pairs:
            own.append(after((first,)))
            every.append(after(firsts))
            drawn.append(second)
    test = SequentialTest(
        {OWN: own}, [Alternative("the tokens of all choices count", Verdict.DEVIATES, every)]
    )
    test.add(np.arange(len(drawn)), np.array(drawn))
    return test.finding()


RUNS: Mapping[str, Callable[[CheckContext], Finding]] = {"penalties.per-choice": per_choice}
