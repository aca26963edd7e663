"""The registry of processors that drives the shared invariant tests: add a processor here and it gets them all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from hypothesis import strategies as st
from torch import Tensor

from sampling import (
    FrequencyPenalty,
    LogitBias,
    MinP,
    MinTokens,
    PresencePenalty,
    RepetitionPenalty,
    Temperature,
    TopK,
    TopP,
    chain,
)
from sampling.pipeline.pipeline import Pipeline
from sampling.processors import AllowedTokens, ArgMax, Intersection, Processor, TokenizerVocabSize

VOCABULARY = 23


@dataclass(frozen=True)
class Entry:
    """One processor.

    Args:
        kind: Its class.
        values: Strategy of one row's valid parameter; dyadic where it is added to logits, so that sums are exact.
        neutral: The parameter that changes nothing, bit for bit.
        build: Makes the processor from one parameter per row.
        scalar: Makes the processor from one parameter for all rows.
        shifts: Whether adding a constant to all logits of a row leaves the distribution as it is.
        per_row: Whether rows may have different parameters.
        compiles: Whether it does the same when it is compiled.
    """

    kind: type[Processor]
    values: st.SearchStrategy[Any]
    neutral: Any
    build: Callable[[Sequence[Any]], Processor]
    scalar: Callable[[Any], Processor]
    shifts: bool = True
    per_row: bool = True
    compiles: bool = True

    @property
    def name(self) -> str:
        return self.kind.name


def plain(
    kind: type[Processor], values: st.SearchStrategy[Any], neutral: Any, *, shifts: bool = True
) -> Entry:
    """A processor whose constructor takes a number, or a list of one per row."""
    return Entry(kind, values, neutral, kind, kind, shifts)  # pyright: ignore[reportArgumentType]


def eighths(high: int) -> st.SearchStrategy[float]:
    return st.integers(-8 * high, 8 * high).map(lambda n: n / 8)


tokens = st.integers(0, VOCABULARY - 1)
temperatures = st.one_of(st.sampled_from([0.0, 1e-45, 1e-38, 0.01, 0.7, 1.0, 2.0]), st.floats(0, 2))
shares = st.one_of(st.sampled_from([0.0, 0.5, 0.9, 1.0]), st.floats(0, 1))
counts = st.integers(0, VOCABULARY + 2)


def joint(values: Sequence[tuple[int, float]]) -> Processor:
    return Intersection(TopK([k for k, _ in values]), TopP([p for _, p in values]))


def min_tokens(values: Sequence[tuple[int, list[int]]]) -> Processor:
    return MinTokens([least for least, _ in values], [ids for _, ids in values])


def pipeline(values: Sequence[tuple[float, float]]) -> Processor:
    return chain(PresencePenalty(0.5), Temperature([t for t, _ in values]), TopP([p for _, p in values]))


@dataclass(frozen=True)
class Residues:
    """A constraint: the sum of the sampled tokens and the next one is a multiple of a number.

    Args:
        divisor: The number; 1 allows every token.
        width: How many tokens it knows.
    """

    divisor: int
    width: int = VOCABULARY

    def allowed(self, sampled: Sequence[int]) -> Tensor:
        return (torch.arange(self.width) + sum(sampled)) % self.divisor == 0


residues = st.builds(
    Residues, st.integers(1, 5), st.sampled_from([VOCABULARY - 2, VOCABULARY, VOCABULARY + 3])
)

TABLE = [
    Entry(
        AllowedTokens,
        st.one_of(st.none(), residues),
        Residues(1),
        AllowedTokens,
        AllowedTokens,
        compiles=False,
    ),
    plain(LogitBias, st.dictionaries(tokens, eighths(100), max_size=5), {}),
    Entry(
        MinTokens,
        st.tuples(st.integers(0, 5), st.lists(tokens, max_size=3)),
        (0, [1]),
        min_tokens,
        lambda v: MinTokens(*v),
    ),
    plain(FrequencyPenalty, eighths(2), 0.0),
    plain(PresencePenalty, eighths(2), 0.0),
    plain(RepetitionPenalty, st.floats(0.25, 4), 1.0, shifts=False),
    plain(Temperature, temperatures, 1.0),
    plain(TopK, counts, 0),
    plain(TopP, shares, 1.0),
    plain(MinP, shares, 0.0),
    Entry(
        Intersection,
        st.tuples(counts, shares),
        (0, 1.0),
        joint,
        lambda v: Intersection(TopK(v[0]), TopP(v[1])),
    ),
    Entry(ArgMax, st.booleans(), False, ArgMax, lambda v: ArgMax([v])),
    Entry(
        TokenizerVocabSize,
        counts.map(lambda n: n + 1),
        VOCABULARY,
        lambda v: TokenizerVocabSize(v[0]),
        TokenizerVocabSize,
        per_row=False,
    ),
    Entry(
        Pipeline,
        st.tuples(temperatures, shares),
        None,
        pipeline,
        lambda v: chain(PresencePenalty(0.5), Temperature(v[0]), TopP(v[1])),
    ),
]
