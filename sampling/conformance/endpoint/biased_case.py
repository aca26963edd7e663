"""Questions with a handful of tokens, put to an endpoint: biases fence the support and set what the logits are.

The model's own log probabilities l and the biases b are the question, so that every reading of the parameters, of the place of
the bias among them too, says what should come.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count, islice
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from sampling.conformance.contest import ANYTHING, SAME, HypothesisTest
from sampling.conformance.distributions import alike
from sampling.conformance.endings import CheckEnded, NotTestable
from sampling.conformance.endpoint.endpoint_context import EndpointContext, choices_of, reply_of
from sampling.conformance.endpoint.profile import TokenSupport
from sampling.conformance.endpoint.prompts import Messages
from sampling.conformance.endpoint.reply import Choice, Reply
from sampling.conformance.oracle import probabilities
from sampling.conformance.sampling_case import SamplingCase
from sampling.conformance.semantics import Semantics
from sampling.conformance.statistics.pearson import Pearson, pearson
from sampling.conformance.statistics.planning import draws_by_likelihood
from sampling.conformance.statistics.universal import anything
from sampling.conformance.verdict import FALSE_ALARM, SHARE, Finding
from sampling.core.errors import shown

Row = NDArray[np.float64]

HEIGHT = 65.0  # how far fenced logits lie above log probabilities
ALWAYS = "always the arg max"
SPACING = 0.4  # between the fenced logits
MOST_DRAWS = 4096  # for one check
# Requests of a check: where n choices come with each, many draws cost little, and deviations without a name show, too.
LEAST_REQUESTS, LEAST_ALONE, MOST_REQUESTS = 32, 12, 400
MARGIN = 1.3  # draws are planned for the mean of many runs


class Asked(Protocol):
    """A question to an endpoint: what is sent, which token came, and what a reading draws from."""

    @property
    def messages(self) -> Messages:
        """The context."""
        ...

    @property
    def fields(self) -> dict[str, Any]:
        """The request's other fields."""
        ...

    @property
    def tokens(self) -> int:
        """How many tokens can be told apart; a place behind theirs stands for all others."""
        ...

    def place(self, choice: Choice) -> int | None:
        """Which token came; None for one that cannot be drawn."""
        ...

    def row(self, reading: Semantics) -> Row:
        """Return what a reading draws from, by place."""
        ...


@dataclass(frozen=True)
class BiasedCase:
    """A question to an endpoint whose biases keep all but a few tokens out.

    Args:
        fence: The tokens.
        logits: What the model's log probabilities and the biases add up to, float64 [K].
        params: Other parameters.
        in_prompt: Which of the tokens the prompt contains.
    """

    fence: TokenSupport
    logits: Row
    params: Mapping[str, Any] = field(default_factory=dict[str, Any])
    in_prompt: tuple[int, ...] = ()

    @property
    def messages(self) -> Messages:
        """The context."""
        return self.fence.messages

    @property
    def tokens(self) -> int:
        """How many tokens there are."""
        return len(self.fence.tokens)

    @property
    def biases(self) -> list[float]:
        """What is added to the log probabilities."""
        tokens = zip(self.fence.tokens, self.logits, strict=True)
        return [round(HEIGHT + float(wanted) - token.logprob, 3) for token, wanted in tokens]

    @property
    def question(self) -> SamplingCase:
        """The question as the readings see it: ids count in the fence."""
        own = np.array([token.logprob for token in self.fence.tokens], dtype=np.float32)
        return SamplingCase(own, {**self.params, "logit_bias": dict(enumerate(self.biases))}, self.in_prompt)

    @property
    def fields(self) -> dict[str, Any]:
        """The request's fields."""
        pairs = zip(self.fence.tokens, self.biases, strict=True)
        return {**self.params, "logit_bias": {str(token.id): bias for token, bias in pairs}}

    def place(self, choice: Choice) -> int | None:
        """Which token a message is; None if it is none of them."""
        return self.fence.index(choice.text)

    def row(self, reading: Semantics) -> Row:
        """Return what a reading draws from, float64 [K]."""
        return probabilities(self.question, reading)


