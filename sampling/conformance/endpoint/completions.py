"""Penalties without biases: tokens of completions, judged by the log probabilities that are listed at their positions.

What was sampled before a position is known from the answer, and so is, where an endpoint lists the model's own values, what the
model says there. Each position at which a token that was sampled before is listed is then a draw under the penalty.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import cycle
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sampling.conformance.checks import COMPARISONS
from sampling.conformance.combine_findings import combine_findings
from sampling.conformance.comparison import Comparison, ignored
from sampling.conformance.endings import NotTestable
from sampling.conformance.endpoint.acting import require_effect
from sampling.conformance.endpoint.contexts import context_of, entries_of
from sampling.conformance.endpoint.distribution import ground
from sampling.conformance.endpoint.endpoint_context import EndpointContext, choices_of
from sampling.conformance.endpoint.endpoint_test import decide as decide_by_cases
from sampling.conformance.endpoint.natural import Natural
from sampling.conformance.endpoint.profile import LISTED
from sampling.conformance.endpoint.prompts import Messages, asking
from sampling.conformance.endpoint.reply import Choice, Position, values_of
from sampling.conformance.semantics import Semantics
from sampling.conformance.sequential_test import Alternative, SequentialTest
from sampling.conformance.verdict import Finding, Verdict

LENGTH = 24  # tokens of a completion
MOST_REQUESTS = 40
LEAST_SHARE = 0.05  # of tokens that were sampled before, at a position that is looked at
SLIGHT = 0.05  # a penalty that shows in values, and seldom changes what is likeliest
CLOSE = 5e-3  # nats
Row = NDArray[np.float64]
STORIES: tuple[Messages, ...] = (
    asking("Repeat the letter A."),
    asking("Write a short poem."),
    asking("Count to twenty."),
)
"""Contexts in whose answers tokens come again."""


@dataclass(frozen=True)
class Moment:
    """A position of a completion.

    Args:
        asked: What the model says there, under which parameters.
        place: Which token came.
        own: Places of the tokens that were sampled before; those that are not listed play no part.
        all_choices: The same of all choices of the request.
    """

    asked: Natural
    place: int
    own: tuple[int, ...]
    all_choices: tuple[int, ...]


RowOf = Callable[[Moment], Row]


def told(choice: Choice) -> list[Position]:
    """Return the positions of a choice, if their tokens are the message's.

    Raises:
        NotTestable: They are not.
    """
    positions = choice.positions
    if not "".join(position.token for position in positions).startswith(choice.text):
        raise NotTestable("the tokens of the entries are not those of the message")
    return positions


def moments(context: EndpointContext, messages: Messages, params: Mapping[str, Any]) -> Iterator[Moment]:
    """Yield the positions of one request's choices at which a token that was sampled before is listed."""
    n = context.profile.per_request()
    fields = {"max_tokens": LENGTH, "logprobs": True, "top_logprobs": LISTED, **params, **context.seeds()}
    rows = [told(choice) for choice in choices_of(context.ask(messages, n=n, **fields), n).choices]
    for row in rows:
        for number, position in enumerate(row):
            known_there = context_of(messages, entries_of(position), listed=True)
            known = [known_there.texts[place] for place in known_there.told]

            def places(tokens: Sequence[str], texts: tuple[str, ...] = known_there.texts) -> tuple[int, ...]:
                return tuple(texts.index(token) for token in tokens if token in texts)

            before = places([entry.token for entry in row[:number]])
            beside = places([entry.token for other in rows for entry in other[:number]])
            if sum(np.exp(known_there.values[place]) for place in {*before, *beside}) >= LEAST_SHARE:
                place = known.index(position.token) if position.token in known else len(known)
                yield Moment(Natural(known_there, params, output_ids=before), place, before, beside)


def require_raw(context: EndpointContext) -> None:
    """Go on only where the listed values have no penalties in them.

    Raises:
        NotTestable: They have, or it cannot be told.
    """
    shift = value_shift(context)
    if abs(shift) > CLOSE:
        raise NotTestable(
            "log probabilities are listed after penalties, so that draws cannot be judged by them"
        )


def value_shift(context: EndpointContext) -> float:
    """By how much a presence penalty of 0.05 moves the listed values of tokens that were sampled, against those of others.

    Raises:
        NotTestable: No such tokens are listed.
    """
    fields = {"max_tokens": LENGTH, "logprobs": True, "top_logprobs": LISTED, **context.profile.greedy()}
    for messages in STORIES:
        plain, penal = (
            told(context.ask(messages, **fields, presence_penalty=value).choices[0]) for value in (0, SLIGHT)
        )
        before: set[str] = set()
        for one, other in zip(plain, penal, strict=False):
            first, second = values_of(one), values_of(other)
            gaps = {text: second[text] - first[text] for text in first if text in second}
            inside = [gap for text, gap in gaps.items() if text in before]
            outside = [gap for text, gap in gaps.items() if text not in before]
            if inside and outside:
                return float(np.median(inside) - np.median(outside))
            if one.token != other.token:
                break
            before.add(one.token)
    raise NotTestable("no token that was sampled before is listed again")


