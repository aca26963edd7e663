"""Checks of the penalties.

What an endpoint has sampled can only be seen within one completion, so tokens are looked at that follow one or two others,
and the model's own log probabilities behind those are not known. They need not be: a penalty on the token that was sampled
multiplies the odds of its coming again by the same factor whatever they were, and given how often it came in all, the number
of times that it came under the penalty has Fisher's noncentral hypergeometric law, which only that factor decides.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from scipy import stats

from sampling.conformance.checks import COMPARISONS
from sampling.conformance.combine_findings import combine_findings
from sampling.conformance.comparison import require_stages
from sampling.conformance.endings import NotTestable
from sampling.conformance.endpoint import completions
from sampling.conformance.endpoint.acting import require_effect
from sampling.conformance.endpoint.biased_case import BiasedCase, Row, slope
from sampling.conformance.endpoint.distribution import ground
from sampling.conformance.endpoint.endpoint_context import EndpointContext, Run, choices_of, reply_of
from sampling.conformance.endpoint.endpoint_test import decide
from sampling.conformance.endpoint.profile import TokenSupport
from sampling.conformance.endpoint.thresholds import counted, shift
from sampling.conformance.sequential_test import NONE_FITS, Alternative, SequentialTest
from sampling.conformance.verdict import Finding, Verdict, certain

FEW = 3  # tokens of the support: few, so that runs of the same one come up
ROUNDS = 150  # pairs of requests after which a check gives up
LEAST_ROUNDS = 6
VAIN_ROUNDS = 40  # without one pair that tells anything, as where a penalty lets no token come twice
# What a repetition penalty of 2, the largest that all engines take, may take off a logit whose level is not known: biases
# lifted it to about 65.
LOWERED = {f"lowered by about {shift}": -float(shift) for shift in (3, 10, 30)}

# Penalties on what the prompt contains, and the odds of a token that it contains, before a penalty that turns them around.
IN_PROMPT = {"presence_penalty": 2.0, "repetition_penalty": 1.05}
ODDS = {"presence_penalty": math.exp(1), "repetition_penalty": math.exp(1.6)}
AHEAD = 1.0  # nats by which a token at the prompt's end is above the others: less than a penalty takes off
CLOSE = 0.3  # how far a measured shift may be from a hypothesis's: thresholds are found within 0.1

IGNORED = "ignored"

Cell = tuple[int, int]  # how often a token came again, of how many times it could

Sequences = list[list[int]]


@dataclass
class Shifts:
    """Hypotheses of how far a penalty shifts a token's log odds, and what pairs of samples say about each.

    Args:
        null: Shifts under which the check is passed, by name.
        alternatives: The others.
    """

    null: Mapping[str, float]
    alternatives: Mapping[str, float]
    rows: dict[str, list[Row]] = field(init=False)
    drawn: list[int] = field(init=False, default_factory=list[int])

    def __post_init__(self) -> None:
        """Begin with no pair."""
        self.rows = {name: list[Row]() for name in (*self.null, *self.alternatives)}

    def add(self, without: Cell, penalised: Cell) -> None:
        """Take in how often a token came again, without the penalty and with it: one draw from Fisher's law."""
        (a, of_a), (b, of_b) = without, penalised
        if not of_a or not of_b or not 0 < a + b < of_a + of_b:
            return
        law: Any = stats.nchypergeom_fisher  # scipy's types do not know that it is discrete
        least = max(0, a + b - of_a)
        times = np.arange(least, min(a + b, of_b) + 1)
        for name, by in {**self.null, **self.alternatives}.items():
            self.rows[name].append(law.pmf(times, of_a + of_b, a + b, of_b, math.exp(by)))
        self.drawn.append(b - least)

    def test(self) -> SequentialTest:
        """Return the test of all pairs so far."""
        verdicts = {
            name: Verdict.IGNORED if name == IGNORED else Verdict.DEVIATES for name in self.alternatives
        }
        others = [Alternative(name, verdict, self.rows[name]) for name, verdict in verdicts.items()]
        test = SequentialTest({name: self.rows[name] for name in self.null}, others)
        test.add(np.arange(len(self.drawn)), np.array(self.drawn))
        return test


def few(context: EndpointContext) -> TokenSupport:
    """Return a support of a few tokens."""
    return context.profile.support().first(FEW)