def slope(count: int, spacing: float = SPACING) -> Row:
    """Logits that fall by the same step."""
    return -spacing * np.arange(count, dtype=np.float64)


def draws(lab: EndpointContext, asked: Asked, count: int = 1) -> NDArray[np.int64]:
    """Draws of some requests, as places of the question's tokens.

    Raises:
        CheckEnded: A token from outside of the fence was drawn.
    """
    return np.concatenate([tokens for _, tokens in islice(batches(lab, [asked], count), count)])


def per_request(lab: EndpointContext, asked: Asked) -> int:
    """How many draws one request gives: n, but 1 at temperature 0 where the endpoint refuses more."""
    return lab.survey.per_request(asked.fields)


def request(lab: EndpointContext, asked: Asked, number: int) -> tuple[Messages, dict[str, Any]]:
    """Return a question's request of some number; its seed is fixed, whatever else is asked before."""
    return asked.messages, {
        "n": per_request(lab, asked),
        **asked.fields,
        **lab.seed_of(repr(asked), number),
    }


def drawn(lab: EndpointContext, asked: Asked, reply: Reply) -> NDArray[np.int64]:
    """Return the draws of one response.

    Raises:
        CheckEnded: A token from outside of the fence was drawn, or there are fewer choices than were asked for.
    """
    choices = choices_of(reply, per_request(lab, asked)).choices
    found = [asked.place(choice) for choice in choices]
    for choice, place in zip(choices, found, strict=True):
        if place is None:
            words = f"{shown(choice.text)} was sampled though biases make it less likely than e^-20 (see bias.force)"
            raise CheckEnded(words)
    return np.array(found, dtype=np.int64)


class EndpointTest:
    """Readings of the parameters, and the draws from some questions.

    Args:
        questions: What is asked, in turns.
        right: Readings under which the check is passed, by name; the first is the dialect's own.
        wrong: The others; those that no draw can tell from a right one are left out.
    """

    def __init__(
        self, questions: Sequence[Asked], right: Mapping[str, Semantics], wrong: Mapping[str, Semantics]
    ) -> None:
        self.questions = questions
        own = right[next(iter(right))]
        readings = {**right, **wrong, ALWAYS: always(own)}.items()
        rows = {name: [asked.row(reading) for asked in questions] for name, reading in readings}
        wrongs = [
            name
            for name in (*wrong, ALWAYS)
            if not any(alike(rows[name], rows[other], SAME) for other in right)
        ]
        self.standing = HypothesisTest([*right], wrongs, [ANYTHING])
        self.expected = {name: rows[name] for name in (*right, *wrongs)}
        self.answers: list[tuple[int, NDArray[np.int64]]] = []
        self._counts = [np.zeros(len(row), dtype=np.int64) for row in self.expected[next(iter(right))]]

    @property
    def count(self) -> int:
        """How many draws there were."""
        return sum(len(tokens) for _, tokens in self.answers)

    def needed(self) -> int:
        """Draws after which each wrong reading is told from the dialect's own, whichever of them is served."""
        own, others = self.expected[self.standing.rights[0]], len(self.expected)
        each = [
            max(
                draws_by_likelihood(own, rows, false_alarm=SHARE / others),
                draws_by_likelihood(rows, own, false_alarm=FALSE_ALARM / others),
            )
            for rows in (self.expected[name] for name in self.standing.wrongs)
        ]
        return math.ceil(min(MARGIN * max(each) * len(self.questions), MOST_DRAWS))

    def add(self, which: int, tokens: NDArray[np.int64]) -> None:
        """Take in the draws from one question."""
        self.answers.append((which, tokens))
        with np.errstate(divide="ignore"):
            logs = {name: np.log(rows[which])[tokens] for name, rows in self.expected.items()}
        self.standing.seen.take({**logs, ANYTHING: anything(self._counts[which], tokens)})

    def finding(self, planned: int) -> Finding:
        """Find what the draws say.

        Args:
            planned: How many Pearson's test looks at.
        """
        shapes = self.shapes(planned)
        effects = [shape.effect for shape in shapes.values() if shape.degrees]
        detects = f"each named reading within about {max(self.needed(), planned)} draws"
        if effects:
            detects += f"; any other shape of a relative error of {max(effects):.2g} (root mean square)"
        return self.standing.finding(self.count, detects, shapes)

    def shapes(self, planned: int) -> dict[str, Pearson]:
        """Pearson's test of each reading, on the first requests whose draws are as many as planned.

        When the questions end depends on what was drawn; when this is looked at does not.
        """
        widths = [asked.tokens for asked in self.questions]
        counts = [np.zeros(width, dtype=np.int64) for width in widths]
        for which, tokens in self.answers:
            if sum(found.sum() for found in counts) < planned:
                counts[which] += np.bincount(tokens[tokens < widths[which]], minlength=widths[which])

        def told(name: str) -> list[Row]:
            return [row[:width] for row, width in zip(self.expected[name], widths, strict=True)]

        return {name: pearson(counts, told(name)) for name in self.expected}


