"""The comparison of what is drawn with what is expected, and with what else it could be."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from sampling.conformance.apart import SAME, Cells, gathered, told_apart
from sampling.conformance.distributions import alike
from sampling.conformance.oracle import Row, probabilities
from sampling.conformance.sampling_case import SamplingCase
from sampling.conformance.semantics import Semantics
from sampling.conformance.statistics.eprocess import Evidence, Likelihoods
from sampling.conformance.statistics.pearson import Pearson, pearson
from sampling.conformance.statistics.pit import cells as uniform_cells
from sampling.conformance.statistics.planning import detectable_mass, draws_by_likelihood
from sampling.conformance.statistics.universal import log_e_value
from sampling.conformance.verdict import FALSE_ALARM, SHARE, Finding, Verdict

NULL = "the dialect's reading"
ALWAYS = "always the arg max"
FIRST = 64  # draws of each question before the first look; every look doubles them
LEAST = 250  # draws of each question, so that Pearson's test has a few cells
NAMING = 1000  # draws of each question before a reading is named that is not the dialect's
# The plan is an approximation: the sums of few draws are no normal variables yet.
MARGIN, EXTRA = 1.2, 10
NEVER = 1e-12  # a probability that no number of draws shows
EXCLUDED = 1 / FALSE_ALARM
BINS = 4  # of numbers that are uniform if a reading fits


@dataclass(frozen=True)
class Hypothesis:
    """Another reading of the specification.

    Args:
        name: In words that follow "it is".
        semantics: The reading.
        verdict: What a target that has it ends with.
    """

    name: str
    semantics: Semantics
    verdict: Verdict = Verdict.DEVIATES


class Drawing(Protocol):
    """What a comparison needs of a lab."""

    @property
    def semantics(self) -> Semantics:
        """What is expected."""
        ...

    @property
    def least_draws(self) -> int:
        """Draws of each question to make at least."""
        ...

    @property
    def most_draws(self) -> int:
        """Draws of each question to make at most."""
        ...

    def draws(self, question: SamplingCase, count: int) -> NDArray[np.int64]:
        """Tokens of independent requests; fewer than asked for if a budget is used up."""
        ...


@dataclass(frozen=True)
class AlternativeHypothesis:
    """A reading that the questions tell from the dialect's.

    Args:
        name: Its name, or several joined by "or" where the questions do not tell them apart.
        verdict: What it ends in.
        rows: By question what it draws from.
    """

    name: str
    verdict: Verdict
    rows: list[Row]


def compare(
    lab: Drawing,
    questions: Sequence[SamplingCase],
    readings: Sequence[Hypothesis],
    *,
    least: int | None = None,
) -> Finding:
    """Ask questions until the answers say which reading the target has, or the promised number is reached.

    Args:
        lab: Who asks.
        questions: What is asked, equally often each.
        readings: Named alternatives; those that the questions do not tell from the dialect's are left out. That the most
            likely token is always taken is one more.
        least: Draws of each question to make at least; the lab's number when left out.

    Returns:
        Conforms only if every alternative is excluded by an e-value of 1e6 and Pearson's test has nothing to say either.
    """
    return sequential_test(lab, questions, readings, least=least).finding()


def sequential_test(
    lab: Drawing,
    questions: Sequence[SamplingCase],
    readings: Sequence[Hypothesis],
    *,
    least: int | None = None,
) -> SequentialTest:
    """Ask questions as `compare` does."""
    cells = [told_apart(question, lab.semantics) for question in questions]
    own = rows_of(questions, lab.semantics, cells)
    always = Hypothesis(ALWAYS, replace(lab.semantics, arg_max=True))
    rivals = distinct(own, questions, [*readings, always], cells)
    trial = SequentialTest(own, rivals, cells, plan(own, rivals))
    count = min(max(trial.planned, lab.least_draws if least is None else least, LEAST), lab.most_draws)
    trial.ask(lab, questions, count)
    if trial.seen.against(NULL, 1 / SHARE).crossed is not None:
        trial.ask(lab, questions, min(NAMING, lab.most_draws) - count)
    return trial


def rows_of(questions: Sequence[SamplingCase], semantics: Semantics, cells: Sequence[Cells]) -> list[Row]:
    """By question what a reading draws from, cell by cell."""
    rows = [probabilities(question, semantics) for question in questions]
    return [gathered(row, of) for row, of in zip(rows, cells, strict=True)]


def distinct(
    own: list[Row], questions: Sequence[SamplingCase], readings: Sequence[Hypothesis], cells: Sequence[Cells]
) -> list[AlternativeHypothesis]:
    """Return the readings that these questions tell from the dialect's, and from one another."""
    rivals: list[AlternativeHypothesis] = []
    for reading in readings:
        rows = rows_of(questions, reading.semantics, cells)
        if alike(rows, own, SAME):
            continue
        twin = next((rival for rival in rivals if alike(rows, rival.rows, SAME)), None)
        if twin is None:
            rivals.append(AlternativeHypothesis(reading.name, reading.verdict, rows))
        elif twin.verdict == reading.verdict:
            rivals[rivals.index(twin)] = AlternativeHypothesis(
                f"{twin.name} or {reading.name}", twin.verdict, rows
            )
    return rivals


