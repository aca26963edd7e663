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

from sampling.conformance.combine_findings import combine_findings
from sampling.conformance.contest import IGNORED, shown
from sampling.conformance.endings import NotTestable
from sampling.conformance.endpoint import completions
from sampling.conformance.endpoint.acting import require_effect
from sampling.conformance.endpoint.biased_case import BiasedCase, EndpointTest, decide, slope
from sampling.conformance.endpoint.distribution import ground, has
from sampling.conformance.endpoint.endpoint_context import EndpointContext, Run, choices_of, reply_of
from sampling.conformance.endpoint.profile import TokenSupport
from sampling.conformance.endpoint.thresholds import counted, shift
from sampling.conformance.verdict import FALSE_ALARM, Finding, Verdict, certain
from sampling.core.history import OUTPUT, PROMPT_AND_OUTPUT

FEW = 3  # tokens of the fence: few, so that runs of the same one come up
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
CLOSE = 0.3  # how far a measured shift may be from a reading's: thresholds are found within 0.1

Cell = tuple[int, int]  # how often a token came again, of how many times it could

Sequences = list[list[int]]


@dataclass
class Shifts:
    """Readings of how far a penalty shifts a token's log odds, and what pairs of samples say about each.

    Args:
        right: Shifts under which the check is passed, by name.
        wrong: The others.
    """

    right: Mapping[str, float]
    wrong: Mapping[str, float]
    logs: dict[str, float] = field(default_factory=dict[str, float])

    def add(self, without: Cell, penalised: Cell) -> None:
        """Take in how often a token came again, without the penalty and with it."""
        (a, of_a), (b, of_b) = without, penalised
        if not of_a or not of_b or not 0 < a + b < of_a + of_b:
            return
        for name, by in {**self.right, **self.wrong}.items():
            law: Any = stats.nchypergeom_fisher  # scipy's types do not know that it is discrete
            log = float(law.logpmf(b, of_a + of_b, a + b, of_b, math.exp(by)))
            self.logs[name] = self.logs.get(name, 0.0) + log

    def e_value(self, name: str) -> float:
        """Return the evidence against a reading: the mean of the others' likelihood ratios."""
        own = self.logs.get(name, 0.0)
        others = [value - own for other, value in self.logs.items() if other != name]
        return (
            math.exp(min(float(np.logaddexp.reduce(others)) - math.log(len(others)), 690.0))
            if others
            else 1.0
        )

    def rejected(self, names: Sequence[str]) -> bool:
        """Whether there is enough against every one of some readings."""
        return all(self.e_value(name) >= 1 / FALSE_ALARM for name in names)

    @property
    def decided(self) -> bool:
        """Whether one side is excluded."""
        return self.rejected([*self.right]) or self.rejected([*self.wrong])


def few(lab: EndpointContext) -> TokenSupport:
    """Return a fence of a few tokens."""
    return lab.survey.fence().first(FEW)


def sequences(lab: EndpointContext, fence: TokenSupport, length: int, n: int, **params: Any) -> Sequences:
    """Completions of some tokens each, as places in the fence."""
    fields = BiasedCase(fence, np.zeros(len(fence.tokens)), params).fields
    reply = choices_of(lab.ask(fence.messages, n=n, max_tokens=length, **fields, **lab.seeds()), n)
    return [fence.split(choice.text, length) for choice in reply.choices]


def again(found: Sequences, run: int) -> dict[int, Cell]:
    """By token: how often it came again after a run of itself at the beginning, of how many such runs."""
    cells: dict[int, list[int]] = defaultdict(lambda: [0, 0])
    for tokens in found:
        if len(tokens) > run and len(set(tokens[:run])) == 1:
            cells[tokens[0]][0] += tokens[run] == tokens[0]
            cells[tokens[0]][1] += 1
    return {token: (hits, of) for token, (hits, of) in cells.items()}


def compared(
    lab: EndpointContext,
    shifts: Shifts,
    run: int,
    penalty: Mapping[str, Any],
    both: Mapping[str, Any] | None = None,
) -> Finding:
    """Sample with and without a penalty until one side is excluded.

    Args:
        lab: The lab.
        shifts: The readings.
        run: After how many equal tokens to look.
        penalty: The parameters with the penalty.
        both: Parameters of all requests.
    """
    fence, n, drawn = few(lab), lab.survey.per_request(), 0
    rounds = ROUNDS if n > 1 else 4 * ROUNDS
    for done in range(1, rounds + 1):
        size = n if n > 1 else 8
        without, under = (
            batch(lab, fence, run + 1, size, {**(both or {}), **params}) for params in ({}, penalty)
        )
        drawn += len(without) + len(under)
        one, other = again(without, run), again(under, run)
        for token in one.keys() & other.keys():
            shifts.add(one[token], other[token])
        if (shifts.decided and done >= LEAST_ROUNDS) or (not shifts.logs and done >= VAIN_ROUNDS):
            break
    return concluded(shifts, drawn)


