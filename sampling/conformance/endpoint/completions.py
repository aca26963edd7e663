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

from sampling.conformance.combine_findings import combine_findings
from sampling.conformance.contest import IGNORED, HypothesisTest
from sampling.conformance.endings import NotTestable
from sampling.conformance.endpoint.acting import require_effect
from sampling.conformance.endpoint.biased_case import EndpointTest
from sampling.conformance.endpoint.biased_case import decide as drawn_out
from sampling.conformance.endpoint.contexts import context_of, entries_of
from sampling.conformance.endpoint.distribution import ground
from sampling.conformance.endpoint.endpoint_context import EndpointContext, choices_of
from sampling.conformance.endpoint.natural import Natural
from sampling.conformance.endpoint.profile import LISTED
from sampling.conformance.endpoint.prompts import Messages, asking
from sampling.conformance.endpoint.reply import Choice, Position, values_of
from sampling.conformance.hypotheses import Readings
from sampling.conformance.semantics import moved
from sampling.conformance.verdict import Finding, Verdict
from sampling.core.history import OUTPUT, PROMPT_AND_OUTPUT

LENGTH = 24  # tokens of a completion
MOST_REQUESTS = 40
LOOK = 16  # draws between two looks at the evidence
LEAST_SHARE = 0.05  # of tokens that were sampled before, at a position that is looked at
SLIGHT = 0.05  # a penalty that shows in values, and seldom changes what is likeliest
CLOSE = 5e-3  # nats
DETECTS = "each named reading, once its e-value or that of all others is 1e6"
Rows = dict[str, NDArray[np.float64]]
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


def told(choice: Choice) -> list[Position]:
    """Return the positions of a choice, if their tokens are the message's.

    Raises:
        NotTestable: They are not.
    """
    positions = choice.positions
    if not "".join(position.token for position in positions).startswith(choice.text):
        raise NotTestable("the tokens of the entries are not those of the message")
    return positions


def moments(lab: EndpointContext, messages: Messages, params: Mapping[str, Any]) -> Iterator[Moment]:
    """Yield the positions of one request's choices at which a token that was sampled before is listed."""
    n = lab.survey.per_request()
    fields = {"max_tokens": LENGTH, "logprobs": True, "top_logprobs": LISTED, **params, **lab.seeds()}
    rows = [told(choice) for choice in choices_of(lab.ask(messages, n=n, **fields), n).choices]
    for row in rows:
        for number, position in enumerate(row):
            context = context_of(messages, entries_of(position), listed=True)
            known = [context.texts[place] for place in context.told]

            def places(tokens: Sequence[str], texts: tuple[str, ...] = context.texts) -> tuple[int, ...]:
                return tuple(texts.index(token) for token in tokens if token in texts)

            before = places([entry.token for entry in row[:number]])
            beside = places([entry.token for other in rows for entry in other[:number]])
            if sum(np.exp(context.values[place]) for place in {*before, *beside}) >= LEAST_SHARE:
                place = known.index(position.token) if position.token in known else len(known)
                yield Moment(Natural(context, params, output_ids=before), place, before, beside)


def require_raw(lab: EndpointContext) -> None:
    """Go on only where the listed values have no penalties in them.

    Raises:
        NotTestable: They have, or it cannot be told.
    """
    shift = value_shift(lab)
    if abs(shift) > CLOSE:
        raise NotTestable(
            "log probabilities are listed after penalties, so that draws cannot be judged by them"
        )


