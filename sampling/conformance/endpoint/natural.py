"""Cases in contexts as they are, for endpoints that take no biases: what the model would say by itself is the case.

The log probabilities of the likeliest tokens are known, from the endpoint or from reference weights; of all others the sum of
their probabilities alone. Draws are therefore judged given that they are among the known tokens, whose shares do not depend on
the others; one of the others excludes only those hypotheses that cut all of them off.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sampling.conformance.distributions import alike
from sampling.conformance.endings import NotTestable
from sampling.conformance.endpoint.design import SAME
from sampling.conformance.endpoint.prompts import Messages
from sampling.conformance.endpoint.reply import Choice
from sampling.conformance.oracle import probabilities
from sampling.conformance.sampling_case import SamplingCase
from sampling.conformance.semantics import Semantics
from sampling.dialects import TRUNCATIONS

Row = NDArray[np.float64]


LEAST_SHARE = 0.01  # of a token that counts
LEAST_MASS = 0.5  # of the known tokens of a context that is used
FEWEST = 3  # tokens of some share
SPREAD = 4096  # tokens that the others are spread over, at most
CUT_OFF = 1e-9  # mass below which others are taken to be cut off


@dataclass(frozen=True)
class Context:
    """What is known of a context.

    Args:
        messages: The context.
        texts: Of the known tokens, likeliest first; "" for one that cannot be told from others.
        values: Their log probabilities, float64 [K].
        listed: Whether the endpoint says which token came, in `logprobs`; otherwise the message's text does.
    """

    messages: Messages
    texts: tuple[str, ...]
    values: Row
    listed: bool

    @staticmethod
    def of(messages: Messages, known: Mapping[str, float], hidden: Sequence[float], listed: bool) -> Context:
        """Return a context from what is known of it."""
        pairs = [*known.items(), *(("", value) for value in hidden)]
        pairs.sort(key=lambda pair: -pair[1])
        return Context(messages, tuple(text for text, _ in pairs), np.array([v for _, v in pairs]), listed)

    @property
    def rest(self) -> float:
        """The mass of all tokens that are not known."""
        return max(1.0 - float(np.exp(self.values).sum()), 0.0)

    @property
    def told(self) -> list[int]:
        """The places of tokens that can be told from others."""
        return [place for place, text in enumerate(self.texts) if text]

    @property
    def shares(self) -> Row:
        """The probabilities of those."""
        return np.exp(self.values[self.told])

    @property
    def breadth(self) -> float:
        """Among how many tokens draws choose, as it were; 0 for a context of no use."""
        shares = self.shares
        if (shares >= LEAST_SHARE).sum() < FEWEST or shares.sum() < LEAST_MASS:
            return 0.0
        p = shares / shares.sum()
        return float(np.exp(-(p * np.log(p)).sum()) * shares.sum())

    @property
    def gap(self) -> float:
        """By how much the likeliest token is ahead; 0 where it, or the next, cannot be told."""
        return float(self.values[0] - self.values[1]) if len(self.values) > 1 and all(self.texts[:2]) else 0.0

    def others(self) -> Iterator[Row]:
        """Yield the log probabilities that the tokens which are not known can have: as few as can be, and very many."""
        if self.rest <= CUT_OFF:
            yield np.empty(0)
            return
        least = math.exp(float(self.values.min()))
        for count in (min(math.ceil(self.rest / least), SPREAD), SPREAD):
            yield np.full(count, math.log(self.rest / count))


@dataclass(frozen=True)
class Natural:
    """A case in a context as it is.

    Args:
        context: What is known.
        params: The request's parameters.
        in_prompt: Which of the known tokens the prompt contains.
        output_ids: Which of them were sampled before.
    """

    context: Context
    params: Mapping[str, Any] = field(default_factory=dict[str, Any])
    in_prompt: tuple[int, ...] = ()
    output_ids: tuple[int, ...] = ()

    @property
    def messages(self) -> Messages:
        """The context."""
        return self.context.messages

    @property
    def fields(self) -> dict[str, Any]:
        """The request's fields."""
        return {**self.params, "logprobs": True} if self.context.listed else dict(self.params)

    @property
    def tokens(self) -> int:
        """How many tokens can be told apart."""
        return len(self.context.told)

    def place(self, choice: Choice) -> int:
        """Which token came; the place behind them for all others."""
        told = [self.context.texts[place] for place in self.context.told]
        text = choice.text.strip()
        if text and self.context.listed:
            # servers strip messages; and some put another token than the sampled one into the entry
            entry = choice.positions[0].token
            text = entry if entry.strip() == text else choice.text
        return told.index(text) if text in told else len(told)

    def row(self, semantics: Semantics) -> Row:
        """Return what a hypothesis draws from, given that it is a token that can be told; then 1 if it may be another, or 0.

        The ratio of two such rows has an expectation of at most 1 under the second, so that their products are e-processes.

        Returns:
            float64 [K + 1].

        Raises:
            NotTestable: It depends on tokens that are not known.
        """
        if not self.params.keys() & set(TRUNCATIONS):
            return self._row(semantics, next(self.context.others()))
        rows = [self._row(semantics, others) for others in self.context.others()]
        if not alike(rows[:1] * len(rows), rows, SAME):
            raise NotTestable("what a hypothesis draws from depends on tokens that are not listed")
        return rows[0]

    def _row(self, semantics: Semantics, others: Row) -> Row:
        """Return the same, with some log probabilities of the tokens that are not known."""
        logits = np.concatenate([self.context.values, others]).astype(np.float32)
        p = probabilities(SamplingCase(logits, self.params, self.in_prompt, self.output_ids), semantics)
        known = p[self.context.told]
        mass = float(known.sum())
        return np.append(known / mass if mass > 0 else known, float(1.0 - mass > CUT_OFF))
