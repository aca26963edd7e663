"""Which defaults of its own an endpoint has: what is drawn where a field is left out, against its value without effect.

Draws are compared with what is said of them: by the log probabilities that are listed beside each token of long messages, or by
those that biases make. Listed log probabilities may have the defaults in them; those of the same context are compared, too.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sampling.conformance.endings import CheckEnded, NotTestable
from sampling.conformance.endpoint.biased_case import BiasedCase, slope
from sampling.conformance.endpoint.endpoint_context import EndpointContext
from sampling.conformance.endpoint.manners import LISTED
from sampling.conformance.endpoint.prompts import LETTERS, asking
from sampling.conformance.endpoint.reply import Choice, Entry, Position, looks_like, values_of
from sampling.conformance.oracle import softmax
from sampling.conformance.verdict import FALSE_ALARM

Row = NDArray[np.float64]

POEM = asking("Write a short poem.")
LENGTH = 64  # tokens of a message
ENOUGH = 1000  # tokens, or draws, where nothing is looked for by itself
REQUESTS = 24  # after which there are enough in any case
ALIKE = 8  # messages after which a server always says the same
CHOICES = 8  # of one request, of long messages
CLOSE = 0.02  # nats by which log probabilities of two requests may differ
VOCABULARY = 2**18  # tokens at most
RATIO = 100  # values whose likelihood is at most so many times smaller than the likeliest one's fit, too
DOUBT = 0.01  # of neutral values in each hypothesis, so that no single token excludes one

# Defaults as close to neutral values as are met (llama.cpp's), for which there should be enough tokens.
CLOSEST: Mapping[str, float] = {"temperature": 0.8, "top_p": 0.95, "min_p": 0.05}
NOTICED = 2.33  # standard deviations between the expected evidence and what is enough: a power of 0.99

PENALTIES = ("frequency_penalty", "presence_penalty", "repetition_penalty")


@dataclass(frozen=True)
class Seen:
    """A token and what was likely in its place.

    Args:
        place: Which of the listed ones it is; None for another.
        listed: Their log probabilities, from large to small, float64 [K].
        before: Which of them came before in the message, bool [K].
    """

    place: int | None
    listed: Row
    before: NDArray[np.bool_]


@dataclass(frozen=True)
class Table:
    """Tokens beside which equally many are listed.

    Args:
        places: Which of the listed ones each is; -1 for another: int64 [N].
        listed: Log probabilities, from large to small, float64 [N, K].
        before: Which of them came before in the message, bool [N, K].
    """

    places: NDArray[np.int64]
    listed: Row
    before: NDArray[np.bool_]

    @cached_property
    def shares(self) -> Row:
        """Their probabilities, float64 [N, K]."""
        return np.exp(self.listed)

    @cached_property
    def rest(self) -> Row:
        """The probability of all others, float64 [N, 1]."""
        return left_of(self.shares)

    def of(self, shares: Row) -> Row:
        """Return what each token has of some shares, the others taking what is left of them: float64 [N]."""
        return with_rest(shares)[np.arange(len(shares)), self.places]

    def select(self, rows: NDArray[np.bool_]) -> Table:
        """Return some of the tokens."""
        return Table(self.places[rows], self.listed[rows], self.before[rows])


def tables(seen: Iterable[Seen]) -> list[Table]:
    """Return tokens together, by the length of their lists."""
    by_length: dict[int, list[Seen]] = {}
    for one in seen:
        by_length.setdefault(len(one.listed), []).append(one)
    return [
        Table(
            np.array([-1 if one.place is None else one.place for one in alike]),
            np.stack([one.listed for one in alike]),
            np.stack([one.before for one in alike]),
        )
        for alike in by_length.values()
    ]


def left_of(shares: Row) -> Row:
    """Return what others have beside some shares [N, K], float64 [N, 1]."""
    return np.maximum(1.0 - shares.sum(-1, keepdims=True), 0.0)


def with_rest(shares: Row) -> Row:
    """Return shares [N, K] and, behind them, what others have: float64 [N, K + 1]."""
    return np.concatenate([shares, left_of(shares)], axis=-1)


# What a hypothesis draws from, of the listed tokens [N, K]: no more than it does, so that ratios have an expectation of at
# most 1.
Hypothesis = Callable[[Table], Row]


def cooled(temperature: float) -> Hypothesis:
    """Return a temperature."""

    def hypothesis(seen: Table) -> Row:
        if temperature == 0:
            return np.zeros_like(seen.listed) + (np.arange(seen.listed.shape[1]) == 0)
        power = 1 / temperature
        least = seen.shares.min(-1, keepdims=True)
        others = (
            seen.rest**power * VOCABULARY ** (1 - power) if power < 1 else seen.rest * least ** (power - 1)
        )
        weights = np.exp(power * seen.listed)
        return weights / (weights.sum(-1, keepdims=True) + others)

    return hypothesis


def nucleus(top_p: float) -> Hypothesis:
    """Return a top_p."""

    def hypothesis(seen: Table) -> Row:
        shares, last = seen.shares, seen.shares[:, -1:]
        above = np.cumsum(shares, axis=-1) - shares
        kept = np.where(above < top_p, shares, 0.0)
        beyond = above[:, -1:] + last < top_p  # some that are not listed are kept, too
        return kept / np.where(beyond, np.minimum(1.0, top_p + last), kept.sum(-1, keepdims=True))

    return hypothesis


def first(top_k: int) -> Hypothesis:
    """Return a top_k, no larger than the list."""

    def hypothesis(seen: Table) -> Row:
        length = seen.listed.shape[1]
        if top_k > length:
            return seen.shares
        kept = np.where(np.arange(length) < top_k, seen.shares, 0.0)
        return kept / kept.sum(-1, keepdims=True)

    return hypothesis


def above_share(min_p: float) -> Hypothesis:
    """Return a min_p."""

    def hypothesis(seen: Table) -> Row:
        shares = seen.shares
        low = min_p * shares[:, :1]
        kept = np.where(shares >= low, shares, 0.0)
        return np.where(shares[:, -1:] >= low, shares, kept / kept.sum(-1, keepdims=True))

    return hypothesis


def lowered(by: float) -> Hypothesis:
    """Return a penalty on the tokens that came before."""

    def hypothesis(seen: Table) -> Row:
        weights = seen.shares * np.exp(-by * seen.before)
        return weights / (weights.sum(-1, keepdims=True) + seen.rest)

    return hypothesis


STEPS = tuple(round(0.05 * step, 2) for step in range(41))
# By field the hypotheses of its defaults; the penalties' shifts are no values of theirs.
HYPOTHESES: Mapping[str, Mapping[float, Hypothesis]] = {
    "temperature": {t: cooled(t) for t in STEPS if t != 1},
    "top_p": {p: nucleus(p) for p in (*STEPS[1:20], 0.98, 0.99)},
    "top_k": {k: first(k) for k in (*range(1, 11), 15, 19)},
    "min_p": {p: above_share(p) for p in (0.01, 0.02, 0.03, *STEPS[1:20])},
    "a penalty": {by: lowered(by) for by in (0.1, 0.2, 0.5, 1.0, 1.5, 2.0)},
}


def kind_of(name: str) -> str:
    """Under which hypotheses a field's defaults are looked for."""
    return "a penalty" if name in PENALTIES else name


