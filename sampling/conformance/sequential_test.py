"""The test of all kinds of targets: draws from some cases, and what they say about hypotheses.

The evidence against a hypothesis is the mean of the others' likelihood ratios to it, an e-process that may be looked at after
every draw; "anything else" is one of the others. Pearson's test looks once, at a number of draws that was planned before any.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sampling.conformance.distributions import alike
from sampling.conformance.statistics.eprocess import Evidence, Likelihoods
from sampling.conformance.statistics.pearson import Pearson, pearson
from sampling.conformance.statistics.pit import cells, placed
from sampling.conformance.statistics.planning import detectable_mass, draws_by_likelihood
from sampling.conformance.statistics.universal import anything, log_e_value
from sampling.conformance.verdict import FALSE_ALARM, SHARE, Finding, Verdict

Row = NDArray[np.float64]
Ints = NDArray[np.int64]

ANYTHING = "anything else"
NONE_FITS = "no named hypothesis fits"
EXCLUDED = 1 / FALSE_ALARM  # against an alternative: a pass that is none
OUT = 1 / SHARE  # against the null hypothesis
DOUBTFUL = 1e-3  # alternatives so much less likely than the likeliest one are not named
# The plan is an approximation: the sums of few draws are no normal variables yet.
MARGIN, EXTRA = 1.2, 10
NEVER = 1e-12  # a probability that no number of draws shows
BINS = 4  # of numbers that are uniform if a hypothesis fits


@dataclass(frozen=True)
class Alternative:
    """A hypothesis that the cases tell from those under which a check is passed.

    Args:
        name: Its name, or several joined by "or" where the cases do not tell them apart.
        verdict: What it ends in.
        rows: By case what is drawn from.
    """

    name: str
    verdict: Verdict
    rows: Sequence[Row]


class SequentialTest:
    """Hypotheses, and the draws from some cases.

    A check is failed when every null hypothesis is out, by its e-value or by Pearson's test, and passed when all alternatives
    are. A target that has one of the null hypotheses fails only if that one is out: by its e-value, looked at whenever one
    likes, with a chance of at most `SHARE`, and by the one look of Pearson's test as often again, however many there are.

    Args:
        null: By name, by case what is drawn from where the check is passed, float64 [V]; the first is the dialect's own.
        alternatives: The others.
        planned: How many draws Pearson's test looks at; None takes all, for draws whose number is fixed.
        known: By case how many outcomes can be told apart; one behind them stands for all others, and its entry in a row says
            only whether they can come. All when left out.
    """

    def __init__(
        self,
        null: Mapping[str, Sequence[Row]],
        alternatives: Sequence[Alternative],
        *,
        planned: int | None = None,
        known: Sequence[int] | None = None,
    ) -> None:
        self.null, self.alternatives, self.planned = null, alternatives, planned
        self.rows = {**null, **{other.name: other.rows for other in alternatives}}
        self.own = next(iter(null.values()))
        self.widths = np.array([len(row) for row in self.own], dtype=np.int64)
        self.known = self.widths if known is None else np.array(known, dtype=np.int64)
        self._begins = np.cumsum(self.widths) - self.widths
        self._flat = {name: np.concatenate(rows) for name, rows in self.rows.items()}
        self._cases: list[Ints] = []
        self._outcomes: list[Ints] = []

    def add(self, case: int | Ints, outcomes: Ints) -> None:
        """Take draws in.

        Args:
            case: The case that they are from, or that of each, int64 [N].
            outcomes: int64 [N].
        """
        cases = np.broadcast_to(np.asarray(case, dtype=np.int64), outcomes.shape)
        self._cases.append(cases)
        self._outcomes.append(self._begins[cases] + outcomes)

    @property
    def draws(self) -> int:
        """How many draws there were."""
        return sum(map(len, self._outcomes))

    @property
    def failed(self) -> bool:
        """Whether there is enough against every null hypothesis."""
        return not self._left(self._likelihoods())

    @property
    def decided(self) -> bool:
        """Whether that is so, or there is enough against every alternative."""
        seen = self._likelihoods()
        return not self._left(seen) or all(found.crossed for found in self._excluded(seen).values())

    def e_value(self, name: str) -> float:
        """Return the evidence of all others against a hypothesis."""
        return self._likelihoods().against(name, EXCLUDED).e_value

    def finding(self) -> Finding:
        """Return what the draws say."""
        seen = self._likelihoods()
        out = {name: seen.against(name, OUT) for name in self.null}
        excluded, tests = self._excluded(seen), self._pearsons()
        left = self._left(seen)
        fitting = [name for name in left if tests[name].p_value >= SHARE]
        own = next(iter(self.null))
        if not left:
            verdict, evidence, draws = self._named(seen, out[own])
        elif not fitting:
            worst = max(tests[name].p_value for name in left)
            verdict, draws = Verdict.DEVIATES, self.draws
            evidence = f"{NONE_FITS}; Pearson's p-value {worst:.1e} after {draws} draws"
        else:
            verdict, evidence = self._passed(excluded, fitting[0], tests[fitting[0]])
            draws = self.draws
        values = {name: found.e_value for name, found in {**out, **excluded}.items()}
        return Finding(verdict, evidence, draws, self._detects(tests[own]), e_values=values)

    def _likelihoods(self) -> Likelihoods:
        """Return the likelihoods of all draws so far."""
        seen = Likelihoods([*self.rows, ANYTHING])
        if self.draws:
            cases, at = np.concatenate(self._cases), np.concatenate(self._outcomes)
            with np.errstate(divide="ignore"):
                logs = {name: np.log(flat[at]) for name, flat in self._flat.items()}
            seen.take({**logs, ANYTHING: anything(at, cases, self.widths)})
        return seen

    def _left(self, seen: Likelihoods) -> list[str]:
        """Return the null hypotheses that are not out by their e-values."""
        return [name for name in self.null if seen.against(name, OUT).crossed is None]

    def _excluded(self, seen: Likelihoods) -> dict[str, Evidence]:
        """Return the null hypotheses' evidence against each alternative."""
        names = [other.name for other in self.alternatives]
        return {name: seen.against(name, EXCLUDED, [*self.null]) for name in names}

    def _counts(self, most: int | None = None) -> list[Ints]:
        """Return by case how often each known outcome came, in the first so many draws."""
        at = np.concatenate([np.zeros(0, dtype=np.int64), *self._outcomes])[:most]
        found = np.bincount(at, minlength=int(self.widths.sum())).astype(np.int64)
        parts = zip(self._begins, self.known, strict=True)
        return [found[begin : begin + known] for begin, known in parts]

    def _known_rows(self, name: str) -> list[Row]:
        """Return by case what a hypothesis draws from, of the known outcomes."""
        return [row[:known] for row, known in zip(self.rows[name], self.known, strict=True)]

    def _pearsons(self) -> dict[str, Pearson]:
        """Return Pearson's test of each null hypothesis on the planned draws."""
        counts = self._counts(self.planned)
        return {name: pearson(counts, self._known_rows(name)) for name in self.null}

    def _named(self, seen: Likelihoods, against: Evidence) -> tuple[Verdict, str, int]:
        """Name what fits where the null hypotheses are out."""
        possible, draws = self.possible(seen), against.crossed or self.draws
        what = f"{next(iter(self.null))!r}: e-value {e_words(against.e_value)}, out after {draws} draws"
        words = " or ".join(other.name for other in possible) or NONE_FITS
        return verdict_of({other.verdict for other in possible}), f"{words}; {what}", draws

    def possible(self, seen: Likelihoods | None = None) -> list[Alternative]:
        """Return the alternatives that the draws do not exclude, not even by themselves, the likeliest first."""
        seen = seen or self._likelihoods()
        alive = [other for other in self.alternatives if self._fits(other.name, seen)]
        alive.sort(key=lambda other: -seen.final(other.name))
        least = seen.final(alive[0].name) + math.log(DOUBTFUL) if alive else 0.0
        return [other for other in alive if seen.final(other.name) > least]

    def _fits(self, name: str, seen: Likelihoods) -> bool:
        """Whether a hypothesis is not rejected by itself, neither case by case nor by what its draws have in common."""
        if seen.final(name) == -math.inf:
            return False
        return fitting(self._counts(), self._known_rows(name)) and self._uniform(name) > FALSE_ALARM

    def _uniform(self, name: str) -> float:
        """Return the p-value of the draws' probability integral transforms under a hypothesis."""
        cases, at = np.concatenate(self._cases), np.concatenate(self._outcomes)
        at = at[at - self._begins[cases] < self.known[cases]]
        below = np.concatenate([np.cumsum(row) - row for row in self.rows[name]])
        uniforms = placed(below[at], self._flat[name][at], np.random.default_rng(0).random(len(at)))
        return pearson([cells(uniforms, BINS)], [np.full(BINS, 1 / BINS)]).p_value

    def _passed(self, excluded: Mapping[str, Evidence], fit: str, test: Pearson) -> tuple[Verdict, str]:
        """Nothing speaks against a null hypothesis: are the alternatives out?"""
        left = [name for name, found in excluded.items() if found.crossed is None]
        if left:
            return Verdict.INCONCLUSIVE, f"after {self.draws} draws not excluded: {'; '.join(left)}"
        words = f"{fit}; Pearson's p-value {test.p_value:.2g} over {self.draws} draws"
        if excluded:
            last = max(found.crossed or 0 for found in excluded.values())
            words += f"; excluded after {last} draws: {'; '.join(excluded)}"
        return Verdict.CONFORMS, words

    def _detects(self, test: Pearson) -> str:
        """Return what so many draws notice, in words."""
        words: list[str] = []
        if self.alternatives:
            total = max(planned_draws(self.own, self.alternatives) * len(self.own), self.planned or 0)
            words.append(f"each of {len(self.alternatives)} named alternatives within about {total} draws")
        drawn = min(int(found.sum()) for found in self._counts())
        if any((row < NEVER).any() for row in self.own) and drawn:
            words.append(f"tokens that are never drawn, of mass {detectable_mass(drawn):.2g}")
        if test.degrees:
            words.append(f"any other of a relative error of {test.effect:.2g} (root mean square)")
        return "; ".join(words)