def decide(context: EndpointContext, turns: Sequence[Mapping[str, Any]], comparison: Comparison) -> Finding:
    """Sample completions, under parameters in turns, until one side is excluded.

    Raises:
        CheckEnded: The endpoint does not list the model's own values.
    """

    def row_of(semantics: Semantics) -> RowOf:
        return lambda moment: moment.asked.row(semantics)

    require_raw(context)
    null = {name: row_of(semantics) for name, semantics in comparison.null.items()}
    others = {name: row_of(semantics) for name, semantics in comparison.alternatives.items()}
    return weighed(context, turns, null, others, comparison.verdict)


def weighed(
    context: EndpointContext,
    turns: Sequence[Mapping[str, Any]],
    null: Mapping[str, RowOf],
    others: Mapping[str, RowOf],
    verdict: Callable[[str], Verdict],
) -> Finding:
    """Weigh hypotheses by one request after another, until one side is excluded; each moment is a case of its own."""
    rows = {name: list[Row]() for name in (*null, *others)}
    drawn: list[int] = []
    test: SequentialTest | None = None
    for number, params in zip(range(MOST_REQUESTS), cycle(turns), strict=False):
        for moment in moments(context, STORIES[number % len(STORIES)], params):
            drawn.append(moment.place)
            for name, row_of in {**null, **others}.items():
                rows[name].append(row_of(moment))
        if drawn:
            alternatives = [Alternative(name, verdict(name), rows[name]) for name in others]
            test = SequentialTest({name: rows[name] for name in null}, alternatives)
            test.add(np.arange(len(drawn)), np.array(drawn))
            if test.decided:
                break
    if test is None:
        raise NotTestable("no token that was sampled before is listed again")
    return test.finding()


def frequency_counts(context: EndpointContext) -> list[tuple[str, Finding]]:
    """Tokens that were sampled once and more often, under a frequency and under a presence penalty."""
    own = context.semantics
    once, times = "once for all", "times the count"
    reward = {"a reward": own.but(penalty_factor=-1.0)}
    frequency = Comparison(
        null={times: own},
        alternatives={
            once: own.but(frequency_multiplies=False),
            **ignored(own, "frequency_penalty"),
            **reward,
        },
    )
    presence = Comparison(
        null={once: own},
        alternatives={times: own.but(presence_multiplies=True), **ignored(own, "presence_penalty"), **reward},
    )
    return [
        ("frequency penalty", decide(context, [{"frequency_penalty": v} for v in (-1.5, 1.0)], frequency)),
        ("presence penalty", decide(context, [{"presence_penalty": v} for v in (-1.5, 1.5)], presence)),
    ]


def presence_scope(context: EndpointContext) -> Finding:
    """Ask for a presence penalty of 2 after a prompt of three of a context's tokens, once it is known to act."""
    own, params = context.semantics, {"presence_penalty": 2.0}
    lowered = Comparison(null={"lowered": own}, alternatives=ignored(own, "presence_penalty"))
    acts = decide(context, [params], lowered)
    if acts.verdict is not Verdict.CONFORMS:
        return acts
    comparison = COMPARISONS["penalties.presence-scope"].comparison(own)
    drawn = decide_by_cases(context, [in_prompt(context, params)], comparison)
    return combine_findings([("a token that was sampled", acts), ("the prompt", drawn)])


def in_prompt(context: EndpointContext, params: Mapping[str, Any]) -> Natural:
    """Return a question whose prompt contains three of its likeliest tokens as messages of their own.

    Raises:
        NotTestable: Those tokens are not likely there.
    """
    first = context.profile.contexts()[0]
    plain = [text for text in (first.texts[place] for place in first.told) if text.strip() == text][:6:2]
    messages = (*(message for text in plain for message in asking(text)), *first.messages)
    position = context.profile.position_in(messages)
    found = None if position is None else context_of(messages, entries_of(position), listed=True)
    if found is None or not found.breadth:
        raise NotTestable("no context in which some likely tokens are in the prompt and others are not")
    here = tuple(place for place, text in enumerate(found.texts) if text in plain)
    return Natural(found, params, here)


def penalty_order(context: EndpointContext) -> Finding:
    """Tokens that were sampled, under a presence penalty of 2 at a temperature of 0.5."""
    own = context.semantics
    require_effect(context, ground(context), "temperature")
    side = "after" if own.precedes("presence_penalty", "temperature") else "before"
    comparison = Comparison(
        null={"the dialect's order": own},
        alternatives={
            f"penalty {side} temperature": own.moving("presence_penalty", **{side: "temperature"}),
            **ignored(own, "presence_penalty"),
        },
    )
    return decide(context, [{"presence_penalty": 2.0, "temperature": 0.5}], comparison)


def per_choice(context: EndpointContext) -> Finding:
    """Tokens that other choices of the request have sampled, under a presence penalty of 2."""
    require_raw(context)
    if context.profile.per_request() == 1:
        raise NotTestable("one request gives one choice, or n choices that are all the same")

    def known(past: Callable[[Moment], tuple[int, ...]]) -> RowOf:
        return lambda moment: replace(moment.asked, output_ids=past(moment)).row(context.semantics)

    null = {"own tokens only": known(lambda moment: moment.own)}
    others = {"the tokens of all choices": known(lambda moment: moment.all_choices)}
    return weighed(context, [{"presence_penalty": 2.0}], null, others, lambda _: Verdict.DEVIATES)