def decide(lab: EndpointContext, contest: EndpointTest) -> Finding:
    """Draw until one side is excluded, and the planned number is reached where the check is passed.

    Args:
        lab: The lab.
        contest: The readings.

    Raises:
        CheckEnded: The endpoint does not answer as it has to.
    """
    if not contest.standing.wrongs:
        raise NotTestable("all readings give the same distribution in the model's context")
    each = max(per_request(lab, asked) for asked in contest.questions)
    planned, standing = LEAST_REQUESTS * each if each > 1 else LEAST_ALONE, contest.standing
    for which, tokens in batches(lab, contest.questions, -(-planned // each)):
        contest.add(which, tokens)
        decided = contest.count >= planned and (standing.passed or standing.failed)
        if decided or contest.count >= most_draws(each):
            break
    return contest.finding(planned)


def most_draws(per_request: int) -> int:
    """Draws after which a check gives up."""
    return min(MOST_DRAWS, MOST_REQUESTS * per_request)


def batches(
    lab: EndpointContext, questions: Sequence[Asked], needed: int = 0
) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """Draws from the questions in turns, without end; what another check has drawn from the same question comes first.

    Requests go out together, and their answers are taken in order: what is decided does not depend on how many at a time.

    Args:
        lab: The lab, which keeps the answers.
        questions: What is asked.
        needed: How many requests' draws will be taken at least, and perhaps no more.
    """
    pools = [lab.pools.setdefault(repr(asked), []) for asked in questions]
    for number in count():
        turn, which = divmod(number, len(questions))
        if turn == len(pools[which]):
            ahead = needed - number if needed > number else lab.client.parallel
            fill(lab, questions, number, min(ahead, lab.client.parallel))
        yield which, drawn(lab, questions[which], pools[which][turn])


def fill(lab: EndpointContext, questions: Sequence[Asked], number: int, most: int) -> None:
    """Ask what is not known of some requests, in turns.

    Args:
        lab: The lab, which keeps the answers.
        questions: What is asked.
        number: The first request's, counted through all questions.
        most: How many may be sent.

    Raises:
        CheckEnded: The first request has no response; where a later one has none, those before it are kept.
    """
    turns = [divmod(each, len(questions)) for each in range(number, number + most)]
    missing = [
        (turn, questions[which]) for turn, which in turns if turn >= len(lab.pools[repr(questions[which])])
    ]
    replies = lab.survey.ask_all([request(lab, asked, turn) for turn, asked in missing])
    reply_of(replies[0])
    for (_, asked), reply in zip(missing, replies, strict=True):
        if isinstance(reply, CheckEnded):
            break
        lab.pools[repr(asked)].append(reply)


def always(own: Semantics) -> Semantics:
    """Return the reading of a sampler that takes the most likely token, whatever the temperature."""
    return replace(own, greedy_below=math.inf, greedy_overrides=(), greedy_arg_max=True)