def value_shift(lab: EndpointContext) -> float:
    """By how much a presence penalty of 0.05 moves the listed values of tokens that were sampled, against those of others.

    Raises:
        NotTestable: No such tokens are listed.
    """
    fields = {"max_tokens": LENGTH, "logprobs": True, "top_logprobs": LISTED, **lab.survey.greedy()}
    for messages in STORIES:
        plain, penal = (
            told(lab.ask(messages, **fields, presence_penalty=value).choices[0]) for value in (0, SLIGHT)
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


def decide(
    lab: EndpointContext, turns: Sequence[Mapping[str, Any]], right: Readings, wrong: Readings
) -> Finding:
    """Sample completions, under parameters in turns, until the right readings, the dialect's own first, or the wrong are out.

    Raises:
        CheckEnded: The endpoint does not list the model's own values.
    """
    require_raw(lab)
    readings = {**right, **wrong}

    def rows(moment: Moment) -> Rows:
        return {name: moment.asked.row(reading) for name, reading in readings.items()}

    return weighed(lab, turns, HypothesisTest([*right], [*wrong]), rows)


def weighed(
    lab: EndpointContext,
    turns: Sequence[Mapping[str, Any]],
    standing: HypothesisTest,
    rows: Callable[[Moment], Rows],
) -> Finding:
    """Weigh readings by one request after another, under parameters in turns, until one side is excluded.

    At a moment each of them draws from what `rows` tells.
    """
    drawn = 0
    for number, params in zip(range(MOST_REQUESTS), cycle(turns), strict=False):
        for moment in moments(lab, STORIES[number % len(STORIES)], params):
            standing.seen.add(np.array([moment.place]), rows(moment))
            drawn += 1
            if drawn % LOOK == 0 and (standing.failed or standing.passed):
                return standing.finding(drawn, DETECTS)
    if not drawn:
        raise NotTestable("no token that was sampled before is listed again")
    return standing.finding(drawn, DETECTS)


def frequency_counts(lab: EndpointContext) -> list[tuple[str, Finding]]:
    """Tokens that were sampled once and more often, under a frequency and under a presence penalty."""
    own = lab.semantics
    reward = replace(own, penalty_factor=-1.0)
    frequency = decide(
        lab,
        [{"frequency_penalty": value} for value in (-1.5, 1.0)],
        {"times the count": own},
        {
            "once for all": replace(own, frequency_multiplies=False),
            IGNORED: replace(own, ignores=frozenset({"frequency_penalty"})),
            "a reward": reward,
        },
    )
    presence = decide(
        lab,
        [{"presence_penalty": value} for value in (-1.5, 1.5)],
        {"once for all": own},
        {
            "times the count": replace(own, presence_multiplies=True),
            IGNORED: replace(own, ignores=frozenset({"presence_penalty"})),
            "a reward": reward,
        },
    )
    return [("frequency penalty", frequency), ("presence penalty", presence)]


def presence_acts(lab: EndpointContext) -> Finding:
    """Tokens that were sampled, under a presence penalty of 2."""
    own = lab.semantics
    ignored = {IGNORED: replace(own, ignores=frozenset({"presence_penalty"}))}
    return decide(lab, [{"presence_penalty": 2.0}], {"lowered": own}, ignored)


def presence_scope(lab: EndpointContext) -> Finding:
    """Ask for a presence penalty of 2 after a prompt of three of a context's tokens, once it is known to act."""
    acts = presence_acts(lab)
    if acts.verdict is not Verdict.CONFORMS:
        return acts
    own = lab.semantics
    asked = in_prompt(lab, {"presence_penalty": 2.0})
    readings = {
        "sampled tokens only": replace(own, presence_counts=OUTPUT),
        "the prompt, too": replace(own, presence_counts=PROMPT_AND_OUTPUT),
    }
    mine, other = [*readings][::-1] if own.presence_counts.prompt else [*readings]
    contest = EndpointTest([asked], {mine: readings[mine]}, {other: readings[other]})
    return combine_findings([("a token that was sampled", acts), ("the prompt", drawn_out(lab, contest))])


def in_prompt(lab: EndpointContext, params: Mapping[str, Any]) -> Natural:
    """Return a question whose prompt contains three of its likeliest tokens as messages of their own.

    Raises:
        NotTestable: Those tokens are not likely there.
    """
    first = lab.survey.contexts()[0]
    plain = [text for text in (first.texts[place] for place in first.told) if text.strip() == text][:6:2]
    messages = (*(message for text in plain for message in asking(text)), *first.messages)
    position = lab.survey.position_in(messages)
    context = None if position is None else context_of(messages, entries_of(position), listed=True)
    if context is None or not context.breadth:
        raise NotTestable("no context in which some likely tokens are in the prompt and others are not")
    here = tuple(place for place, text in enumerate(context.texts) if text in plain)
    return Natural(context, params, here)


def penalty_order(lab: EndpointContext) -> Finding:
    """Tokens that were sampled, under a presence penalty of 2 at a temperature of 0.5."""
    own = lab.semantics
    require_effect(lab, ground(lab), "temperature")
    orders = {
        "penalty before temperature": moved(own.order, "presence_penalty", before="temperature"),
        "penalty after temperature": moved(own.order, "presence_penalty", after="temperature"),
    }
    stages = [*own.stages]
    early = stages.index("presence_penalty") < stages.index("temperature")
    mine, other = orders if early else [*orders][::-1]
    wrong = {
        other: replace(own, order=orders[other]),
        IGNORED: replace(own, ignores=frozenset({"presence_penalty"})),
    }
    params = {"presence_penalty": 2.0, "temperature": 0.5}
    return decide(lab, [params], {mine: replace(own, order=orders[mine])}, wrong)


def per_choice(lab: EndpointContext) -> Finding:
    """Tokens that other choices of the request have sampled, under a presence penalty of 2."""
    require_raw(lab)
    if lab.survey.per_request() == 1:
        raise NotTestable("one request gives one choice, or n choices that are all the same")
    own, other = "own tokens only", "the tokens of all choices"

    def rows(moment: Moment) -> Rows:
        pasts = {own: moment.own, other: moment.all_choices}
        return {
            name: replace(moment.asked, output_ids=past).row(lab.semantics) for name, past in pasts.items()
        }

    return weighed(lab, [{"presence_penalty": 2.0}], HypothesisTest([own], [other]), rows)
