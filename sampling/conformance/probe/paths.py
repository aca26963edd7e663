"""Penalties: answers as paths, in which each token is drawn from a case of its own, with what came before as its past."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from sampling.conformance.callables.cases import CASES
from sampling.conformance.callables.penalties import OWN
from sampling.conformance.checks import COMPARISONS
from sampling.conformance.comparison import Comparison
from sampling.conformance.endings import NotTestable
from sampling.conformance.fixtures import after_past
from sampling.conformance.oracle import Row, probabilities
from sampling.conformance.probe.context import AT_ONCE, ProbeContext
from sampling.conformance.probe.engine import Ask
from sampling.conformance.sampling_case import SamplingCase
from sampling.conformance.semantics import Semantics
from sampling.conformance.sequential_test import Alternative, SequentialTest, distinct
from sampling.conformance.verdict import Finding, Verdict

LEAST = 8  # tokens of a path
BEHIND = 24  # tokens of a path behind a past of the length that its case has
ROUNDS = 24
SAME = 1e-9


@dataclass(frozen=True)
class Place:
    """A place in a path.

    Args:
        case: What its token was drawn from, on the row's own tokens and one that stands for all others, which none can be.
        token: Which it was.
        beside: What the request's other choices had sampled before.
    """

    case: SamplingCase
    token: int
    beside: tuple[int, ...] = ()


def paths(context: ProbeContext, case: SamplingCase) -> list[Place]:
    """Walk some paths under a case's parameters, from its prompt, as long at least as its past."""
    state = context.state_of(case)
    own = context.probe.states[state].tokens
    logits = np.append(context.probe.logits[state][[*own]], np.float32(-np.inf))
    place_of = {token: place for place, token in enumerate(own)}
    prompt = case.prompt_ids or (0,)
    length = max(LEAST, len(case.output_ids) + BEHIND if len(case.output_ids) >= LEAST else 0)
    count = 1 if context.together > 1 else AT_ONCE
    asks = [
        Ask(tuple(own[token] for token in prompt), case.params, length, context.together, seed)
        for seed in context.seeds(count)
    ]
    start = SamplingCase(logits, case.params, prompt)
    found: list[Place] = []
    for choices in context.ask_all(asks):
        told = [[place_of.get(token, len(own)) for token in choice] for choice in choices]
        for number, choice in enumerate(told):
            others = told[:number] + told[number + 1 :]
            for at, token in enumerate(choice):
                beside = tuple(token for other in others for token in other[:at])
                found.append(Place(replace(start, output_ids=tuple(choice[:at])), token, beside))
                if token == len(own):
                    break  # what comes behind it is said by another state
    return found


def along_paths(context: ProbeContext, comparison: Comparison, cases: Sequence[SamplingCase]) -> Finding:
    """Walk paths until they say which hypothesis the target has."""
    name, own = next(iter(comparison.null.items()))
    others = comparison.others(comparison.finer)
    rows: dict[str, list[Row]] = {name: [], **{words: [] for words in others}}
    drawn: list[int] = []
    test = SequentialTest({name: []}, [])
    for _ in range(ROUNDS):
        for place in (place for case in cases for place in paths(context, case)):
            drawn.append(place.token)
            for words, semantics in {name: own, **others}.items():
                rows[words].append(probabilities(place.case, semantics))
        null = {name: rows[name]}
        named = [Alternative(words, comparison.verdict(words), rows[words]) for words in others]
        test = SequentialTest(null, distinct(null, named, SAME))
        test.add(np.arange(len(drawn)), np.array(drawn))
        if test.decided:
            break
    return test.finding()


def compared(name: str, context: ProbeContext) -> Finding:
    """Compare the hypotheses of a check on paths."""
    comparison = COMPARISONS[name].comparison(context.semantics)
    cases = [case for groups in CASES[name].values() for case in groups]
    several = [case for case in cases if len(case.params) > 1]
    left = [
        case
        for case in cases
        if case not in several or len(context.acting([*case.params])) == len(case.params)
    ]
    if not left:
        context.need_acting(*cases[0].params)
    return along_paths(context, comparison, left)


def per_choice(context: ProbeContext) -> Finding:
    """Tokens that the other choices of a request have sampled, under a penalty of 2."""
    name = [*context.having(["presence_penalty", "repetition_penalty"]), "presence_penalty"][0]
    context.need_acting(name)
    if context.together == 1:
        raise NotTestable("one request gives one choice, or n choices that are all the same")
    places = paths(context, SamplingCase(after_past().logits, {name: 2.0}))
    alone = [probabilities(place.case, context.semantics) for place in places]
    every = [together(place, context.semantics) for place in places]
    words = "the tokens of all choices count"
    test = SequentialTest({OWN: alone}, [Alternative(words, Verdict.DEVIATES, every)])
    test.add(np.arange(len(places)), np.array([place.token for place in places]))
    return test.finding()


def together(place: Place, semantics: Semantics) -> Row:
    """Return what is drawn from where the tokens of all choices count."""
    return probabilities(replace(place.case, output_ids=(*place.case.output_ids, *place.beside)), semantics)


RUNS = {
    **{name: partial(compared, name) for name in CASES if name.startswith("penalties.")},
    "penalties.per-choice": per_choice,
}