def sequences(
    context: EndpointContext, support: TokenSupport, length: int, n: int, **params: Any
) -> Sequences:
    """Completions of some tokens each, as places in the support."""
    fields = BiasedCase(support, np.zeros(len(support.tokens)), params).fields
    reply = choices_of(context.ask(support.messages, n=n, max_tokens=length, **fields, **context.seeds()), n)
    return [support.split(choice.text, length) for choice in reply.choices]


def again(found: Sequences, run: int) -> dict[int, Cell]:
    """By token: how often it came again after a run of itself at the beginning, of how many such runs."""
    cells: dict[int, list[int]] = defaultdict(lambda: [0, 0])
    for tokens in found:
        if len(tokens) > run and len(set(tokens[:run])) == 1:
            cells[tokens[0]][0] += tokens[run] == tokens[0]
            cells[tokens[0]][1] += 1
    return {token: (hits, of) for token, (hits, of) in cells.items()}


def compared(
    context: EndpointContext,
    shifts: Shifts,
    run: int,
    penalty: Mapping[str, Any],
    both: Mapping[str, Any] | None = None,
) -> Finding:
    """Sample with and without a penalty until one side is excluded."""
    support, n, drawn = few(context), context.profile.per_request(), 0
    rounds = ROUNDS if n > 1 else 4 * ROUNDS
    for done in range(1, rounds + 1):
        size = n if n > 1 else 8
        without, under = (
            batch(context, support, run + 1, size, {**(both or {}), **params}) for params in ({}, penalty)
        )
        drawn += len(without) + len(under)
        one, other = again(without, run), again(under, run)
        for token in one.keys() & other.keys():
            shifts.add(one[token], other[token])
        if (done >= VAIN_ROUNDS and not shifts.drawn) or (done >= LEAST_ROUNDS and settled(shifts)):
            break
    if not shifts.drawn:
        raise NotTestable("no token of the support comes twice in a row in the model's context")
    return replace(shifts.test().finding(), draws=drawn)


def settled(shifts: Shifts) -> bool:
    """Whether pairs of samples exclude one side."""
    return bool(shifts.drawn) and shifts.test().decided


