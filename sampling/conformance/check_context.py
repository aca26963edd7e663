"""What a check of a callable works with."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sampling.conformance.callable_test import compare
from sampling.conformance.comparison import Comparison, ignored, require_stages
from sampling.conformance.endings import CheckEnded, CouldNotRun, NotTestable, Refused
from sampling.conformance.fixtures import STRONG, after_past
from sampling.conformance.oracle import Row, probabilities
from sampling.conformance.sampling_case import SamplingCase
from sampling.conformance.semantics import Semantics
from sampling.conformance.target import CallableTarget, Seed
from sampling.conformance.verdict import Verdict
from sampling.core.errors import InvalidArgument
from sampling.core.params import integer

SEEDS = 2**31 - 1  # what every engine takes
PLAIN = SamplingCase(np.zeros(16, dtype=np.float32))
HARMLESS = (PLAIN, replace(PLAIN, params={"temperature": 1.0}))


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


class CheckContext:
    """A target, the semantics that it is compared with, and dice.

    Args:
        target: The callable.
        semantics: The semantics of the dialect.
        depth: How many draws; by default few for a callable that gives one token a call, many for one with `many`.
        seed: Of the dice: which seeds the target is given; at least 0.

    Raises:
        InvalidArgument: No such depth or seed.
    """

    legs = ("fixtures",)
    notes: tuple[str, ...] = ()

    def __init__(
        self, target: CallableTarget, semantics: Semantics, depth: DrawBudget | None = None, seed: int = 0
    ) -> None:
        self.target = target
        self.semantics = semantics
        if depth is not None and not isinstance(depth, DrawBudget):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InvalidArgument("depth", depth, "a Depth, or None")
        integer("seed", seed, 0)
        chosen = depth or (DEEP if target.batched else QUICK)
        self.least_draws, self.most_draws = chosen.least, chosen.most
        self.rng = np.random.default_rng(seed)
        self._acting: dict[str, bool] = {}

    @property
    def fine(self) -> bool:
        """Whether it may draw so often that an error of one per cent, or a tail of a thousandth, shows."""
        return self.most_draws > FINE

    def reach(self) -> None:
        """Ask for one token of a plain request, with a seed and without.

        Raises:
            CouldNotRun: No such request is answered by a token; the message has the first reason.
        """
        first: CheckEnded | None = None
        for case in HARMLESS:
            for seed in (1, None):
                try:
                    self.target.single(case, seed)
                except CheckEnded as end:
                    first = first or end
                else:
                    return
        raise CouldNotRun(f"the callable answers no plain request: {first}") from first

    def draws(self, case: SamplingCase, count: int) -> NDArray[np.int64]:
        """Tokens of independent requests.

        Returns:
            int64 [N]; N is `count`, or less where a budget is used up.

        Raises:
            Refused: The target does not take the parameters.
        """
        return self.target.draw(case, self.seeds(count))

    def singly(self, case: SamplingCase) -> NDArray[np.int64]:
        """One token, by a call of its own, int64 [1]."""
        return np.array([self.target.single(case, self.seeds(1)[0])])

    def seeds(self, count: int) -> list[Seed]:
        """Seeds for independent requests; None if the target takes no seed."""
        if not self.takes_seeds:
            return [None] * count
        return [int(seed) for seed in self.rng.integers(SEEDS, size=count)]

    @cached_property
    def takes_seeds(self) -> bool:
        """Whether a plain request with a seed is answered."""
        try:
            self.target.single(PLAIN, 1)
        except CheckEnded:
            return False
        return True

    def report(self, case: SamplingCase) -> dict[str, Any]:
        """One API choice for a model that says the same at every position.

        Raises:
            NotTestable: The target does not report.
            Refused: It does not take the parameters.
        """
        return self.target.report(case, self.seeds(1)[0])

    def choices(self, case: SamplingCase) -> list[dict[str, Any]]:
        """Return the choices of one request.

        Raises:
            NotTestable: The target does not report.
            Refused: It does not take the parameters.
        """
        return self.target.choices(case, self.seeds(1)[0])

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
            finding = compare(self, comparison, [alone], least=0)
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
