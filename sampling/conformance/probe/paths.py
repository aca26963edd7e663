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
from sampling.conformance.probe.engine import Ask, Choices
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
    """Walk some paths under a case's parameters."""
    state = context.state_of(case)
    own = context.probe.states[state].tokens
    logits = np.append(context.probe.logits[state][[*own]], np.float32(-np.inf))
    count = 1 if context.together > 1 else AT_ONCE
    starts = [start for start in beginnings(case) for _ in range(count)]
    asks = [
        Ask(tuple(own[token] for token in prompt), case.params, length, context.together, seed)
        for (prompt, length), seed in zip(starts, context.seeds(len(starts)), strict=True)
    ]
    found: list[Place] = []
    for (prompt, _), choices in zip(starts, context.ask_all(asks), strict=True):
        found += places(SamplingCase(logits, case.params, prompt), choices, own)
    return found


def beginnings(case: SamplingCase) -> list[tuple[tuple[int, ...], int]]:
    """Return prompts, and how many tokens are walked behind each.

    A long past of a case is one time the prompt's end, and one time as many sampled tokens are waited for.
    """
    prompt = case.prompt_ids or (0,)
    if len(case.output_ids) < LEAST:
        return [(prompt, LEAST)]
    return [((*prompt, *case.output_ids), LEAST), (prompt, len(case.output_ids) + BEHIND)]


def places(start: SamplingCase, choices: Choices, own: Sequence[int]) -> list[Place]:
    """Return the places in the choices of a request, by places among a row's own tokens."""
    place_of = {token: place for place, token in enumerate(own)}
    told = [[place_of.get(token, len(own)) for token in choice] for choice in choices]
    found: list[Place] = []
    for number, choice in enumerate(told):
        others = told[:number] + told[number + 1 :]
        for at, token in enumerate(choice):
            beside = tuple(token for other in others for token in other[:at])
            found.append(Place(replace(start, output_ids=tuple(choice[:at])), token, beside))
            if token == len(own):
                break  # what comes behind it is said by another state
    return found


class PathTest:
    """The test of places in paths, of which each has a case of its own; Pearson's test looks at the first walk's.

    Args:
        comparison: The hypotheses.
    """

    def __init__(self, comparison: Comparison) -> None:
        self._verdict = comparison.verdict
        self._semantics = {**comparison.null, **comparison.others(comparison.finer)}
        self._null = next(iter(comparison.null))
        self._rows: dict[str, list[Row]] = {name: [] for name in self._semantics}
        self._drawn: list[int] = []
        self._walks: list[int] = []

    def add(self, places: Sequence[Place]) -> None:
        """Take a walk's places in."""
        self._walks.append(len(places))
        self._drawn += [place.token for place in places]
        for name, semantics in self._semantics.items():
            self._rows[name] += [probabilities(place.case, semantics) for place in places]

    @property
    def result(self) -> SequentialTest:
        """The test of all walks so far, of which there has to be one."""
        null = {self._null: self._rows[self._null]}
        named = [
            Alternative(name, self._verdict(name), self._rows[name])
            for name in self._rows
            if name not in null
        ]
        test = SequentialTest(null, distinct(null, named, SAME), planned=self._walks[0])
        test.add(np.arange(len(self._drawn)), np.array(self._drawn))
        return test


def along_paths(context: ProbeContext, comparison: Comparison, cases: Sequence[SamplingCase]) -> Finding:
    """Walk paths until they say which hypothesis the target has."""
    test = PathTest(comparison)
    for _ in range(ROUNDS):
        test.add([place for case in cases for place in paths(context, case)])
        if test.result.decided:
            break
    return test.result.finding()


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
    walked: list[Place] = []
    for _ in range(ROUNDS):
        walked += paths(context, SamplingCase(after_past().logits, {name: 2.0}))
        if sharing(walked, context.semantics).decided:
            break
    return sharing(walked, context.semantics).finding()


def sharing(walked: Sequence[Place], semantics: Semantics) -> SequentialTest:
    """Return the test of whether the tokens of all choices count."""
    alone = [probabilities(place.case, semantics) for place in walked]
    every = [together(place, semantics) for place in walked]
    words = "the tokens of all choices count"
    test = SequentialTest({OWN: alone}, [Alternative(words, Verdict.DEVIATES, every)])
    test.add(np.arange(len(walked)), np.array([place.token for place in walked]))
    return test


def together(place: Place, semantics: Semantics) -> Row:
    """Return what is drawn from where the tokens of all choices count."""
    return probabilities(replace(place.case, output_ids=(*place.case.output_ids, *place.beside)), semantics)


RUNS = {
    **{name: partial(compared, name) for name in CASES if name.startswith("penalties.")},
    "penalties.per-choice": per_choice,
}