def plan(own: list[Row], rivals: Sequence[AlternativeHypothesis]) -> int:
    """Draws of each question after which every rival is told from the dialect's reading, whichever of the two is served."""
    needed = [1.0]
    for rival in rivals:
        needed.append(draws_by_likelihood(own, rival.rows, false_alarm=SHARE / len(rivals)))
        needed.append(draws_by_likelihood(rival.rows, own))
    return math.ceil(MARGIN * max(needed)) + EXTRA


class SequentialTest:
    """Answers to questions, and what they say about the readings.

    Args:
        own: By question what the dialect draws from.
        rivals: The other readings.
        cells: By question the cell of each token that rows and counts are by; a cell for each when left out.
        planned: Draws of each question that were promised.
    """

    def __init__(
        self,
        own: list[Row],
        rivals: Sequence[AlternativeHypothesis],
        cells: Sequence[Cells] | None = None,
        planned: int = 0,
    ) -> None:
        self.own, self.rivals, self.planned = own, rivals, planned
        self.cells = [np.arange(len(p)) for p in own] if cells is None else cells
        self.rows = {NULL: own, **{rival.name: rival.rows for rival in rivals}}
        self.seen = Likelihoods(list(self.rows))
        self.counts = [np.zeros(len(p), dtype=np.int64) for p in own]

    @property
    def draws(self) -> int:
        """How many tokens were drawn."""
        return int(sum(found.sum() for found in self.counts))

    def ask(self, lab: Drawing, questions: Sequence[SamplingCase], count: int) -> None:
        """Draw so many tokens for each question, the questions in turn."""
        done, step = 0, min(FIRST, count)
        while done < count:
            for place, question in enumerate(questions):
                self.add(place, lab.draws(question, step))
            done += step
            step = min(done, count - done)

    def add(self, place: int, tokens: NDArray[np.int64]) -> None:
        """Take the answers to one question in."""
        tokens = self.cells[place][tokens]
        self.seen.add(tokens, {name: rows[place] for name, rows in self.rows.items()})
        self.counts[place] += np.bincount(tokens, minlength=len(self.own[place]))

    def finding(self) -> Finding:
        """Return what the answers say."""
        against = self.seen.against(NULL, 1 / SHARE)
        test = pearson(self.counts, self.own)
        excluded = {rival.name: self.seen.against(rival.name, EXCLUDED, [NULL]) for rival in self.rivals}
        values = {NULL: against.e_value, **{name: found.e_value for name, found in excluded.items()}}
        if against.crossed is not None:
            verdict, evidence, draws = self.named(against)
        elif test.p_value < SHARE:
            verdict, evidence, draws = self.unnamed(test)
        else:
            verdict, evidence, draws = self.passed(excluded, test)
        return Finding(verdict, evidence, draws, self.detects(test), e_values=values)

    def named(self, against: Evidence) -> tuple[Verdict, str, int]:
        """Name the reading that fits where the dialect's is out."""
        draws = against.crossed or self.draws
        possible = self.possible()
        what = f"{NULL}: e-value {e_words(against.e_value)}, out after {draws} draws"
        if not possible:
            return Verdict.DEVIATES, f"no named reading fits; {what}", draws
        verdicts = {rival.verdict for rival in possible}
        verdict = verdicts.pop() if len(verdicts) == 1 else Verdict.DEVIATES
        return verdict, f"{' or '.join(rival.name for rival in possible)}; {what}", draws

    def possible(self) -> list[AlternativeHypothesis]:
        """Return the rivals that the draws do not exclude, not even by themselves, the likeliest first."""
        alive = [rival for rival in self.rivals if fitting(self.counts, rival.rows)]
        alive.sort(key=lambda rival: -self.seen.final(rival.name))
        return [
            rival
            for rival in alive
            if self.seen.final(alive[0].name) - self.seen.final(rival.name) < math.log(EXCLUDED)
        ]

    def unnamed(self, test: Pearson) -> tuple[Verdict, str, int]:
        """No named reading is better, and yet the draws are not what they should be."""
        words = f"no named reading fits; Pearson's p-value {test.p_value:.1e} after {self.draws} draws"
        return Verdict.DEVIATES, words, self.draws

    def passed(self, excluded: Mapping[str, Evidence], test: Pearson) -> tuple[Verdict, str, int]:
        """Nothing speaks against the dialect's reading: are the others out?"""
        left = [name for name, found in excluded.items() if found.crossed is None]
        if left:
            words = f"after {self.draws} draws not excluded: {'; '.join(left)}"
            return Verdict.INCONCLUSIVE, words, self.draws
        last = max((found.crossed or 0 for found in excluded.values()), default=0)
        words = f"as the dialect has it; Pearson's p-value {test.p_value:.2g} over {self.draws} draws"
        if excluded:
            words += f"; excluded after {last} draws: {'; '.join(excluded)}"
        return Verdict.CONFORMS, words, self.draws

    def detects(self, test: Pearson) -> str:
        """Return what so many draws notice, in words."""
        words: list[str] = []
        if self.rivals:
            total = self.planned * len(self.own)
            words.append(f"each of {len(self.rivals)} named readings within {total} draws")
        drawn = min(int(found.sum()) for found in self.counts)
        if any((p < NEVER).any() for p in self.own) and drawn:
            words.append(f"tokens that are never drawn, of mass {detectable_mass(drawn):.2g}")
        if test.degrees:
            words.append(f"any other of a relative error of {test.effect:.2g} (root mean square)")
        return "; ".join(words)


