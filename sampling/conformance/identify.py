"""Identification: which dialects a target is consistent with, by e-values over all of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import permutations
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from sampling.conformance.apart import SAME, gathered, told_apart
from sampling.conformance.callable_test import LEAST
from sampling.conformance.case_context import CaseContext
from sampling.conformance.distributions import alike
from sampling.conformance.endings import Refused
from sampling.conformance.fixtures import CLOSE, CLOSEST, EQUAL, LONG, RANKED, spaced, tied
from sampling.conformance.identity import Exclusion, Identification
from sampling.conformance.oracle import Row, probabilities
from sampling.conformance.sampling_case import SamplingCase
from sampling.conformance.semantics import Semantics
from sampling.conformance.sequential_test import EXTRA, MARGIN, e_words
from sampling.conformance.statistics.eprocess import Likelihoods
from sampling.conformance.statistics.pearson import pearson
from sampling.conformance.statistics.planning import draws_by_likelihood
from sampling.conformance.verdict import FALSE_ALARM
from sampling.dialects import DIALECTS

T = TypeVar("T")

IMPOSSIBLE = 1e6  # stands for the logarithm of an infinite ratio
PART = FALSE_ALARM / 4  # of two e-processes and two of Pearson's tests: with equal logits, and without
FIRST = 8  # draws of each question before all have been asked once; every round doubles them

# What dialects differ in, and a question that shows it. Which of equal logits an engine keeps is an accident of its sorting: a
# single token shows it, so that it would outweigh everything else if it were not also left out of the account. Of a dialect
# that keeps them in arbitrary order only their number is known: what speaks against it counts equal logits as one.
TIES: Mapping[str, SamplingCase] = {
    "how many of eight equal logits a top_p of 0.75 keeps": SamplingCase(EQUAL, {"top_p": 0.75}),
    "which of 32 equal logits top_p keeps": tied(64, "top_p"),
    "which of 32 equal logits top_k keeps": tied(64, "top_k"),
}
QUESTIONS: Mapping[str, SamplingCase] = {
    "the order of temperature and top_p": SamplingCase(spaced(), {"temperature": 0.5, "top_p": 0.9}),
    "top_k and top_p together": SamplingCase(spaced(), {"top_k": 5, "top_p": 0.8}),
    "the order of top_p and min_p": SamplingCase(spaced(), {"top_p": 0.85, "min_p": 0.15}),
    "small temperatures": SamplingCase(CLOSE, {"temperature": 1e-3}),
    "next to no temperature": SamplingCase(CLOSEST, {"temperature": 5e-7}),
    "what the repetition penalty counts": SamplingCase(
        spaced(offset=3.0), {"repetition_penalty": 2.0}, RANKED[:2], (RANKED[2],)
    ),
    "what the presence penalty counts": SamplingCase(
        spaced(offset=3.0), {"presence_penalty": 2.0}, RANKED[:2], (RANKED[2],)
    ),
    "the window of the presence penalty": SamplingCase(
        spaced(offset=3.0), {"presence_penalty": 2.0}, (), LONG
    ),
    "the order of bias and repetition penalty": SamplingCase(
        spaced(offset=1.1), {"logit_bias": {RANKED[0]: 2.0}, "repetition_penalty": 2.0}, (), RANKED[:1]
    ),
    **TIES,
}


class DialectIdentification:
    """Answers to the questions that the target answers, for some dialects.

    Args:
        dialects: The dialects.
        questions: By what dialects differ in, the question that shows it.

    Attributes:
        rows: By dialect and question, what would be drawn from.
        cells: And which tokens that tells apart.
    """

    def __init__(self, dialects: Mapping[str, Semantics], questions: Mapping[str, SamplingCase]) -> None:
        self.questions = questions
        self.rows = {name: each(questions, probabilities, one) for name, one in dialects.items()}
        self.cells = {name: each(questions, told_apart, one) for name, one in dialects.items()}
        self.answers: list[tuple[str, NDArray[np.int64]]] = []
        self.counts: dict[str, NDArray[np.int64]] = {}
        self.refused: set[str] = set()

    @property
    def answered(self) -> list[str]:
        """The questions that were not refused."""
        return list(self.counts)

    @property
    def apart_from_ties(self) -> list[str]:
        """Those of them that have no equal logits."""
        return [name for name in self.counts if name not in TIES]

    @property
    def draws(self) -> int:
        """How many tokens were drawn."""
        return int(sum(found.sum() for found in self.counts.values()))

    def ask(self, context: CaseContext, name: str, count: int) -> None:
        """Draw for one question; its parameters are noted if it is refused."""
        question = self.questions[name]
        try:
            tokens = context.draws(question, count)
        except Refused:
            self.refused |= {one for one in question.params if refuses(context, question, one)}
            return
        self.answers.append((name, tokens))
        found = np.bincount(tokens, minlength=len(question.logits))
        self.counts[name] = self.counts.get(name, 0) + found

    def of(self, dialect: str, asked: Sequence[str], against: str) -> list[Row]:
        """Return what a dialect draws from, for some questions, by the tokens that the one spoken against tells apart."""
        return [gathered(self.rows[dialect][name], self.cells[against][name]) for name in asked]

    def counted(self, asked: Sequence[str], against: str) -> list[NDArray[np.int64]]:
        """Return what was drawn, by the same."""
        cells = self.cells[against]
        return [np.bincount(cells[name], self.counts[name]).astype(np.int64) for name in asked]

    def likelihoods(self, asked: Sequence[str], against: str) -> Likelihoods:
        """How likely the answers to some questions are under every dialect, by the same."""
        rows = {name: dict(zip(asked, self.of(name, asked, against), strict=True)) for name in self.rows}
        seen = Likelihoods(list(rows))
        for question, tokens in self.answers:
            if question in asked:
                cells = self.cells[against][question][tokens]
                seen.add(cells, {name: by_question[question] for name, by_question in rows.items()})
        return seen

    def telling(self, dialect: str, other: str, asked: Sequence[str]) -> str:
        """Of some questions the one whose answers speak most against one dialect and for another."""

        def gain(name: str) -> float:
            (p,), (q,) = self.of(dialect, [name], dialect), self.of(other, [name], dialect)
            (found,) = self.counted([name], dialect)
            drawn = found > 0
            with np.errstate(divide="ignore", invalid="ignore"):
                ratios = found[drawn] * (np.log(q[drawn]) - np.log(p[drawn]))
            return float(np.nan_to_num(ratios, nan=0.0, posinf=IMPOSSIBLE, neginf=-IMPOSSIBLE).sum())

        return max(asked, key=gain)


def each(
    questions: Mapping[str, SamplingCase], look: Callable[[SamplingCase, Semantics], T], semantics: Semantics
) -> dict[str, T]:
    """Return what a reading makes of every question."""
    return {words: look(question, semantics) for words, question in questions.items()}


def refuses(context: CaseContext, question: SamplingCase, parameter: str) -> bool:
    """Whether one parameter of a question is refused by itself."""
    try:
        context.draws(replace(question, params={parameter: question.params[parameter]}), 1)
    except Refused:
        return True
    return False


def identify(context: CaseContext) -> Identification:
    """Ask what tells the dialects apart, and exclude those under which the answers are next to impossible.

    The evidence against a dialect is the mean of the others' likelihood ratios to it, an e-process; it is out when that
    reaches 4e6, or where Pearson's test has a p-value below 1e-6 / 4. Both are taken with the questions about equal logits and
    without them: the right dialect is excluded with a chance of at most 1e-6. One that lacks a parameter is taken to ignore it.

    The dialects that are left are the winners, but for those that take parameters which the target refuses.
    """
    dialects = {name: Semantics.of(dialect) for name, dialect in DIALECTS.items()}
    questions = {name: context.posed(case) for name, case in QUESTIONS.items() if context.can_ask(case)}
    interview = DialectIdentification(dialects, questions)
    for name in questions:
        interview.ask(context, name, FIRST)
    done, count = FIRST, min(planned(interview), context.most_draws)
    while done < count:
        step = min(done, count - done)
        for name in interview.answered:
            interview.ask(context, name, step)
        done += step
    return identified(interview, dialects)


def planned(interview: DialectIdentification) -> int:
    """Draws of each question after which every dialect is told from every other, where the answers can tell them."""
    limit = PART / (len(interview.rows) - 1)
    needed = [LEAST]
    for asked in (interview.answered, interview.apart_from_ties):
        for one, other in permutations(interview.rows, 2):
            p, q = interview.of(one, asked, one), interview.of(other, asked, one)
            if not alike(p, q, SAME):
                needed.append(math.ceil(MARGIN * draws_by_likelihood(p, q, false_alarm=limit)) + EXTRA)
    return max(needed)


def identified(interview: DialectIdentification, dialects: Mapping[str, Semantics]) -> Identification:
    """Return what the answers say."""
    asked = interview.apart_from_ties
    untied = excluded_by(interview, asked)
    excluded = {**excluded_by(interview, interview.answered), **untied}
    left = [name for name in dialects if name not in excluded]
    missing = {name: sorted(interview.refused & set(dialects[name].stages)) for name in left}
    fewest = min((len(names) for names in missing.values()), default=0)
    winners = tuple(name for name in left if len(missing[name]) == fewest)
    return Identification(
        winners,
        excluded,
        {name: f"it takes {', '.join(missing[name])}, refused here" for name in left if name not in winners}
        | apart(interview, winners),
        interview.draws,
        tuple(sorted(interview.refused)),
        tuple(
            name
            for name in excluded
            if name not in untied and not interview.refused & set(dialects[name].stages)
        ),
    )


def excluded_by(interview: DialectIdentification, asked: Sequence[str]) -> dict[str, Exclusion]:
    """Return the dialects that are out by the answers to some questions, and why: to all, or to those without equal logits."""
    found: dict[str, Exclusion] = {}
    for name in interview.rows:
        seen = interview.likelihoods(asked, name)
        best = max(interview.rows, key=seen.final)
        counts = interview.counted(asked, name)
        against, test = seen.against(name, 1 / PART), pearson(counts, interview.of(name, asked, name))
        if against.crossed is not None:
            words = f"e-value {e_words(against.e_value)}, out after {against.crossed} draws"
            if name != best:
                words += f" ({interview.telling(name, best, asked)})"
            found[name] = Exclusion(against.e_value, against.crossed, words)
        elif test.p_value < PART:
            draws = int(sum(count.sum() for count in counts))
            words = f"Pearson's p-value {test.p_value:.1e} after {draws} draws"
            found[name] = Exclusion(against.e_value, draws, words)
    return found


def apart(interview: DialectIdentification, winners: Sequence[str]) -> dict[str, str]:
    """Return what would tell winners from one another: the questions that were refused, or more draws."""
    words: dict[str, str] = {}
    for name in winners[1:]:
        differs = [
            question
            for question in interview.questions
            if not alike(
                interview.of(name, [question], name), interview.of(winners[0], [question], name), SAME
            )
        ]
        asked = "more draws of" if set(differs) & set(interview.answered) else "answers to"
        words[name] = f"from {winners[0]}: {asked} {', '.join(differs) or 'no question that there is'}"
    return words
