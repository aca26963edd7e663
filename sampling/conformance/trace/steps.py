"""The sampled tokens of a trace as draws from cases."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sampling.conformance.oracle import NEUTRAL, NOT_SEEN, probabilities
from sampling.conformance.sampling_case import SamplingCase
from sampling.conformance.semantics import Semantics
from sampling.conformance.trace.record import Record
from sampling.dialects import parts

Row = NDArray[np.float64]

LARGEST_VOCABULARY = 2**18
NEGLIGIBLE = 1e-6  # mass of all tokens of which nothing is known
GUARD = 1e-4  # of mass: a boundary of top_p closer than this to a token's may be rounding


@dataclass(frozen=True, eq=False)
class Situation:
    """What tokens were sampled from, as far as the trace tells.

    Ids count in the case: the known tokens, then one that stands for all others and cannot be drawn, then, where
    nothing but their sum matters, one that stands for all others and can.

    Args:
        case: Logits of the model, up to a constant where that plays no part; parameters and past.
        has_prompt: Whether the prompt is known.
        mode: Which distribution the log probabilities are of.
    """

    case: SamplingCase
    has_prompt: bool
    mode: str

    @cached_property
    def uses(self) -> frozenset[str]:
        """The parameters that do something."""
        given = self.case.params
        return frozenset(name for name in given if given[name] != NEUTRAL[name])


class Step(NamedTuple):
    """One sampled token.

    Args:
        situation: What it was sampled from.
        token: Which it was, as the case counts.
    """

    situation: Situation
    token: int


# A situation, and the places of the known tokens in its case.
Known = tuple[Situation, Mapping[int, int]]


def steps_of(records: Iterable[Record]) -> Iterator[Step]:
    """Yield the tokens of a trace whose distributions are known well enough; what is told alike is one situation."""
    seen: dict[Any, Known | None] = {}
    for record in records:
        yield from steps_in(record, seen)


def steps_in(record: Record, seen: dict[Any, Known | None] | None = None) -> Iterator[Step]:
    """Yield the usable tokens of one record."""
    seen = {} if seen is None else seen
    given = {name: record.params[name] for name in NEUTRAL if record.params.get(name) is not None}
    levels = record.log_normalizers or [None] * len(record.token_ids)
    prompt = None if record.prompt_ids is None else tuple(record.prompt_ids)
    alike = (repr(given), prompt, record.logprob_mode)
    for place, (token, listed) in enumerate(zip(record.token_ids, record.top_logprobs, strict=True)):
        past = tuple(record.token_ids[:place])
        key = (id(listed), levels[place], past, alike)
        if key not in seen:
            seen[key] = known_at(record, place, given)
        known = seen[key]
        if known is not None and token in known[1]:
            yield Step(known[0], known[1][token])


def known_at(record: Record, place: int, given: Mapping[str, Any]) -> Known | None:
    """Return the situation of a record's token; None if what is not known of it matters."""
    bias = {int(token): float(value) for token, value in given.get("logit_bias", {}).items()}
    # by id: an order in which the sampled token has a place of its own would bias the integral transform
    listed = sorted(record.top_logprobs[place], key=lambda entry: entry.id)
    local = {entry.id: index for index, entry in enumerate(listed)}
    level = level_at(record, place, given)
    if level is None or not bias.keys() <= local.keys():
        return None
    own = {**given, "logit_bias": {local[token]: value for token, value in bias.items()}}
    past, other = record.token_ids[:place], len(local)
    prompt = tuple(local.get(token, other) for token in record.prompt_ids or ())
    logprobs = np.array([entry.logprob for entry in listed])
    logits = np.append(logprobs, -math.inf).astype(np.float32) + np.float32(level)
    case = SamplingCase(logits, own, prompt, tuple(local.get(token, other) for token in past))
    situation = Situation(case, record.prompt_ids is not None, record.logprob_mode)
    rest = max(1 - float(np.exp(logprobs).sum()), 0.0)
    ahead = not_seen(case, record.logprob_mode)
    unknown = rest_bound(rest, level, ahead) if "temperature" in ahead.params else rest
    if unknown <= NEGLIGIBLE:
        return situation, local
    if situation.uses <= {"logit_bias"} and rest < 1:
        whole = np.append(logits, np.float32(math.log(rest)))
        return replace(situation, case=replace(case, logits=whole)), local
    return None


