"""What cases for an endpoint are made of: tokens that biases single out where they act, or contexts as they are."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sampling.conformance.endings import NotTestable
from sampling.conformance.endpoint.biased_case import BiasedCase, slope
from sampling.conformance.endpoint.design import Option, sharpest
from sampling.conformance.endpoint.natural import Context, Natural
from sampling.conformance.endpoint.profile import TokenSupport
from sampling.conformance.oracle import softmax
from sampling.conformance.semantics import Semantics

Row = NDArray[np.float64]

TOPS = 4  # cases whose arg max is asked for
AHEAD = 0.02  # by how much an arg max has to be ahead
NEAR = 0.3  # the largest difference of the first two logits of a case about temperatures near 0


EndpointCase = BiasedCase | Natural
"""A case for an endpoint: its messages and other fields are sent; by `place` it is known which token came, and by `row` what a
hypothesis draws from, for each of its `tokens`, and behind them for all others."""

Options = tuple[Option, ...]
NaturalParams = Callable[["BiasedGround | NaturalGround"], Mapping[str, Any]]


@dataclass(frozen=True)
class BiasedGround:
    """Cases of tokens that biases single out."""

    support: TokenSupport

    def sharpest(
        self, options: Options, hypotheses: tuple[Semantics, ...], natural: NaturalParams
    ) -> EndpointCase:
        """Return the case that tells hypotheses apart with the fewest draws."""
        del natural
        logits, option = sharpest(len(self.support.tokens), options, hypotheses)
        return BiasedCase(self.support, np.array(logits), dict(option))

    def case(self, params: Mapping[str, Any]) -> EndpointCase:
        """Return a case about parameters, with evenly spaced logits."""
        return BiasedCase(self.support, slope(len(self.support.tokens)), params)

    def row(self, temperature: float = 1.0) -> Row:
        """Return the probabilities at a temperature."""
        return softmax(slope(len(self.support.tokens)) / temperature)

    def tops(self, params: Mapping[str, Any]) -> Sequence[tuple[EndpointCase, int]]:
        """Cases with each of four tokens on top."""
        found: list[tuple[EndpointCase, int]] = []
        for top in range(min(TOPS, len(self.support.tokens))):
            logits = slope(len(self.support.tokens))
            logits[top] = 0.2
            found.append((BiasedCase(self.support, logits, params), top))
        return found

    def near(self, params: Mapping[str, Any]) -> EndpointCase:
        """Return a case whose first logit is 0.02 above all others."""
        if self.support.slack > 2e-3:
            raise NotTestable(
                "log probabilities are known to 0.004 only, too roughly for temperatures near 0"
            )
        logits = np.full(len(self.support.tokens), -0.02)
        logits[0] = 0.0
        return BiasedCase(self.support, logits, params)

    def flat(self, count: int) -> EndpointCase:
        """Return some equally likely tokens."""
        support = self.support.first(count)
        return BiasedCase(support, np.zeros(len(support.tokens)))


@dataclass(frozen=True)
class NaturalGround:
    """Cases in contexts as they are.

    Args:
        contexts: The broadest first.
    """

    contexts: Sequence[Context]

    def sharpest(
        self, options: Options, hypotheses: tuple[Semantics, ...], natural: NaturalParams
    ) -> EndpointCase:
        """Return a case in the broadest context."""
        del options, hypotheses
        return self.case(natural(self))

    def case(self, params: Mapping[str, Any]) -> EndpointCase:
        """Return a case about parameters in the broadest context."""
        return Natural(self.contexts[0], params)

    def row(self, temperature: float = 1.0) -> Row:
        """Return the probabilities at a temperature, the tokens that are not known taken to be as few as can be."""
        context = self.contexts[0]
        logits = np.concatenate([context.values, next(context.others())])
        return softmax(np.sort(logits)[::-1] / temperature)

    def tops(self, params: Mapping[str, Any]) -> Sequence[tuple[EndpointCase, int]]:
        """Cases in contexts with a clear arg max."""
        return [(Natural(context, params), 0) for context in self.contexts if context.gap > AHEAD][:TOPS]

    def near(self, params: Mapping[str, Any]) -> EndpointCase:
        """Return a case in the context whose first two tokens are nearest to each other."""
        gaps = [(context.gap, place) for place, context in enumerate(self.contexts) if context.gap > 0]
        if not gaps or min(gaps)[0] > NEAR:
            raise NotTestable("in no context are the two likeliest tokens close enough to each other")
        return Natural(self.contexts[min(gaps)[1]], params)

    def flat(self, count: int) -> EndpointCase:
        """Return the broadest context; what there is to choose from is not ours to say."""
        del count
        return Natural(self.contexts[0])


Ground = BiasedGround | NaturalGround
"""Where cases come from."""


def clear_p(rows: Sequence[Row], differ: int = 1) -> float:
    """Return a top_p far from every running mass of some distributions, at which they keep different numbers of tokens."""
    sums = [np.cumsum(row) for row in rows]
    best: tuple[int, float, float] = (0, -1.0, 0.9)
    for p in np.arange(0.3, 0.95, 0.005):
        kept = sorted(int(np.searchsorted(s, p)) for s in sums)
        margin = min(float(np.abs(s - p).min()) for s in sums)
        apart = min(*(int(more) for more in np.diff(kept)), differ) if len(rows) > 1 else differ
        if kept[0] > 0:
            best = max(best, (apart, margin, round(float(p), 3)))
    return best[-1]


def clear_min_p(rows: Sequence[Row]) -> float:
    """Return a min_p far from every share of the largest probability, at which rows keep different numbers of tokens."""
    shares = [np.log(row / row[0]) for row in rows]
    best: tuple[bool, float, float] = (False, -1.0, 0.15)
    for value in np.arange(0.05, 0.6, 0.005):
        kept = {int((share >= np.log(value)).sum()) for share in shares}
        margin = min(float(np.abs(share - np.log(value)).min()) for share in shares)
        best = max(best, (len(kept) == len(rows), margin, round(float(value), 3)))
    return best[-1]


def clear_k(row: Row, about: int) -> int:
    """Return a top_k at which the next probability is much smaller."""
    gaps = {k: float(np.log(row[k - 1] / row[k])) for k in range(max(about - 2, 2), min(about + 4, len(row)))}
    best = max(gaps, key=gaps.__getitem__, default=about)
    return best if gaps.get(about, -1.0) < gaps.get(best, 0.0) - 0.1 else about