def batch(
    context: EndpointContext, support: TokenSupport, length: int, size: int, params: Mapping[str, Any]
) -> Sequences:
    """So many completions, in as many requests as it takes."""
    n = context.profile.per_request()
    found = [sequences(context, support, length, n, **params) for _ in range(max(1, size // n))]
    return [tokens for part in found for tokens in part]


def scope(context: EndpointContext, check: str, name: str) -> Finding:
    """Put tokens of the support into the prompt and see whether a penalty finds them there."""
    comparison = COMPARISONS[check].comparison(context.semantics)
    case = in_prompt(context, name)
    drawn = decide(context, [case], comparison)
    if drawn.verdict is not Verdict.CONFORMS or not case.support.told:
        return drawn
    counts = comparison.own.presence_counts if name == "presence_penalty" else comparison.own.repetition_scope
    at_end = lowered_at_end(context, case)
    if at_end == counts.prompt:
        return drawn
    where = "at the prompt's end, in a request without a seed, a token"
    words = f"{where} {'is' if at_end else 'is not'} lowered, though draws fit the dialect's scope"
    return replace(drawn, verdict=Verdict.DEVIATES, evidence=words, false_alarm=0.0)


def lowered_at_end(context: EndpointContext, drawn: BiasedCase) -> bool:
    """Whether a penalty finds a token at the end of the prompt, when the most likely one is asked for without a seed.

    Engines that keep prompts may show the penalties of a seeded request the rest alone; others count the last few tokens.

    Raises:
        NotTestable: There the token cannot be told, or the most likely one is none of the support.
    """
    token = drawn.support.tokens[drawn.in_prompt[0]]
    message = {"role": "user", "content": token.text}
    support = context.profile.support_in((*context.profile.support().messages, message))
    place = support.index(token.text)
    if place is None:
        raise NotTestable(f"{token.text!r} is not listed behind itself")
    logits = np.zeros(len(support.tokens))
    logits[place] = AHEAD
    case = BiasedCase(support, logits, drawn.params, (place,))
    reply = context.ask(support.messages, **{**case.fields, **context.profile.greedy()})
    found = support.index(reply.choices[0].text)
    if found is None:
        raise NotTestable("the most likely token is none of the biased ones (see bias.force)")
    return found != place


def supported(context: EndpointContext) -> bool:
    """Whether biases keep other tokens out; otherwise penalties are looked at in completions as they are."""
    try:
        context.profile.support()
    except NotTestable:
        return False
    return True


def in_prompt(context: EndpointContext, name: str) -> BiasedCase:
    """Return a case under a penalty whose prompt contains tokens that are drawn as often as is best to see them penalised.

    Raises:
        NotTestable: No such context is found.
    """
    support, here = with_prompt(context)
    count = len(support.tokens)
    logits = slope(count, 0.05)
    logits[[*here]] += math.log(ODDS[name] * (count - len(here)) / len(here))
    return BiasedCase(support, logits, {name: IN_PROMPT[name]}, here)


def with_prompt(context: EndpointContext) -> tuple[TokenSupport, tuple[int, ...]]:
    """Return a support whose prompt contains some of its tokens, and which.

    Raises:
        NotTestable: No such context is found.
    """
    plain = context.profile.support()
    inside = single_tokens(context, plain)
    support = context.profile.support_in((*(said(plain, place) for place in inside), *plain.messages))
    texts = {plain.tokens[place].text for place in inside}
    here = tuple(place for place, token in enumerate(support.tokens) if token.text in texts)
    if not here or len(here) == len(support.tokens):
        raise NotTestable("no context in which some tokens are in the prompt and others are not")
    return support, here


def said(support: TokenSupport, place: int) -> Mapping[str, str]:
    """Return a message of one token."""
    return {"role": "user", "content": support.tokens[place].text}


def single_tokens(context: EndpointContext, support: TokenSupport) -> list[int]:
    """Three tokens whose texts, as messages, are the shortest prompts there are: one token each."""
    lengths: dict[int, int] = {}
    places = range(min(6, len(support.tokens)))
    replies = context.profile.ask_all([((said(support, place),), {}) for place in places])
    for place, reply in zip(places, replies, strict=True):
        usage = reply_of(reply).counts
        if usage is None:
            raise NotTestable("no `usage` by which to know that a text is one token of the prompt")
        lengths[place] = usage.prompt_tokens
    shortest = [place for place, length in lengths.items() if length == min(lengths.values())]
    return shortest[::2][:3] or shortest


def presence_scope(context: EndpointContext) -> Finding:
    """Ask for a token that was sampled, under presence penalties; then one of 2 after a prompt with three of the support.

    The first shows a penalty without effect, the second what it counts.
    """
    if not supported(context):
        return completions.presence_scope(context)
    require_stages(context.semantics, ["presence_penalty"])
    acts = shifted(context, "presence_penalty", {"lowered": (1.0,)}, {IGNORED: (0.0,)})
    if acts.verdict is not Verdict.CONFORMS:
        return acts
    counts = scope(context, "penalties.presence-scope", "presence_penalty")
    return combine_findings([("a token that was sampled", acts), ("the prompt", counts)])


def repetition_scope(context: EndpointContext) -> Finding:
    """Ask for a sampled token under penalties of 1.05 and 1.1; then one of 1.05 after a prompt with three of the support.

    The first shows a penalty without effect, the second what it counts. The logits' level is not known, but biases lifted it
    to about 65: a penalty of 1.05 takes about 3 off.
    """
    require_stages(context.semantics, ["repetition_penalty"])
    if context.semantics.precedes("repetition_penalty", "logit_bias"):
        raise NotTestable(
            "the penalty comes before the bias in this dialect, and the logits' level is not known there"
        )
    acts = repetition_acts(context)
    if acts.verdict is not Verdict.CONFORMS:
        return acts
    counts = scope(context, "penalties.repetition-scope", "repetition_penalty")
    return combine_findings([("a token that was sampled", acts), ("the prompt", counts)])


def repetition_acts(context: EndpointContext) -> Finding:
    """Whether a repetition penalty lowers a token that was sampled, by how much soever."""
    try:
        told = shift(context, "repetition_penalty", *REPETITION)
    except NotTestable:
        return compared(context, Shifts(LOWERED, {IGNORED: 0.0}), 1, {"repetition_penalty": 2.0})
    words = "a penalty of {1} shifts it {2:.2f} further than one of {0}".format(*REPETITION, told)
    if told >= CLOSE:
        return certain(Verdict.CONFORMS, words, detects=MEASURED)
    verdict = Verdict.IGNORED if told > -CLOSE else Verdict.DEVIATES
    return certain(verdict, f"{words}: fits {IGNORED if told > -CLOSE else 'a reward'!r}", detects=MEASURED)


REPETITION = (1.05, 1.1)
MEASURED = f"shifts, not draws: any difference above {CLOSE} shows"

Runs = Mapping[
    str, tuple[float, ...]
]  # by hypothesis, by how often the token came before, what a penalty of 1 more takes off


def shifted(context: EndpointContext, name: str, null: Runs, alternatives: Runs, **both: float) -> Finding:
    """Compare how far a penalty of 2 shifts a token further than one of 1 with hypotheses; by draws where it cannot be seen."""
    try:
        told = [shift(context, name, 1.0, 2.0, **both)]
    except NotTestable:
        told = []
    return by_shifts(context, name, told, null, alternatives, **both)


def by_shifts(
    context: EndpointContext, name: str, told: Sequence[float], null: Runs, alternatives: Runs, **both: float
) -> Finding:
    """Find the same from what was measured, by run; by draws where that is too little."""
    runs = len(next(iter(null.values())))
    if len(told) < runs:
        by_runs = (
            {words: -2 * values[-1] for words, values in some.items()} for some in (null, alternatives)
        )
        return compared(context, Shifts(*by_runs), runs, {name: 2.0}, both)
    fits = [
        words
        for words, values in {**null, **alternatives}.items()
        if all(abs(value - seen) <= CLOSE for value, seen in zip(values, told, strict=False))
    ]
    words = f"a penalty of 2 shifts it {' and '.join(f'{seen:.2f}' for seen in told[:runs])} further than one of 1"
    if not fits:
        return certain(Verdict.DEVIATES, f"{NONE_FITS}: {words}", detects=MEASURED)
    passed = any(name in null for name in fits)
    verdict = Verdict.CONFORMS if passed else Verdict.IGNORED if IGNORED in fits else Verdict.DEVIATES
    return certain(verdict, f"fits {' or '.join(map(repr, fits))}: {words}", detects=MEASURED)


ONCE, TIMES = {"once, whatever the count": (1.0, 1.0)}, {"times the count": (1.0, 2.0)}
NEITHER = {"times its square": (1.0, 4.0), IGNORED: (0.0, 0.0), "a reward": (-1.0, -2.0)}


def frequency_counts(context: EndpointContext) -> Finding:
    """Ask for a token that was sampled once and twice, under frequency penalties; then under presence penalties.

    What the former add for the second time tells where the latter would be seen to add something.
    """
    require_stages(context.semantics, ["frequency_penalty", "presence_penalty"])
    if not supported(context):
        return combine_findings(completions.frequency_counts(context))
    try:
        told = counted(context)
    except NotTestable:
        told = ([], [])
    frequency = by_shifts(context, "frequency_penalty", told[0], TIMES, {**ONCE, **NEITHER})
    presence = by_shifts(context, "presence_penalty", told[1], ONCE, {**TIMES, **NEITHER})
    return combine_findings([("frequency penalty", frequency), ("presence penalty", presence)])


def penalty_order(context: EndpointContext) -> Finding:
    """Ask for a token that was sampled, under presence penalties at a temperature of 0.5.

    What makes up for the penalty is a bias, which the temperature divides likewise if it comes before it.
    """
    if not supported(context):
        return completions.penalty_order(context)
    t = 0.5
    require_effect(context, ground(context), "temperature")
    own = context.semantics
    first = {
        name: name in own.stages and own.precedes(name, "temperature")
        for name in ("presence_penalty", "logit_bias")
    }
    early, late = {"penalty before temperature": (1.0,)}, {"penalty after temperature": (t,)}
    if not first["logit_bias"]:
        early, late = {"penalty before temperature": (1 / t,)}, {"penalty after temperature": (1.0,)}
    right, wrong = (early, late) if first["presence_penalty"] else (late, early)
    return shifted(context, "presence_penalty", right, {**wrong, IGNORED: (0.0,)}, temperature=t)


def per_choice(context: EndpointContext) -> Finding:
    """Ask for a second token like the first, where other choices of the request have sampled the other tokens."""
    if not supported(context):
        return completions.per_choice(context)
    if context.profile.per_request() == 1:
        raise NotTestable("one request gives one choice, or n choices that are all the same")
    p = 2.0
    shifts = Shifts({"own tokens only": -p}, {"the tokens of all choices": 0.0})
    return compared(context, shifts, 1, {"presence_penalty": p})


RUNS: dict[str, Run] = {
    "penalties.presence-scope": presence_scope,
    "penalties.frequency-counts": frequency_counts,
    "penalties.repetition-scope": repetition_scope,
    "penalties.temperature-order": penalty_order,
    "penalties.per-choice": per_choice,
}