def not_seen(case: SamplingCase, mode: str) -> SamplingCase:
    """Return a case with the parameters, neutral ones too, that log probabilities of a mode do not show yet."""
    given = {**NEUTRAL, **case.params}
    left = given if mode == "raw" else {name: given[name] for name in NOT_SEEN[mode]}
    return replace(case, params=left)


def level_at(record: Record, place: int, given: Mapping[str, Any]) -> float | None:
    """Return what to add to log probabilities for a case's logits; None if it is not known and matters.

    Nothing but the repetition penalty, which multiplies logits or divides them, is not the same for all levels.
    """
    if record.logprob_mode != "raw" or given.get("repetition_penalty", 1.0) == 1.0:
        return 0.0
    return None if record.log_normalizers is None else record.log_normalizers[place]


def rest_bound(rest: float, level: float, case: SamplingCase) -> float:
    """Return the largest mass that tokens of which nothing is known can have, truncations left out of the account.

    Each has a share q of m = rest e^level, and its logit is log(q m). A repetition penalty multiplies this by something from
    low = min(penalty, 1 / penalty) to 1 / low, and a temperature t divides it, so that the token weighs (q m)^a with some
    a >= low / t: at most q^(low / t) times the largest m^a. As the shares add up to 1, the sum of q^(low / t) over V tokens is
    at most V^max(0, 1 - low / t).
    """
    if rest <= 0:
        return 0.0
    given = {**NEUTRAL, **case.params}
    t, penalty, biases = given["temperature"], given["repetition_penalty"], given["logit_bias"]
    low, high = sorted((penalty, 1 / penalty))
    added = np.zeros(len(case.logits))
    added[[*biases]] = [*biases.values()]
    least, most = shifts(case)
    gaps: list[float] = []
    for order in (bias_first, bias_last):
        known = [order(case.logits[:-1], added[:-1], least[:-1], x) for x in (low, high)]
        others = [order(math.log(rest) + level, 0.0, most[-1], x) for x in (low, high)]
        gaps.append(float(max(others) - np.minimum(*known).max(initial=-math.inf)))
    if t == 0:
        return 0.0 if max(gaps) < 0 else 1.0
    spread = max(0.0, 1 - low / t) * math.log(LARGEST_VOCABULARY)
    return math.exp(min(max(gaps) / t + spread, 0.0))


def shifts(case: SamplingCase) -> tuple[Row, Row]:
    """Return the least and the most that frequency and presence penalty can add to each logit, whatever they count."""
    past = np.array((*case.prompt_ids, *case.output_ids), dtype=np.int64)
    count = np.bincount(past, minlength=len(case.logits))
    given = {**NEUTRAL, **case.params}
    added = (-given["frequency_penalty"] * count, -given["presence_penalty"] * np.minimum(count, 1))
    return np.minimum(added, 0.0).sum(axis=0), np.maximum(added, 0.0).sum(axis=0)


def bias_first(logit: Any, bias: Any, shift: Any, factor: float) -> Any:
    """Logits where the bias comes before the penalties, as in vLLM."""
    return (logit + bias) * factor + shift


def bias_last(logit: Any, bias: Any, shift: Any, factor: float) -> Any:
    """Logits where it comes after them, as in SGLang."""
    return (logit + shift) * factor + bias


def row_of(step: Step, semantics: Semantics) -> Row:
    """Return what a hypothesis draws from at a step."""
    return row(step.situation, semantics)


def row(situation: Situation, semantics: Semantics) -> Row:
    """Return what a hypothesis draws from; stages that the trace's log probabilities have in them already are left out."""
    if situation.mode != "raw":
        left = tuple(stage for stage in semantics.order if set(parts(stage)) & NOT_SEEN[situation.mode])
        semantics = replace(semantics, order=left)
    return probabilities(situation.case, semantics)


def delicate(situation: Situation, semantics: Semantics) -> bool:
    """Whether rounding could move a boundary of top_p over a token."""
    case = situation.case
    p = case.params.get("top_p", 1.0)
    if not 0 < p < 1:
        return False
    near = (
        replace(situation, case=replace(case, params={**case.params, "top_p": p + e}))
        for e in (-GUARD, GUARD)
    )
    kept = [row(other, semantics) > 0 for other in near]
    return bool((kept[0] != kept[1]).any())
