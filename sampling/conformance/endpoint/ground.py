"""What questions to an endpoint are made of: tokens that biases fence where they act, or contexts as they are."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from sampling.conformance.endings import NotTestable
from sampling.conformance.endpoint.biased_case import Asked, BiasedCase, slope
from sampling.conformance.endpoint.design import Option, sharpest
from sampling.conformance.endpoint.natural import Context, Natural
from sampling.conformance.endpoint.profile import TokenSupport
from sampling.conformance.oracle import softmax
from sampling.conformance.semantics import Semantics

Row = NDArray[np.float64]

TOPS = 4  # questions whose arg max is asked for
AHEAD = 0.02  # by how much an arg max has to be ahead
NEAR = 0.3  # the largest difference of the first two logits of a question about temperatures near 0


Options = tuple[Option, ...]
Otherwise = Callable[["Ground"], Mapping[str, Any]]


class Ground(Protocol):
    """Where questions come from."""

    def asked(self, params: Mapping[str, Any]) -> Asked:
        """Return a question about parameters in which several tokens are likely."""
        ...

    def sharpest(self, options: Options, readings: tuple[Semantics, ...], otherwise: Otherwise) -> Asked:
        """Return a question that tells readings apart with few draws.

        Args:
            options: Parameters to choose from, where the logits can be chosen, too.
            readings: What they may mean.
            otherwise: The parameters where the logits are as they are.
        """
        ...

    def row(self, temperature: float = 1.0) -> Row:
        """Return the probabilities of that question's tokens at a temperature, from large to small."""
        ...

    def tops(self, params: Mapping[str, Any]) -> Sequence[tuple[Asked, int]]:
        """Questions with a clear arg max, and its place."""
        ...

    def near(self, params: Mapping[str, Any]) -> Asked:
        """Return a question whose first two logits are close to each other.

        Raises:
            NotTestable: There is none.
        """
        ...

    def flat(self, count: int) -> Asked:
        """Return a question of so many tokens whose draws hardly ever repeat by chance, or of as many as there are."""
        ...


@dataclass(frozen=True)
class BiasedGround:
    """Questions of fenced tokens."""

    fence: TokenSupport

    def sharpest(self, options: Options, readings: tuple[Semantics, ...], otherwise: Otherwise) -> Asked:
        """Return the question that tells readings apart with the fewest draws."""
        del otherwise
        logits, option = sharpest(len(self.fence.tokens), options, readings)
        return BiasedCase(self.fence, np.array(logits), dict(option))

    def asked(self, params: Mapping[str, Any]) -> Asked:
        """Return a question about parameters, with evenly spaced logits."""
        return BiasedCase(self.fence, slope(len(self.fence.tokens)), params)

    def row(self, temperature: float = 1.0) -> Row:
        """Return the probabilities at a temperature."""
        return softmax(slope(len(self.fence.tokens)) / temperature)

    def tops(self, params: Mapping[str, Any]) -> Sequence[tuple[Asked, int]]:
        """Questions with each of four tokens on top."""
        found: list[tuple[Asked, int]] = []
        for top in range(min(TOPS, len(self.fence.tokens))):
            logits = slope(len(self.fence.tokens))
            logits[top] = 0.2
            found.append((BiasedCase(self.fence, logits, params), top))
        return found

    def near(self, params: Mapping[str, Any]) -> Asked:
        """Return a question whose first logit is 0.02 above all others."""
        if self.fence.slack > 2e-3:
            raise NotTestable(
                "log probabilities are known to 0.004 only, too roughly for temperatures near 0"
            )
        logits = np.full(len(self.fence.tokens), -0.02)
        logits[0] = 0.0
        return BiasedCase(self.fence, logits, params)

    def flat(self, count: int) -> Asked:
        """Return some equally likely tokens."""
        fence = self.fence.first(count)
        return BiasedCase(fence, np.zeros(len(fence.tokens)))


@dataclass(frozen=True)
class NaturalGround:
    """Questions in contexts as they are.

    Args:
        contexts: The broadest first.
    """

    contexts: Sequence[Context]

    def sharpest(self, options: Options, readings: tuple[Semantics, ...], otherwise: Otherwise) -> Asked:
        """Return a question in the broadest context."""
        del options, readings
        return self.asked(otherwise(self))

    def asked(self, params: Mapping[str, Any]) -> Asked:
        """Return a question about parameters in the broadest context."""
        return Natural(self.contexts[0], params)

    def row(self, temperature: float = 1.0) -> Row:
        """Return the probabilities at a temperature, the tokens that are not known taken to be as few as can be."""
        context = self.contexts[0]
        logits = np.concatenate([context.values, next(context.others())])
        return softmax(np.sort(logits)[::-1] / temperature)

    def tops(self, params: Mapping[str, Any]) -> Sequence[tuple[Asked, int]]:
        """Questions in contexts with a clear arg max."""
        return [(Natural(context, params), 0) for context in self.contexts if context.gap > AHEAD][:TOPS]

    def near(self, params: Mapping[str, Any]) -> Asked:
        """Return a question in the context whose first two tokens are nearest to each other."""
        gaps = [(context.gap, place) for place, context in enumerate(self.contexts) if context.gap > 0]
        if not gaps or min(gaps)[0] > NEAR:
            raise NotTestable("in no context are the two likeliest tokens close enough to each other")
        return Natural(self.contexts[min(gaps)[1]], params)

    def flat(self, count: int) -> Asked:
        """Return the broadest context; what there is to choose from is not ours to say."""
        del count
        return Natural(self.contexts[0])


def clear_p(rows: Sequence[Row], differ: int = 1) -> float:
    """Return a top_p far from every running mass of some distributions, at which they keep different numbers of tokens.

    Args:
        rows: Probabilities, each sorted from large to small, float64 [K].
        differ: By how many tokens, or by as many as they do.
    """
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
    """Return a min_p far from every share of the largest probability, at which distributions keep different numbers of tokens.

    Args:
        rows: Probabilities, each sorted from large to small, float64 [K].
    """
    shares = [np.log(row / row[0]) for row in rows]
    best: tuple[bool, float, float] = (False, -1.0, 0.15)
    for value in np.arange(0.05, 0.6, 0.005):
        kept = {int((share >= np.log(value)).sum()) for share in shares}
        margin = min(float(np.abs(share - np.log(value)).min()) for share in shares)
        best = max(best, (len(kept) == len(rows), margin, round(float(value), 3)))
    return best[-1]


def clear_k(row: Row, about: int) -> int:
    """Return a top_k at which the next probability is much smaller.

    Args:
        row: Probabilities from large to small, float64 [K].
        about: The one that is wanted; those nearby are taken where their gap is wider by a tenth.
    """
    gaps = {k: float(np.log(row[k - 1] / row[k])) for k in range(max(about - 2, 2), min(about + 4, len(row)))}
    best = max(gaps, key=gaps.__getitem__, default=about)
    return best if gaps.get(about, -1.0) < gaps.get(best, 0.0) - 0.1 else about