def hypotheses_of(names: Iterable[str]) -> list[Hypothesis]:
    """Return the hypotheses of some fields' defaults."""
    return [
        hypothesis for kind in dict.fromkeys(map(kind_of, names)) for hypothesis in HYPOTHESES[kind].values()
    ]


def evidence(seen: Iterable[Seen], hypotheses: Collection[Hypothesis]) -> Row:
    """Return the logarithm of each hypothesis's likelihood ratio to neutral values, float64 [H]."""
    logs = np.zeros(len(hypotheses))
    for table in tables(seen):
        known = table.select(table.of(table.shares) > 0)
        neutral = known.of(known.shares)
        logs += [
            np.log((1 - DOUBT) * known.of(hypothesis(known)) / neutral + DOUBT).sum()
            for hypothesis in hypotheses
        ]
    return logs


@dataclass
class Power:
    """Whether defaults as close as `CLOSEST` would be noticed among the tokens so far.

    Args:
        names: The fields that are left out.
    """

    names: Sequence[str]
    means: dict[str, float] = field(default_factory=dict[str, float])
    variances: dict[str, float] = field(default_factory=dict[str, float])

    def take(self, seen: Iterable[Seen]) -> None:
        """Take tokens in."""
        for table in tables(seen):
            neutral = with_rest(table.shares)
            known = neutral > 0
            for name in self.sought:
                drawn = np.where(known, with_rest(HYPOTHESES[name][CLOSEST[name]](table)), 0.0)
                gain = np.log((1 - DOUBT) * drawn / np.where(known, neutral, 1.0) + DOUBT)
                means = (drawn * gain).sum(-1)
                variances = (drawn * gain**2).sum(-1) - means**2
                self.means[name] = self.means.get(name, 0.0) + float(means.sum())
                self.variances[name] = self.variances.get(name, 0.0) + float(variances.sum())

    @property
    def sought(self) -> list[str]:
        """The fields whose closest defaults are known."""
        return [name for name in self.names if name in CLOSEST]

    @property
    def found(self) -> list[str]:
        """Those of them whose closest defaults would be noticed."""
        least = -math.log(FALSE_ALARM) + math.log(sum(map(len, HYPOTHESES.values())))
        spread = {name: NOTICED * math.sqrt(max(value, 0.0)) for name, value in self.variances.items()}
        return [name for name in self.means if self.means[name] - spread[name] >= least]

    @property
    def words(self) -> str:
        """What would be noticed."""
        told = [f"a {name} of {CLOSEST[name]:g}" for name in self.found]
        return f", where {' or '.join(told)} would be" if told else ""