def verdict_of(verdicts: Collection[Verdict]) -> Verdict:
    """Return the verdict where each of some alternatives fits: if one is to be ignored, nothing else has to be assumed."""
    if Verdict.IGNORED in verdicts:
        return Verdict.IGNORED
    return next(iter(verdicts)) if len(verdicts) == 1 else Verdict.DEVIATES


def distinct(
    null: Mapping[str, Sequence[Row]], alternatives: Sequence[Alternative], same: float
) -> list[Alternative]:
    """Return the alternatives that some cases tell from the null hypotheses, and from one another.

    Args:
        null: By name, by case what is drawn from where the check is passed.
        alternatives: The others; of two that are the same the first one's verdict counts.
        same: Distributions closer than this are one.
    """
    found: list[Alternative] = []
    for other in alternatives:
        if any(alike(other.rows, rows, same) for rows in null.values()):
            continue
        twin = next((one for one in found if alike(other.rows, one.rows, same)), None)
        if twin is None:
            found.append(other)
        elif twin.verdict == other.verdict:
            found[found.index(twin)] = Alternative(f"{twin.name} or {other.name}", twin.verdict, twin.rows)
    return found


def planned_draws(own: Sequence[Row], alternatives: Sequence[Alternative]) -> int:
    """Draws of each case after which every alternative is told from the dialect's own hypothesis, whichever is served."""
    needed = [1.0]
    for other in alternatives:
        needed.append(draws_by_likelihood(own, other.rows, false_alarm=SHARE / len(alternatives)))
        needed.append(draws_by_likelihood(other.rows, own))
    return math.ceil(MARGIN * max(needed)) + EXTRA


def fitting(counts: Sequence[Ints], rows: Sequence[Row]) -> bool:
    """Whether a hypothesis is not rejected by itself: neither by Pearson's test nor by a universal e-value.

    Args:
        counts: By case how often each token was drawn, int64 [V].
        rows: By case what the hypothesis draws from, float64 [V].
    """
    return log_e_value(counts, rows) < math.log(EXCLUDED) and pearson(counts, rows).p_value > FALSE_ALARM


def e_words(value: float) -> str:
    """Return an e-value for people."""
    return "infinite (a token that it never draws)" if value == math.inf else f"{value:.2g}"