def fitting(counts: Sequence[NDArray[np.int64]], rows: Sequence[Row]) -> bool:
    """Whether a reading is not rejected by itself: neither by Pearson's test nor by a universal e-value.

    Args:
        counts: By question how often each token was drawn, int64 [V].
        rows: By question what the reading draws from, float64 [V].
    """
    return log_e_value(counts, rows) < math.log(EXCLUDED) and pearson(counts, rows).p_value > FALSE_ALARM


def settled(seen: Likelihoods, rival: AlternativeHypothesis, uniforms: Row, detects: str) -> Finding:
    """Return what likelihoods say where there is one alternative, and no table of counts.

    Args:
        seen: The likelihoods under `NULL` and the rival.
        rival: The alternative; its rows are not looked at.
        uniforms: The draws' probability integral transforms under the rival, float64 [N].
        detects: The finding's `detects`.
    """
    draws = len(uniforms)
    against, other = seen.against(NULL, EXCLUDED), seen.against(rival.name, EXCLUDED)
    values = {NULL: against.e_value, rival.name: other.e_value}
    if against.crossed is not None:
        even = [np.full(BINS, 1 / BINS)]
        fits = seen.final(rival.name) > -math.inf and (
            pearson([uniform_cells(uniforms, BINS)], even).p_value > FALSE_ALARM
        )
        name, verdict = (rival.name, rival.verdict) if fits else ("no named reading fits", Verdict.DEVIATES)
        words = f"{name}; {NULL}: e-value {e_words(against.e_value)}, out after {against.crossed} draws"
        return Finding(verdict, words, against.crossed, detects, e_values=values)
    if other.crossed is None:
        return Finding(
            Verdict.INCONCLUSIVE,
            f"after {draws} draws not excluded: {rival.name}",
            draws,
            detects,
            e_values=values,
        )
    words = f"as the dialect has it; excluded after {other.crossed} draws: {rival.name}"
    return Finding(Verdict.CONFORMS, words, draws, detects, e_values=values)


def e_words(value: float) -> str:
    """Return an e-value for people."""
    return "infinite (a token that it never draws)" if value == math.inf else f"{value:.2g}"