def noticed(logs: Row) -> bool:
    """Whether neutral values are excluded, by the mean of the others' likelihood ratios."""
    return float(np.logaddexp.reduce(logs)) - math.log(len(logs)) >= -math.log(FALSE_ALARM)


def defaults_of(context: EndpointContext) -> str:
    """Return what the endpoint does with fields that are left out, in words."""
    context.profile.plain()  # which fields are taken is known then
    names = [name for name in context.profile.manners.neutral if kind_of(name) in HYPOTHESES]
    if not names:
        return "whether defaults of its own are in force is not known: no field is taken with a value without effect"
    try:
        return told(context, names)
    except CheckEnded as end:
        return f"whether defaults of its own are in force is not known: {end}"


def told(context: EndpointContext, names: Sequence[str]) -> str:
    """Return the same, as far as there are draws to look at.

    Raises:
        CheckEnded: There are none.
    """
    everything = hypotheses_of(names)
    left, moved = looked(context, names), differing(context, names)
    looks = f"{len(left)} tokens drawn without {', '.join(names)}"
    if not noticed(evidence(left, everything)) and not moved:
        power = Power(names)
        power.take(left)
        return f"no default with an effect was noticed in {looks}{power.words}"
    if noticed(evidence(looked(context, ()), everything)):
        return "whether defaults of its own are in force is not known: draws do not follow what is listed in any case"
    found = [words for name in names if (words := default(context, name))]
    if not found:
        return f"some default is in force that is not neutral, and which is not known ({looks})"
    return f"defaults are in force where fields are left out: {', '.join(found)}; this run sent values without effect"


def default(context: EndpointContext, name: str) -> str:
    """Return a field's default, in words; nothing if none is noticed."""
    moved = differing(context, [name])
    if moved:
        return f"{name} ({moved})"
    hypotheses = HYPOTHESES[kind_of(name)]
    logs = evidence(looked(context, [name]), hypotheses.values())
    if not noticed(logs):
        return ""
    if name in PENALTIES:
        return name
    value = [*hypotheses][int(np.argmax(logs))]
    fitting = [one for one, log in zip(hypotheses, logs, strict=True) if log >= max(logs) - math.log(RATIO)]
    span = f" ({min(fitting):g} to {max(fitting):g} fit)" if len(fitting) > 1 else ""
    return (f"{name} of about {value:g}" if value else f"{name} of 0") + span


