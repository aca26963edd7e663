"""Identification: which dialects a target is consistent with, by e-values over all of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import permutations

import numpy as np
from numpy.typing import NDArray

from sampling.conformance.comparison import EXTRA, MARGIN, e_words, equal
from sampling.conformance.endings import Refused
from sampling.conformance.fixtures import CLOSE, EQUAL, LONG, RANKED, TIED, spaced
from sampling.conformance.identity import Exclusion, Identification
from sampling.conformance.lab import Lab
from sampling.conformance.oracle import Row, probabilities
from sampling.conformance.question import Question
from sampling.conformance.semantics import Semantics
from sampling.conformance.statistics.eprocess import Likelihoods
from sampling.conformance.statistics.pearson import pearson
from sampling.conformance.statistics.planning import draws_by_likelihood
from sampling.conformance.verdict import FALSE_ALARM
from sampling.dialects import DIALECTS

IMPOSSIBLE = 1e6  # stands for the logarithm of an infinite ratio
FIRST = 8  # draws of each question before all have been asked once; every round doubles them

# What dialects differ in, and a question that shows it.
QUESTIONS: Mapping[str, Question] = {
    "the order of temperature and top_p": Question(spaced(), {"temperature": 0.5, "top_p": 0.9}),
    "which of eight equal logits a top_p of 0.75 keeps": Question(EQUAL, {"top_p": 0.75}),
    "which of eight equal logits a top_p of 0.6 keeps": Question(EQUAL, {"top_p": 0.6}),
    "which of three equal logits a top_k of 2 keeps": Question(TIED, {"top_k": 2}),
    "top_k and top_p together": Question(spaced(), {"top_k": 5, "top_p": 0.8}),
    "the order of top_p and min_p": Question(spaced(), {"top_p": 0.85, "min_p": 0.15}),
    "small temperatures": Question(CLOSE, {"temperature": 1e-3}),
    "equal logits at next to no temperature": Question(TIED, {"temperature": 5e-7}),
    "what the repetition penalty counts": Question(
        spaced(offset=3.0), {"repetition_penalty": 2.0}, RANKED[:2], (RANKED[2],)
    ),
    "what the presence penalty counts": Question(
        spaced(offset=3.0), {"presence_penalty": 2.0}, RANKED[:2], (RANKED[2],)
    ),
    "the window of the presence penalty": Question(spaced(offset=3.0), {"presence_penalty": 2.0}, (), LONG),
    "the order of bias and repetition penalty": Question(
        spaced(offset=1.1), {"logit_bias": {RANKED[0]: 2.0}, "repetition_penalty": 2.0}, (), RANKED[:1]
    ),
}


@dataclass
class Interview:
    """Answers to the questions that the target answers.

    Args:
        rows: By dialect and question what would be drawn from.
    """

    rows: Mapping[str, Mapping[str, Row]]
    seen: Likelihoods = field(init=False)
    counts: dict[str, NDArray[np.int64]] = field(init=False, default_factory=dict[str, NDArray[np.int64]])
    refused: set[str] = field(init=False, default_factory=set[str])

    def __post_init__(self) -> None:
        """Begin with no answers."""
        self.seen = Likelihoods(list(self.rows))

    @property
    def answered(self) -> list[str]:
        """The questions that were not refused."""
        return list(self.counts)

    @property
    def draws(self) -> int:
        """How many tokens were drawn."""
        return int(sum(found.sum() for found in self.counts.values()))

    def ask(self, lab: Lab, name: str, count: int) -> None:
        """Draw for one question; its parameters are noted if it is refused."""
        question = QUESTIONS[name]
        try:
            tokens = lab.draws(question, count)
        except Refused:
            self.refused |= {one for one in question.params if refuses(lab, question, one)}
            return
        self.seen.add(tokens, {dialect: rows[name] for dialect, rows in self.rows.items()})
        found = np.bincount(tokens, minlength=len(question.logits))
        self.counts[name] = self.counts.get(name, 0) + found

    def of(self, dialect: str) -> list[Row]:
        """What a dialect draws from, for the questions that were answered."""
        return [self.rows[dialect][name] for name in self.answered]

    def telling(self, dialect: str, other: str) -> str:
        """The question whose answers speak most against one dialect and for another."""

        def gain(name: str) -> float:
            p, q = self.rows[dialect][name], self.rows[other][name]
            drawn = self.counts[name] > 0
            with np.errstate(divide="ignore", invalid="ignore"):
                ratios = self.counts[name][drawn] * (np.log(q[drawn]) - np.log(p[drawn]))
            return float(np.nan_to_num(ratios, nan=0.0, posinf=IMPOSSIBLE, neginf=-IMPOSSIBLE).sum())

        return max(self.answered, key=gain)


def refuses(lab: Lab, question: Question, parameter: str) -> bool:
    """Whether one parameter of a question is refused by itself."""
    try:
        lab.draws(replace(question, params={parameter: question.params[parameter]}), 1)
    except Refused:
        return True
    return False


def identify(lab: Lab) -> Identification:
    """Ask what tells the dialects apart, and exclude those under which the answers are next to impossible.

    The evidence against a dialect is the mean of the others' likelihood ratios to it, an e-process; it is out at 1e6, or
    where Pearson's test has a p-value below 1e-6. A dialect that lacks a parameter is taken to ignore it.

    Args:
        lab: Its target is asked; its dialect plays no part.

    Returns:
        The dialects that are left are the winners, but for those that take parameters which the target refuses.
    """
    dialects = {name: Semantics.of(dialect) for name, dialect in DIALECTS.items()}
    rows = {
        name: {words: probabilities(question, semantics) for words, question in QUESTIONS.items()}
        for name, semantics in dialects.items()
    }
    interview = Interview(rows)
    for name in QUESTIONS:
        interview.ask(lab, name, FIRST)
    done, count = FIRST, min(planned(interview), lab.most_draws)
    while done < count:
        step = min(done, count - done)
        for name in interview.answered:
            interview.ask(lab, name, step)
        done += step
    return identified(interview, dialects)


def planned(interview: Interview) -> int:
    """Draws of each question after which every dialect is told from every other, where the answers can tell them."""
    limit = FALSE_ALARM / (len(interview.rows) - 1)
    needed = [FIRST]
    for one, other in permutations(interview.rows, 2):
        if not equal(interview.of(one), interview.of(other)):
            draws = draws_by_likelihood(interview.of(one), interview.of(other), false_alarm=limit)
            needed.append(math.ceil(MARGIN * draws) + EXTRA)
    return max(needed)


def identified(interview: Interview, dialects: Mapping[str, Semantics]) -> Identification:
    """What the answers say."""
    best = max(dialects, key=interview.seen.final)
    excluded = {name: out for name in dialects if (out := exclusion(interview, name, best)) is not None}
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
    )


def exclusion(interview: Interview, name: str, best: str) -> Exclusion | None:
    """Why a dialect is out, if it is."""
    against = interview.seen.against(name, 1 / FALSE_ALARM)
    if against.crossed is not None:
        reason = f"e-value {e_words(against.e_value)}, out after {against.crossed} draws"
        if name != best:
            reason += f" ({interview.telling(name, best)})"
        return Exclusion(against.e_value, against.crossed, reason)
    test = pearson([*interview.counts.values()], interview.of(name))
    if test.p_value < FALSE_ALARM:
        return Exclusion(
            against.e_value,
            interview.draws,
            f"Pearson's p-value {test.p_value:.1e} after {interview.draws} draws",
        )
    return None


def apart(interview: Interview, winners: Sequence[str]) -> dict[str, str]:
    """What would tell winners from one another: the questions that were refused, or more draws."""
    words: dict[str, str] = {}
    for name in winners[1:]:
        differs = [
            question
            for question in QUESTIONS
            if not equal([interview.rows[name][question]], [interview.rows[winners[0]][question]])
        ]
        asked = "more draws of" if set(differs) & set(interview.answered) else "answers to"
        words[name] = f"from {winners[0]}: {asked} {', '.join(differs) or 'no question that there is'}"
    return words
