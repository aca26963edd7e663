"""The sampled tokens of a trace as draws from questions."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sampling.conformance.oracle import NEUTRAL, probabilities
from sampling.conformance.question import Question
from sampling.conformance.semantics import Semantics
from sampling.conformance.trace.record import Record
from sampling.dialects import TRUNCATIONS, parts

Row = NDArray[np.float64]

LARGEST_VOCABULARY = 2**18
NEGLIGIBLE = 1e-6  # mass of all tokens of which nothing is known
GUARD = 1e-4  # of mass: a boundary of top_p closer than this to a token's may be rounding


@dataclass(frozen=True)
class Step:
    """One sampled token, and what it was sampled from as far as the trace tells.

    Ids count in the question: the known tokens, then one that stands for all others and can not be drawn, then, where
    nothing but their sum matters, one that stands for all others and can.

    Args:
        question: Logits of the model, up to a constant where that plays no part; parameters and past.
        token: Which was sampled.
        has_prompt: Whether the prompt is known.
        mode: Which distribution the log probabilities are of.
    """

    question: Question
    token: int
    has_prompt: bool
    mode: str

    @cached_property
    def uses(self) -> frozenset[str]:
        """The parameters that do something."""
        given = self.question.params
        return frozenset(name for name in given if given[name] != NEUTRAL[name])


def steps_of(records: Sequence[Record]) -> list[Step]:
    """The tokens of a trace whose distributions are known well enough."""
    return [step for record in records for step in steps_in(record)]


def steps_in(record: Record) -> Iterator[Step]:
    """The usable tokens of one record."""
    given = {name: record.params[name] for name in NEUTRAL if record.params.get(name) is not None}
    bias = {int(token): float(value) for token, value in given.get("logit_bias", {}).items()}
    for place, listed in enumerate(record.top_logprobs):
        # by id: an order in which the sampled token has a place of its own would bias the integral transform
        known = {entry.id: entry.logprob for entry in sorted(listed, key=lambda entry: entry.id)}
        if record.token_ids[place] not in known or not bias.keys() <= known.keys():
            continue
        level = level_at(record, place, given)
        step = None if level is None else step_of(known, level, {**given, "logit_bias": bias}, record, place)
        if step is not None:
            yield step


def level_at(record: Record, place: int, given: Mapping[str, Any]) -> float | None:
    """What to add to log probabilities for a question's logits; None if it is not known and matters.

    Nothing but the repetition penalty, which multiplies logits or divides them, is not the same for all levels.
    """
    if record.logprob_mode != "raw" or given.get("repetition_penalty", 1.0) == 1.0:
        return 0.0
    return None if record.log_normalizers is None else record.log_normalizers[place]


def step_of(
    known: Mapping[int, float], level: float, params: Mapping[str, Any], record: Record, place: int
) -> Step | None:
    """A token as a draw; None if what is not known of the distribution matters."""
    past, token = record.token_ids[:place], record.token_ids[place]
    local = {token_id: index for index, token_id in enumerate(known)}
    logits = np.array([*known.values(), -math.inf], dtype=np.float32) + np.float32(level)
    own = {**params, "logit_bias": {local[i]: value for i, value in params["logit_bias"].items()}}
    other = len(local)
    prompt = tuple(local.get(i, other) for i in record.prompt_ids or ())
    question = Question(logits, own, prompt, tuple(local.get(i, other) for i in past))
    rest = max(1 - float(np.exp([*known.values()]).sum()), 0.0)
    step = Step(question, local[token], record.prompt_ids is not None, record.logprob_mode)
    # other log probabilities than raw ones have temperature, penalties and biases in them
    unknown = rest_bound(rest, level, question) if record.logprob_mode == "raw" else rest
    if unknown <= NEGLIGIBLE:
        return step
    if step.uses <= {"logit_bias"} and rest < 1:
        whole = np.append(logits, np.float32(math.log(rest)))
        return replace(step, question=replace(question, logits=whole))
    return None


def rest_bound(rest: float, level: float, question: Question) -> float:
    """The largest mass that tokens of which nothing is known can have, truncations left out of the account.

    Each has a share q of m = rest e^level, and its logit is log(q m). A repetition penalty multiplies this by something from
    low = min(penalty, 1 / penalty) to 1 / low, and a temperature t divides it, so that the token weighs (q m)^a with some
    a >= low / t: at most q^(low / t) times the largest m^a. As the shares add up to 1, the sum of q^(low / t) over V tokens is
    at most V^max(0, 1 - low / t).

    Args:
        rest: Their mass before anything.
        level: What logits are above log probabilities.
        question: What is known; the last of its logits stands for them.
    """
    if rest <= 0:
        return 0.0
    given = {**NEUTRAL, **question.params}
    t, penalty, biases = given["temperature"], given["repetition_penalty"], given["logit_bias"]
    low, high = sorted((penalty, 1 / penalty))
    *known, other = (shifts(question, place) for place in range(len(question.logits)))
    gaps: list[float] = []
    for order in (bias_first, bias_last):
        top = max(
            min(order(float(question.logits[place]), biases.get(place, 0.0), least, x) for x in (low, high))
            for place, (least, _) in enumerate(known)
        )
        gaps.append(max(order(math.log(rest) + level, 0.0, other[1], x) for x in (low, high)) - top)
    if t == 0:
        return 0.0 if max(gaps) < 0 else 1.0
    spread = max(0.0, 1 - low / t) * math.log(LARGEST_VOCABULARY)
    return math.exp(min(max(gaps) / t + spread, 0.0))


def shifts(question: Question, token: int) -> tuple[float, float]:
    """The least and the most that frequency and presence penalty can add to a token's logit, whatever they count."""
    count = (*question.prompt_ids, *question.output_ids).count(token)
    given = {**NEUTRAL, **question.params}
    added = (-given["frequency_penalty"] * count, -given["presence_penalty"] * min(count, 1))
    return sum(min(value, 0.0) for value in added), sum(max(value, 0.0) for value in added)


def bias_first(logit: float, bias: float, shift: float, factor: float) -> float:
    """Logits where the bias comes before the penalties, as in vLLM."""
    return (logit + bias) * factor + shift


def bias_last(logit: float, bias: float, shift: float, factor: float) -> float:
    """Logits where it comes after them, as in SGLang."""
    return (logit + shift) * factor + bias


def row_of(step: Step, reading: Semantics) -> Row:
    """What a reading draws from; stages that the trace's log probabilities have in them already are left out."""
    return row(step.question, step.mode, reading)


@lru_cache(maxsize=2**14)
def row(question: Question, mode: str, reading: Semantics) -> Row:
    """The same: a trace asks few questions, and each of them many times."""
    if mode != "raw":
        left = tuple(stage for stage in reading.order if set(parts(stage)) & set(TRUNCATIONS))
        reading = replace(reading, order=left if mode == "temperature" else ())
    found = probabilities(question, reading)
    found.flags.writeable = False
    return found


def delicate(step: Step, reading: Semantics) -> bool:
    """Whether rounding could move a boundary of top_p over a token."""
    p = step.question.params.get("top_p", 1.0)
    if not 0 < p < 1:
        return False
    near = (
        replace(step, question=replace(step.question, params={**step.question.params, "top_p": p + e}))
        for e in (-GUARD, GUARD)
    )
    kept = [row_of(other, reading) > 0 for other in near]
    return bool((kept[0] != kept[1]).any())
