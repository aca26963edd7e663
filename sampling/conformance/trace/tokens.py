"""All tokens of a trace, by the situations that they were sampled in: a trace has few of these, and each many times."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sampling.conformance.semantics import Semantics
from sampling.conformance.trace.steps import Row, Situation, Step, row


@dataclass(frozen=True)
class Tokens:
    """Sampled tokens in the order of the trace.

    Args:
        situations: What they were sampled from, each once.
        which: By token the place of its situation, int64 [N].
        drawn: By token which it was, as the situation's case counts, int64 [N].
    """

    situations: Sequence[Situation]
    which: NDArray[np.int64]
    drawn: NDArray[np.int64]

    @staticmethod
    def of(steps: Iterable[Step]) -> Tokens:
        """Return the tokens of some steps."""
        places: dict[int, int] = {}
        situations: list[Situation] = []
        pairs: list[tuple[int, int]] = []
        for situation, token in steps:
            place = places.setdefault(id(situation), len(situations))
            if place == len(situations):
                situations.append(situation)
            pairs.append((place, token))
        which, drawn = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
        return Tokens(situations, which, drawn)

    def __len__(self) -> int:
        return len(self.which)

    def where(self, holds: Callable[[Situation], bool]) -> Tokens:
        """Return the tokens of the situations of which something holds."""
        kept = np.array([holds(situation) for situation in self.situations], dtype=bool)
        left, tokens = np.cumsum(kept) - 1, kept[self.which] if len(kept) else np.zeros(0, dtype=bool)
        situations = [situation for situation, keep in zip(self.situations, kept, strict=True) if keep]
        return Tokens(situations, left[self.which[tokens]], self.drawn[tokens])

    def rows(self, semantics: Semantics) -> list[Row]:
        """By situation what a hypothesis draws from."""
        return [row(situation, semantics) for situation in self.situations]

    def probabilities(self, rows: Sequence[Row]) -> Row:
        """By token the probability that it had, float64 [N]."""
        begins = np.cumsum([0, *(len(row) for row in rows)])[:-1]
        return np.concatenate(rows)[begins[self.which] + self.drawn]

    def logs(self, rows: Sequence[Row]) -> Row:
        """Return the logarithms of the same."""
        with np.errstate(divide="ignore"):
            return np.log(self.probabilities(rows))

    def below(self, rows: Sequence[Row]) -> Row:
        """By token the probability of all that come before it in its case, float64 [N]."""
        return self.probabilities([np.cumsum(row) - row for row in rows])
