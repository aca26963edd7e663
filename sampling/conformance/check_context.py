"""What a check of a callable works with."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sampling.conformance.case_context import DEEP, QUICK, CaseContext, DrawBudget
from sampling.conformance.endings import CheckEnded, CouldNotRun
from sampling.conformance.sampling_case import SamplingCase
from sampling.conformance.semantics import Semantics
from sampling.conformance.target import CallableTarget
from sampling.sampler.rules import Rule, checked_rule

PLAIN = SamplingCase(np.zeros(16, dtype=np.float32))
HARMLESS = (PLAIN, replace(PLAIN, params={"temperature": 1.0}))


class CheckContext(CaseContext):
    """A callable, the semantics that it is compared with, and dice.

    Args:
        target: The callable.
        semantics: The semantics of the dialect.
        depth: How many draws; by default few for a callable that gives one token a call, many for one with `many`.
        seed: Of the dice: which seeds the target is given; at least 0.
        rule: The rule that the target draws by; the function's `rule` when left out, if it has one.

    Raises:
        InvalidArgument: No such depth, seed or rule.
    """

    def __init__(
        self,
        target: CallableTarget,
        semantics: Semantics,
        depth: DrawBudget | None = None,
        seed: int = 0,
        rule: Rule | None = None,
    ) -> None:
        usual = DEEP if target.batched else QUICK
        super().__init__(semantics, usual if depth is None else depth, seed)
        self.target = target
        named = getattr(target.function, "rule", None) if rule is None else rule
        self.rule: Rule | None = None if named is None else checked_rule(named)

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