def batch(
    lab: EndpointContext, fence: TokenSupport, length: int, size: int, params: Mapping[str, Any]
) -> Sequences:
    """So many completions, in as many requests as it takes."""
    n = lab.survey.per_request()
    found = [sequences(lab, fence, length, n, **params) for _ in range(max(1, size // n))]
    return [tokens for part in found for tokens in part]


def concluded(shifts: Shifts, drawn: int) -> Finding:
    """Find what the samples say."""
    if not shifts.logs:
        raise NotTestable("no token of the fence comes twice in a row in the model's context")
    e_values = {name: shifts.e_value(name) for name in shifts.logs}
    fit = max(shifts.logs, key=shifts.logs.__getitem__)
    detects = "each named reading, as soon as its e-value or that of all others is 1e6"
    told = ", ".join(f"{name!r} {shown(value)}" for name, value in e_values.items())
    verdict, words = Verdict.INCONCLUSIVE, "the samples do not decide"
    if shifts.rejected([*shifts.right]):
        verdict = Verdict.IGNORED if fit == IGNORED else Verdict.DEVIATES
        words = f"fits {fit!r}"
    elif shifts.rejected([*shifts.wrong]):
        verdict, words = Verdict.CONFORMS, f"fits {fit!r}"
    return Finding(verdict, f"{words}; e-values against: {told}", drawn, detects, e_values=e_values)


def scope(lab: EndpointContext, name: str, counts: str, prompt_counts: bool) -> Finding:
    """Put tokens of the fence into the prompt and see whether a penalty finds them there."""
    own = has(lab, name)
    readings = {
        "sampled tokens only": replace(own, **{counts: OUTPUT}),
        "the prompt, too": replace(own, **{counts: PROMPT_AND_OUTPUT}),
    }
    mine, other = [*readings][::-1] if prompt_counts else [*readings]
    asked = in_prompt(lab, name)
    drawn = decide(lab, EndpointTest([asked], {mine: readings[mine]}, {other: readings[other]}))
    if drawn.verdict is not Verdict.CONFORMS or not asked.fence.told:
        return drawn
    at_end = lowered_at_end(lab, asked)
    if at_end == prompt_counts:
        return drawn
    words = (
        f"at the prompt's end, in a request without a seed, a token {'is' if at_end else 'is not'} lowered"
    )
    return replace(
        drawn, verdict=Verdict.DEVIATES, evidence=f"{words}, though draws fit {mine!r}", false_alarm=0.0
    )


def lowered_at_end(lab: EndpointContext, drawn: BiasedCase) -> bool:
    """Whether a penalty finds a token at the end of the prompt, when the most likely one is asked for without a seed.

    Engines that keep prompts may show the penalties of a seeded request the rest alone; others count the last few tokens.

    Raises:
        NotTestable: There the token cannot be told, or the most likely one is none of the fence.
    """
    token = drawn.fence.tokens[drawn.in_prompt[0]]
    message = {"role": "user", "content": token.text}
    context = lab.survey.fence_in((*lab.survey.fence().messages, message))
    place = context.index(token.text)
    if place is None:
        raise NotTestable(f"{token.text!r} is not listed behind itself")
    logits = np.zeros(len(context.tokens))
    logits[place] = AHEAD
    asked = BiasedCase(context, logits, drawn.params, (place,))
    reply = lab.ask(context.messages, **{**asked.fields, **lab.survey.greedy()})
    found = context.index(reply.choices[0].text)
    if found is None:
        raise NotTestable("the most likely token is none of the fence (see bias.force)")
    return found != place


def fenced(lab: EndpointContext) -> bool:
    """Whether biases fence tokens; otherwise penalties are looked at in completions as they are."""
    try:
        lab.survey.fence()
    except NotTestable:
        return False
    return True


def in_prompt(lab: EndpointContext, name: str) -> BiasedCase:
    """Return a question under a penalty whose prompt contains tokens that are drawn as often as is best to see them penalised.

    Raises:
        NotTestable: No such context is found.
    """
    context, here = with_prompt(lab)
    count = len(context.tokens)
    logits = slope(count, 0.05)
    logits[[*here]] += math.log(ODDS[name] * (count - len(here)) / len(here))
    return BiasedCase(context, logits, {name: IN_PROMPT[name]}, here)


def with_prompt(lab: EndpointContext) -> tuple[TokenSupport, tuple[int, ...]]:
    """Return a fence whose prompt contains some of its tokens, and which.

    Raises:
        NotTestable: No such context is found.
    """
    fence = lab.survey.fence()
    inside = single_tokens(lab, fence)
    context = lab.survey.fence_in((*(said(fence, place) for place in inside), *fence.messages))
    texts = {fence.tokens[place].text for place in inside}
    here = tuple(place for place, token in enumerate(context.tokens) if token.text in texts)
    if not here or len(here) == len(context.tokens):
        raise NotTestable("no context in which some tokens of the fence are in the prompt and others are not")
    return context, here


def said(fence: TokenSupport, place: int) -> Mapping[str, str]:
    """Return a message of one token."""
    return {"role": "user", "content": fence.tokens[place].text}


def single_tokens(lab: EndpointContext, fence: TokenSupport) -> list[int]:
    """Three tokens whose texts, as messages, are the shortest prompts there are: one token each."""
    lengths: dict[int, int] = {}
    places = range(min(6, len(fence.tokens)))
    replies = lab.survey.ask_all([((said(fence, place),), {}) for place in places])
    for place, reply in zip(places, replies, strict=True):
        usage = reply_of(reply).counts
        if usage is None:
            raise NotTestable("no `usage` by which to know that a text is one token of the prompt")
        lengths[place] = usage.prompt_tokens
    shortest = [place for place, length in lengths.items() if length == min(lengths.values())]
    return shortest[::2][:3] or shortest


def presence_scope(lab: EndpointContext) -> Finding:
    """Ask for a token that was sampled, under presence penalties; then one of 2 after a prompt with three of the fence.

    The first shows a penalty without effect, the second what it counts.
    """
    if not fenced(lab):
        return completions.presence_scope(lab)
    has(lab, "presence_penalty")
    acts = shifted(lab, "presence_penalty", {"lowered": (1.0,)}, {IGNORED: (0.0,)})
    if acts.verdict is not Verdict.CONFORMS:
        return acts
    counts = scope(lab, "presence_penalty", "presence_counts", lab.semantics.presence_counts.prompt)
    return combine_findings([("a token that was sampled", acts), ("the prompt", counts)])


def repetition_scope(lab: EndpointContext) -> Finding:
    """Ask for a sampled token under penalties of 1.05 and 1.1; then one of 1.05 after a prompt with three of the fence.

    The first shows a penalty without effect, the second what it counts. The logits' level is not known, but biases lifted it
    to about 65: a penalty of 1.05 takes about 3 off.
    """
    own = has(lab, "repetition_penalty")
    if [*own.stages].index("repetition_penalty") < [*own.stages].index("logit_bias"):
        raise NotTestable(
            "the penalty comes before the bias in this dialect, and the logits' level is not known there"
        )
    acts = repetition_acts(lab)
    if acts.verdict is not Verdict.CONFORMS:
        return acts
    counts = scope(lab, "repetition_penalty", "repetition_scope", own.repetition_scope.prompt)
    return combine_findings([("a token that was sampled", acts), ("the prompt", counts)])


def repetition_acts(lab: EndpointContext) -> Finding:
    """Whether a repetition penalty lowers a token that was sampled, by how much soever."""
    try:
        told = shift(lab, "repetition_penalty", *REPETITION)
    except NotTestable:
        return compared(lab, Shifts(LOWERED, {IGNORED: 0.0}), 1, {"repetition_penalty": 2.0})
    words = "a penalty of {1} shifts it {2:.2f} further than one of {0}".format(*REPETITION, told)
    if told >= CLOSE:
        return certain(Verdict.CONFORMS, words, detects=MEASURED)
    verdict = Verdict.IGNORED if told > -CLOSE else Verdict.DEVIATES
    return certain(verdict, f"{words}: fits {IGNORED if told > -CLOSE else 'a reward'!r}", detects=MEASURED)


REPETITION = (1.05, 1.1)
MEASURED = f"shifts, not draws: any difference above {CLOSE} shows"

Runs = Mapping[
    str, tuple[float, ...]
]  # by reading, by how often the token came before, what a penalty of 1 more takes off


def shifted(lab: EndpointContext, name: str, right: Runs, wrong: Runs, **both: float) -> Finding:
    """Compare how far a penalty of 2 shifts a token further than one of 1 with readings; by draws where it cannot be seen.

    Args:
        lab: The lab.
        name: Of the penalty.
        right: Readings under which the check is passed.
        wrong: The others.
        both: Parameters of all requests.
    """
    try:
        told = [shift(lab, name, 1.0, 2.0, **both)]
    except NotTestable:
        told = []
    return by_shifts(lab, name, told, right, wrong, **both)


def by_shifts(
    lab: EndpointContext, name: str, told: Sequence[float], right: Runs, wrong: Runs, **both: float
) -> Finding:
    """Find the same from what was measured, by run; by draws where that is too little."""
    runs = len(next(iter(right.values())))
    if len(told) < runs:
        by_runs = ({reading: -2 * values[-1] for reading, values in some.items()} for some in (right, wrong))
        return compared(lab, Shifts(*by_runs), runs, {name: 2.0}, both)
    fits = [
        reading
        for reading, values in {**right, **wrong}.items()
        if all(abs(value - seen) <= CLOSE for value, seen in zip(values, told, strict=False))
    ]
    words = f"a penalty of 2 shifts it {' and '.join(f'{seen:.2f}' for seen in told[:runs])} further than one of 1"
    if not fits:
        return certain(Verdict.DEVIATES, f"no named reading fits: {words}", detects=MEASURED)
    passed = any(reading in right for reading in fits)
    verdict = Verdict.CONFORMS if passed else Verdict.IGNORED if IGNORED in fits else Verdict.DEVIATES
    return certain(verdict, f"fits {' or '.join(map(repr, fits))}: {words}", detects=MEASURED)


ONCE, TIMES = {"once, whatever the count": (1.0, 1.0)}, {"times the count": (1.0, 2.0)}
NEITHER = {"times its square": (1.0, 4.0), IGNORED: (0.0, 0.0), "a reward": (-1.0, -2.0)}


def frequency_counts(lab: EndpointContext) -> Finding:
    """Ask for a token that was sampled once and twice, under frequency penalties; then under presence penalties.

    What the former add for the second time tells where the latter would be seen to add something.
    """
    has(lab, "frequency_penalty")
    has(lab, "presence_penalty")
    if not fenced(lab):
        return combine_findings(completions.frequency_counts(lab))
    try:
        told = counted(lab)
    except NotTestable:
        told = ([], [])
    frequency = by_shifts(lab, "frequency_penalty", told[0], TIMES, {**ONCE, **NEITHER})
    presence = by_shifts(lab, "presence_penalty", told[1], ONCE, {**TIMES, **NEITHER})
    return combine_findings([("frequency penalty", frequency), ("presence penalty", presence)])


def penalty_order(lab: EndpointContext) -> Finding:
    """Ask for a token that was sampled, under presence penalties at a temperature of 0.5.

    What makes up for the penalty is a bias, which the temperature divides likewise if it comes before it.
    """
    if not fenced(lab):
        return completions.penalty_order(lab)
    t = 0.5
    require_effect(lab, ground(lab), "temperature")
    own = [*lab.semantics.stages]
    first = {
        name: name in own and own.index(name) < own.index("temperature")
        for name in ("presence_penalty", "logit_bias")
    }
    early, late = {"penalty before temperature": (1.0,)}, {"penalty after temperature": (t,)}
    if not first["logit_bias"]:
        early, late = {"penalty before temperature": (1 / t,)}, {"penalty after temperature": (1.0,)}
    right, wrong = (early, late) if first["presence_penalty"] else (late, early)
    return shifted(lab, "presence_penalty", right, {**wrong, IGNORED: (0.0,)}, temperature=t)


def per_choice(lab: EndpointContext) -> Finding:
    """Ask for a second token like the first, where other choices of the request have sampled the other tokens."""
    if not fenced(lab):
        return completions.per_choice(lab)
    if lab.survey.per_request() == 1:
        raise NotTestable("one request gives one choice, or n choices that are all the same")
    p = 2.0
    shifts = Shifts({"own tokens only": -p}, {"the tokens of all choices": 0.0})
    return compared(lab, shifts, 1, {"presence_penalty": p})


RUNS: dict[str, Run] = {
    "penalties.presence-scope": presence_scope,
    "penalties.frequency-counts": frequency_counts,
    "penalties.repetition-scope": repetition_scope,
    "penalties.temperature-order": penalty_order,
    "penalties.per-choice": per_choice,
}
