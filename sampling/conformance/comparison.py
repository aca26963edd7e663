"""A check as data: what a target should do, and what else it may do; each kind of target turns that into draws."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from sampling.conformance.endings import NotTestable
from sampling.conformance.semantics import Semantics
from sampling.conformance.verdict import Verdict

Hypotheses = Mapping[str, Semantics]

WITHOUT_EFFECT = "without effect"
ALWAYS = "always the arg max"


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The hypotheses that a check tells apart, by name.

    Args:
        null: Those under which it is passed: the dialect's own, then faults that are other checks' business. Targets
            whose logits can be chosen need the first alone.
        alternatives: What else a target may do. One that gives the same as the first is left out.
        finer: More of them, which only logits of our choice tell apart.
        finest: More of them, which take hundreds of thousands of draws.
        verdicts: What an alternative ends in, where that is neither `DEVIATES` nor, of one without effect, `IGNORED`.
    """

    null: Hypotheses
    alternatives: Hypotheses
    finer: Hypotheses = field(default_factory=dict[str, Semantics])
    finest: Hypotheses = field(default_factory=dict[str, Semantics])
    verdicts: Mapping[str, Verdict] = field(default_factory=dict[str, Verdict])

    @property
    def own(self) -> Semantics:
        """The dialect's own."""
        return next(iter(self.null.values()))

    def others(self, *more: Hypotheses) -> dict[str, Semantics]:
        """Return the alternatives, some more of them, and that the most likely token is always taken."""
        found = {**self.alternatives}
        for hypotheses in more:
            found |= hypotheses
        return {**found, ALWAYS: self.own.but(arg_max=True)}

    def verdict(self, name: str) -> Verdict:
        """Return what an alternative ends in."""
        usual = Verdict.IGNORED if name.endswith(WITHOUT_EFFECT) else Verdict.DEVIATES
        return self.verdicts.get(name, usual)


Compare = Callable[[Semantics], Comparison]


@dataclass(frozen=True)
class ComparisonCheck:
    """A check that compares hypotheses, whatever the kind of target.

    Args:
        needs: Parameters that a dialect must have.
        compare: Returns the comparison for a dialect's semantics.
    """

    needs: Sequence[str]
    compare: Compare

    def comparison(self, own: Semantics) -> Comparison:
        """Return the comparison for a dialect.

        Raises:
            NotTestable: It lacks a parameter.
        """
        require_stages(own, self.needs)
        return self.compare(own)


COMPARISONS: dict[str, ComparisonCheck] = {}
"""The checks that are data, by id; `sampling.conformance.checks` fills it."""


def check(*ids: str, needs: Sequence[str]) -> Callable[[Compare], Compare]:
    """Register a comparison as a check.

    Args:
        ids: Of the check; several where others differ in their cases alone.
        needs: Parameters that a dialect must have.
    """

    def register(compare: Compare) -> Compare:
        COMPARISONS.update(dict.fromkeys(ids, ComparisonCheck(needs, compare)))
        return compare

    return register


def ignored(own: Semantics, *names: str) -> dict[str, Semantics]:
    """Return the alternative that parameters have no effect, by its name."""
    return {f"{' and '.join(names)} {WITHOUT_EFFECT}": own.ignoring(*names)}


def require_stages(own: Semantics, names: Sequence[str]) -> None:
    """Go on only with a dialect that has some parameters.

    Raises:
        NotTestable: It lacks one.
    """
    missing = [name for name in names if name not in own.stages]
    if missing:
        raise NotTestable(f"the dialect {own.name!r} has no {', '.join(missing)}")