def differing(context: EndpointContext, names: Sequence[str]) -> str:
    """How listed log probabilities differ from those under values without effect; nothing if they do not."""
    asked = {"messages": [*LETTERS], "logprobs": True, "top_logprobs": LISTED}
    try:
        without, neutral = (
            values_of(context.profile.manners.ask(asked, without=left).choices[0].positions[0])
            for left in ((*names,), ())
        )
    except CheckEnded:
        return ""
    both = [text for text in neutral if text in without]
    if len(both) < 2:
        return f"log probabilities of {len(without)} tokens, and not of {len(neutral)}" if neutral else ""
    shares = [without[text] - without[both[0]] for text in both]
    own = [neutral[text] - neutral[both[0]] for text in both]
    if max(abs(a - b) for a, b in zip(shares, own, strict=True)) > CLOSE:
        slope_of = float(np.dot(shares, own) / np.dot(own, own))
        return (
            f"log probabilities as at a temperature of {1 / slope_of:.2g}"
            if slope_of > 0
            else "other log probabilities"
        )
    if len(without) < len(neutral):
        return f"log probabilities of {len(without)} tokens, and not of {len(neutral)}"
    return ""


def looked(context: EndpointContext, names: Sequence[str]) -> list[Seen]:
    """Tokens drawn without some fields.

    Raises:
        CheckEnded: Neither are log probabilities listed, nor do biases single tokens out.
    """
    return listed(context, names) if context.profile.listed() else biased(context, names)


def listed(context: EndpointContext, names: Sequence[str]) -> list[Seen]:
    """Tokens of long messages, with what is listed beside them."""
    n = min(context.profile.per_request(), CHOICES)
    asked = {"messages": [*POEM], "max_tokens": LENGTH, "logprobs": True, "top_logprobs": LISTED, "n": n}
    found: list[Seen] = []
    texts: list[str] = []
    enough = Enough(names)
    for _ in range(REQUESTS):
        new: list[Seen] = []
        for choice in context.profile.manners.ask({**asked, **context.seeds()}, without=(*names,)).choices:
            texts.append(choice.text)
            new += seen_in(choice)
        found += new
        if enough.with_(new) or (len(texts) >= ALIKE and len(set(texts)) == 1):
            break
    return found


class Enough:
    """Whether there are enough tokens: some default is noticed, or the closest ones would be.

    Args:
        names: The fields that are left out.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.power, self.count = Power(names), 0
        self.hypotheses = hypotheses_of(names)
        self.logs = np.zeros(len(self.hypotheses))

    def with_(self, seen: Sequence[Seen]) -> bool:
        """Take tokens in."""
        self.count += len(seen)
        self.power.take(seen)
        self.logs += evidence(seen, self.hypotheses)
        if self.hypotheses and noticed(self.logs):
            return True
        return self.count >= ENOUGH and len(self.power.found) == len(self.power.sought)


def seen_in(choice: Choice) -> list[Seen]:
    """Return the tokens of a message."""
    before: set[str] = set()
    found: list[Seen] = []
    for position in choice.positions:
        entries = sorted((e for e in position.top_logprobs if e.possible), key=lambda e: -e.logprob)
        place = place_of(position, entries)
        # one that should be listed and can not be found among them is not known
        if len(entries) >= 2 and (place is not None or position.logprob <= entries[-1].logprob):
            again = np.array([entry.token in before for entry in entries])
            found.append(Seen(place, np.array([entry.logprob for entry in entries]), again))
        before.add(position.token)
    return found


def place_of(position: Position, entries: Sequence[Entry]) -> int | None:
    """Which of the listed tokens was sampled."""
    alike = [place for place, entry in enumerate(entries) if looks_like(position, entry)]
    return min(alike, key=lambda place: abs(entries[place].logprob - position.logprob), default=None)


def biased(context: EndpointContext, names: Sequence[str]) -> list[Seen]:
    """Draws from tokens that biases single out."""
    support = context.profile.support()
    asked: dict[str, Any] = {
        "messages": [*support.messages],
        **BiasedCase(support, slope(len(support.tokens))).fields,
    }
    values = np.log(softmax(slope(len(support.tokens))))
    none, n = np.zeros(len(values), dtype=bool), context.profile.per_request()
    found: list[Seen] = []
    enough = Enough(names)
    for _ in range(REQUESTS):
        reply = context.profile.manners.ask({**asked, "n": n, **context.seeds()}, without=(*names,))
        places = [support.index(choice.text) for choice in reply.choices]
        if None in places:
            raise NotTestable("a token from outside of the support was sampled (see bias.force)")
        new = [Seen(place, values, none) for place in places]
        found += new
        if enough.with_(new):
            break
    return found
