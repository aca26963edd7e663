"""What a rule of the draw is: data about an engine, and how it draws from processed logits."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from sampling_kernels.candidates.candidates import Candidates
from sampling_kernels.weighted_logits import WeightedLogits
from torch import Tensor

from sampling.core.errors import InvalidArgument
from sampling.core.params import HIGHEST_SEED, LOWEST_SEED, integer
from sampling.dialects import DialectName
from sampling.sampler.rules.keys import RngKeys

Keyed = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


class Past(Protocol):
    """What is known of the tokens before a draw, int64 [B] each."""

    @property
    def lengths(self) -> Tensor:
        """Return how many tokens each row has, its prompt's among them."""
        ...

    @property
    def sampled(self) -> Tensor:
        """Return how many of them were sampled."""
        ...


def choice_counts(seed: Tensor, choice: Tensor) -> tuple[Tensor, Tensor]:
    """Key each choice by its index beside the seed."""
    return seed, choice


def choice_adds_to_seed(seed: Tensor, choice: Tensor) -> tuple[Tensor, Tensor]:
    """Give choice i the seed + i, mod 2^64."""
    return seed + choice, choice & 0


def choice_is_ignored(seed: Tensor, choice: Tensor) -> tuple[Tensor, Tensor]:
    """Draw all choices alike."""
    return seed, choice & 0


def a_stream_for_each_row(position: Tensor) -> Tensor:
    """Let each row's position be its own."""
    return position


def seed_key(seed: object) -> int:
    """Return the signed 64-bit number with the bits of seed mod 2^64."""
    checked = integer("seed", seed, LOWEST_SEED, HIGHEST_SEED)
    return (checked + 2**63) % 2**64 - 2**63


@dataclass(frozen=True)
class Margin:
    """How clear each of B draws was.

    Args:
        runner_up: The token that came next, int64 [B]; the token itself where there was no other.
        distance: How far the winner was ahead, in the unit of the rule's scores, float64 [B]; inf without a runner-up.
        tolerance: Within which distance another build, device or library may draw the other one, float64 [B]; 0 for a rule
            in integers.
    """

    runner_up: Tensor
    distance: Tensor
    tolerance: Tensor

    @property
    def decided(self) -> Tensor:
        """Return True where no rounding can have changed the token, bool [B]."""
        return (self.distance > self.tolerance) | (self.tolerance == 0)

    @staticmethod
    def unknown(rows: int, device: torch.device) -> Margin:
        """Return the margin of rows that cannot be drawn from: nothing is decided."""
        nothing = torch.zeros(rows, dtype=torch.float64, device=device)
        return Margin(torch.full((rows,), -1, device=device), nothing, nothing + torch.inf)

    def write(self, rows: Tensor | slice, other: Margin) -> None:
        """Put another margin, of R draws, in the place of some rows."""
        self.runner_up[rows], self.distance[rows] = other.runner_up, other.distance
        self.tolerance[rows] = other.tolerance


@dataclass(frozen=True, kw_only=True)
class DrawRule(ABC):
    """How an engine makes a token of processed logits, a seed, a position and a choice.

    Args:
        name: What `draw` and `Sampler` take.
        source: Where the rule was read: the package, its version, the file.
        keyed: What becomes of seed and choice, each int64 [B].
        unseeded: The seed of a request that has none; None where that is a fresh one, so that nobody can know it.
        no_seeds: Seeds that the engine takes for none.
        counts_prompt: Whether the position is the index of the last known token, prompt included, instead of the number of
            tokens sampled so far.
        dialect: The name of the dialect that the engine reads its parameters in.
        when_sorted: The name of the rule that a batch follows in which rows are sorted.
        sorted_by: The parameters whose use sorts a row; the arg max of a greedy row does so, too.
        each_row_sorts: Whether a row follows `when_sorted` by its own parameters, so that the rows of a batch have to agree.
        on_host: Whether the rule reads a stream of numbers on the host, so that no graph can hold it.
        stream: Where in its stream each row is, of the positions of a batch, int64 [B].
    """

    name: str
    source: str
    keyed: Keyed = choice_counts
    unseeded: int | None = None
    no_seeds: tuple[int, ...] = ()
    counts_prompt: bool = False
    dialect: DialectName = "qstash"
    when_sorted: str | None = None
    sorted_by: tuple[str, ...] = ("top_k", "top_p")
    each_row_sorts: bool = False
    on_host: bool = False
    stream: Callable[[Tensor], Tensor] = a_stream_for_each_row

    def is_seed(self, seed: object) -> bool:
        """Return False for None, and for what the engine takes for it."""
        return seed is not None and not (isinstance(seed, int) and seed in self.no_seeds)

    def seed_key(self, seed: object) -> int:
        """Return the signed 64-bit number with the bits of a seed, or of the one that the engine has without it.

        Raises:
            InvalidArgument: There is no seed and the engine takes a fresh one, or it is out of range.
        """
        if self.is_seed(seed):
            return seed_key(seed)
        if self.unseeded is None:
            words = f"given: without one, what the rule {self.name} draws cannot be known"
            raise InvalidArgument("seed", seed, words)
        return self.unseeded

    @property
    def words_of_prompt(self) -> str:
        """Say why a prompt has to be there."""
        return f"a prompt of at least one token: the rule {self.name} counts its tokens"

    def position(self, history: Past) -> Tensor:
        """Return the position of each row's next draw, int64 [B]."""
        return history.lengths - 1 if self.counts_prompt else history.sampled

    def keys(
        self, seed: Tensor, position: Tensor, choice: Tensor, words: tuple[Tensor, Tensor] | None = None
    ) -> RngKeys:
        """Return what draws at some positions are keyed by.

        Args:
            seed: As `keyed` has made it, int64 [B].
            position: int64 [B].
            choice: As `keyed` has made it, int64 [B].
            words: Of the integer rule where they are known, int64 [B].
        """
        return RngKeys(seed, self.stream(position), choice, words)

    @abstractmethod
    def of_full_rows(self, rows: WeightedLogits, keys: RngKeys) -> Tensor:
        """Return token ids, int64 [B]."""

    @abstractmethod
    def of_candidates(self, candidates: Candidates, keys: RngKeys) -> tuple[Tensor, Tensor]:
        """Return columns of the candidates, int64 [B], and whether they are certain, bool [B]."""

    @abstractmethod
    def margin(self, rows: WeightedLogits, keys: RngKeys) -> Margin:
        """Return how clear each draw from full rows is."""

    def drawn(self, rows: WeightedLogits, keys: RngKeys) -> tuple[Tensor, Margin]:
        """Return token ids, int64 [B], with how clear each draw is."""
        return self.of_full_rows(rows, keys), self.margin(rows, keys)
