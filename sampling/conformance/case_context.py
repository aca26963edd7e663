"""What the checks work with that ask about logits of our choice: cases are put to the target, which answers with tokens."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from sampling.conformance.callable_test import compare
from sampling.conformance.comparison import Comparison, ignored, require_stages
from sampling.conformance.endings import NotTestable, Refused
from sampling.conformance.fixtures import STRONG, Sizes, after_past
from sampling.conformance.oracle import Row, probabilities
from sampling.conformance.sampling_case import SamplingCase
from sampling.conformance.semantics import Semantics
from sampling.conformance.target import Seed
from sampling.conformance.verdict import Verdict
from sampling.core.errors import InvalidArgument
from sampling.core.params import integer

SEEDS = 2**31 - 1  # what every engine takes


@dataclass(frozen=True)
class DrawBudget:
    """How many tokens each case is drawn for.

    Args:
        least: So many even where the named readings need fewer: unnamed deviations show the better.
        most: Not more, even if a check then ends inconclusive.
    """

    least: int
    most: int

    def __post_init__(self) -> None:
        """Check the fields."""
        integer("depth.least", self.least, 0)
        integer("depth.most", self.most, 1)


QUICK = DrawBudget(least=0, most=20_000)
DEEP = DrawBudget(least=10_000, most=1_000_000)
FINE = 100_000
IDLE = "what parameters do together does not show where one has no effect by itself"


class CaseContext(ABC):
    """Semantics that a target is compared with, and dice; what puts cases to the target is left to the kinds of targets.

    Args:
        semantics: The semantics of the dialect.
        depth: How many draws.
        seed: Of the dice: which seeds the target is given; at least 0.

    Raises:
        InvalidArgument: No such depth or seed.
    """

    legs = ("fixtures",)
    sizes = Sizes()

    def __init__(self, semantics: Semantics, depth: DrawBudget, seed: int = 0) -> None:
        if not isinstance(depth, DrawBudget):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InvalidArgument("depth", depth, "a Depth, or None")
        integer("seed", seed, 0)
        self.semantics = semantics
        self.least_draws, self.most_draws = depth.least, depth.most
        self.rng = np.random.default_rng(seed)
        self._acting: dict[str, bool] = {}

    @abstractmethod
    def reach(self) -> None:
        """Ask something plain.

        Raises:
            CouldNotRun: There is no answer that could be used.
        """

    @abstractmethod
    def draws(self, case: SamplingCase, count: int) -> NDArray[np.int64]:
        """Tokens of independent requests.

        Returns:
            int64 [N]; N is `count`, or less where a budget is used up.

        Raises:
            Refused: The target does not take the parameters.
        """

    @cached_property
    @abstractmethod
    def takes_seeds(self) -> bool:
        """Whether a plain request with a seed is answered."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What else a reader of the report should know."""
        return ()

    @property
    def fine(self) -> bool:
        """Whether it may draw so often that an error of one per cent, or a tail of a thousandth, shows."""
        return self.most_draws > FINE

    def can_ask(self, case: SamplingCase) -> bool:
        """Whether the target can be asked a case."""
        return True

    def posed(self, case: SamplingCase) -> SamplingCase:
        """Return a case as the target is asked it."""
        return case

    def seeds(self, count: int) -> list[Seed]:
        """Seeds for independent requests; None if the target takes no seed."""
        if not self.takes_seeds:
            return [None] * count
        return [int(seed) for seed in self.rng.integers(SEEDS, size=count)]

    def expected(self, case: SamplingCase) -> Row:
        """Return what the dialect draws from, float64 [V]."""
        return probabilities(case, self.semantics)

    def having(self, names: Sequence[str]) -> list[str]:
        """Those of some parameters that the dialect has."""
        return [name for name in names if name in self.semantics.stages]

    def acts(self, name: str) -> bool:
        """Whether a parameter that the dialect has changes by itself what is drawn, as it should or otherwise.

        Raises:
            Refused: The target does not take it.
        """
        if name not in self._acting:
            alone = after_past(**{name: STRONG[name]})
            own = self.semantics
            comparison = Comparison(null={"the dialect's reading": own}, alternatives=ignored(own, name))
            finding = compare(self, comparison, [self.posed(alone)], least=0)
            self._acting[name] = finding.verdict is not Verdict.IGNORED
        return self._acting[name]

    def acting(self, names: Sequence[str]) -> list[str]:
        """Those of some parameters that the dialect has and the target takes, and that act by themselves."""
        found: list[str] = []
        for name in self.having(names):
            with suppress(Refused):
                found += [name] if self.acts(name) else []
        return found

    def need_acting(self, *fields: str) -> None:
        """End a check of several parameters where one of them does nothing: that is another check's finding.

        Raises:
            NotTestable: The dialect lacks one, or it has no effect by itself.
            Refused: The target does not take one.
        """
        self.need(fields)
        idle = [name for name in fields if not self.acts(name)]
        if idle:
            raise NotTestable(f"{IDLE}: {', '.join(idle)}")

    def need(self, fields: Sequence[str]) -> None:
        """End the check where the dialect does not have these parameters.

        Raises:
            NotTestable: It lacks one.
        """
        require_stages(self.semantics, fields)
