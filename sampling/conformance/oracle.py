"""The distribution that a reading of the parameters gives, in float64, from the definitions alone.

Nothing here is shared with the pipeline that it is compared with.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from sampling.conformance.sampling_case import SamplingCase
from sampling.conformance.semantics import Semantics
from sampling.core.history import Scope
from sampling.core.params import SMALLEST
from sampling.dialects import TRUNCATIONS, parts

Row = NDArray[np.float64]
Kept = NDArray[np.bool_]

NEUTRAL: Mapping[str, Any] = {
    "temperature": 1.0,
    "top_p": 1.0,
    "top_k": 0,
    "min_p": 0.0,
    "frequency_penalty": 0.0,
    "presence_penalty": 0.0,
    "repetition_penalty": 1.0,
    "logit_bias": {},
    "min_tokens": 0,
}
# By mode the stages that its log probabilities do not see.
NOT_SEEN: Mapping[str, frozenset[str]] = {
    "penalised": frozenset(("temperature", *TRUNCATIONS)),
    "temperature": frozenset(TRUNCATIONS),
    "processed": frozenset(),
}
# A mass this close to p is p: float64 sums of equal probabilities are that far from the fraction that they mean.
EXACT = 1e-12
EPSILON = 2.0**-23  # probabilities whose ratio is this near to 1 are one in float32


def probabilities(question: SamplingCase, semantics: Semantics) -> Row:
    """Return the distribution that a token is drawn from.

    Returns:
        float64 [V]; zeros if nothing is left to sample.

    Example:
        >>> import numpy as np
        >>> from sampling.dialects import dialect
        >>> question = SamplingCase(np.array([2.0, 1.0, 0.0], dtype=np.float32), {"temperature": 0.5, "top_p": 0.9})
        >>> probabilities(question, Semantics.of(dialect("qstash"))).round(4).tolist()
        [0.8808, 0.1192, 0.0]
    """
    run = as_run(question.params, semantics)
    row = after(semantics.order, question, run, semantics)
    if semantics.arg_max or (is_greedy(question.params, semantics) and semantics.greedy_arg_max):
        row = coldest(row, semantics.zero_ties)
    p = softmax(row)
    if semantics.least_probability:
        p = np.where(p < semantics.least_probability, 0.0, p)
        p = p / p.sum()
    return p


def logprobs(question: SamplingCase, semantics: Semantics, mode: str | None = None) -> Row:
    """Return the log probabilities that are reported, in a mode; where that is None, in that of the semantics.

    Returns:
        float64 [V]; -inf where the probability is 0.
    """
    mode = mode or semantics.logprob_mode
    row = question.logits.astype(np.float64)
    if mode != "raw":
        order = tuple(stage for stage in semantics.order if not set(parts(stage)) & NOT_SEEN[mode])
        row = after(order, question, as_run(question.params, semantics), semantics)
    with np.errstate(divide="ignore"):
        return np.log(softmax(row))


def as_run(params: Mapping[str, Any], semantics: Semantics) -> dict[str, Any]:
    """Return the parameters that are used in place of those that are given."""
    run = {**NEUTRAL, **{name: params[name] for name in params if name in NEUTRAL}}
    run |= {name: NEUTRAL[name] for name in semantics.ignores if name in NEUTRAL}
    for name, given, used in semantics.substitutes:
        if run[name] == given:
            run[name] = used
    t = run["temperature"]
    if t < semantics.greedy_below:
        run |= dict(semantics.greedy_overrides)
    elif t > 0:
        run["temperature"] = min(max(t, semantics.lowest_temperature), semantics.highest_temperature)
    return run


def is_greedy(params: Mapping[str, Any], semantics: Semantics) -> bool:
    """Whether the arg max is taken whatever else the request says."""
    ignored = "temperature" in semantics.ignores
    return not ignored and params.get("temperature", 1.0) < semantics.greedy_below


def after(
    order: tuple[Any, ...], question: SamplingCase, run: Mapping[str, Any], semantics: Semantics
) -> Row:
    """Return the logits after the stages of an order."""
    row = rounded(question.logits.astype(np.float64), semantics.logits_dtype)
    for stage in order:
        names = parts(stage)
        if names[0] in TRUNCATIONS:
            kept = np.logical_and.reduce([KEPT[name](row, run[name], semantics) for name in names])
            row = np.where(kept, row, -np.inf)
        else:
            row = CHANGED[names[0]](row, run[names[0]], question, semantics)
    return row


def softmax(row: Row) -> Row:
    """Probabilities of logits; zeros if all are -inf."""
    if not np.isfinite(row).any():
        return np.zeros_like(row)
    e = np.exp(row - row.max())
    return e / e.sum()


def rounded(row: Row, dtype: str) -> Row:
    """Logits as a type of fewer bits holds them, ties to even."""
    return torch.from_numpy(row).to(getattr(torch, dtype)).double().numpy()


def counts(question: SamplingCase, scope: Scope, width: int) -> Row:
    """How often each token occurs in a scope, float64 [V]."""
    past = (*question.prompt_ids, *question.output_ids)
    first = max(scope.skipped, 0 if scope.prompt else len(question.prompt_ids))
    window = past[max(first, 0 if scope.last is None else len(past) - scope.last) :]
    found = np.zeros(width)
    for token, count in Counter(window).items():
        found[token] = count
    return found


def biased(row: Row, bias: Mapping[Any, float], _question: SamplingCase, semantics: Semantics) -> Row:
    """Add biases."""
    row = row.copy()
    for token, value in bias.items():
        added = value * semantics.bias_factor
        row[int(token)] += max(-semantics.bias_limit, min(semantics.bias_limit, added))
    return row


def long_enough(row: Row, least: int, question: SamplingCase, _semantics: Semantics) -> Row:
    """Ban the tokens that end a choice until so many were sampled."""
    if len(question.output_ids) >= least:
        return row
    row = row.copy()
    row[list(question.params.get("stop_token_ids", ()))] = -np.inf
    return row


def repeated(row: Row, penalty: float, question: SamplingCase, semantics: Semantics) -> Row:
    """Apply the repetition penalty."""
    return scaled(row, penalty, counts(question, semantics.repetition_scope, len(row)), semantics)


def scaled(row: Row, penalty: float, found: Row, semantics: Semantics) -> Row:
    """Divide and multiply tokens that were counted."""
    r = penalty ** (found if semantics.repetition_per_occurrence else np.minimum(found, 1))
    divided, multiplied = row / r, row * r
    positive = row > 0
    return {
        "by_sign": np.where(positive, divided, multiplied),
        "divide": divided,
        "multiply": multiplied,
        "reversed": np.where(positive, multiplied, divided),
    }[semantics.repetition_rule]


def frequent(row: Row, penalty: float, question: SamplingCase, semantics: Semantics) -> Row:
    """Apply the frequency penalty."""
    found = counts(question, semantics.frequency_counts, len(row))
    if semantics.frequency_form == "repetition":
        return scaled(row, 1 + penalty, found, semantics)
    amount = found if semantics.frequency_multiplies else np.minimum(found, 1)
    if semantics.frequency_divides:
        amount = amount / max(found.sum(), 1)
    return lowered(row, penalty * amount, semantics)


def present(row: Row, penalty: float, question: SamplingCase, semantics: Semantics) -> Row:
    """Apply the presence penalty."""
    found = counts(question, semantics.presence_counts, len(row))
    amount = found if semantics.presence_multiplies else np.minimum(found, 1)
    return lowered(row, penalty * amount, semantics)


def lowered(row: Row, amount: Row, semantics: Semantics) -> Row:
    """Subtract, or add where the logit is negative if the sign is followed."""
    signed = np.where(row < 0, -amount, amount) if semantics.penalties_follow_sign else amount
    return row - semantics.penalty_factor * signed


def cooled(row: Row, t: float, _question: SamplingCase, semantics: Semantics) -> Row:
    """Divide by the temperature; 0 is the arg max."""
    if t == 0:
        return coldest(row, semantics.zero_ties)
    used = max(t * semantics.temperature_factor, SMALLEST) ** semantics.temperature_power
    return row / used


def coldest(row: Row, ties: str) -> Row:
    """Keep the most likely token alone."""
    if ties == "all":
        return np.where(row == row.max(), row, -np.inf)
    first = by_rank(row, low_ids_first=ties == "low")[0]
    return np.where(np.arange(len(row)) == first, row, -np.inf)


def by_rank(row: Row, *, low_ids_first: bool) -> NDArray[np.int64]:
    """Token ids, most likely first."""
    ids = np.arange(len(row))
    return np.lexsort((ids if low_ids_first else -ids, -row))


def leading(row: Row, count: int, ties: str = "low") -> Kept:
    """Return the first so many tokens, but for those that are out already; the low ids where their order is arbitrary."""
    kept = np.zeros(len(row), dtype=bool)
    kept[by_rank(row, low_ids_first=ties != "high")[:count]] = True
    kept &= np.isfinite(row)
    return row >= row[kept].min() if ties == "all" and kept.any() else kept


def kept_by_top_k(row: Row, k: int, semantics: Semantics) -> Kept:
    """Return the k most likely."""
    if k <= 0:
        return np.isfinite(row)
    count = min(max(k + semantics.top_k_offset, 1), len(row))
    return leading(row, count, semantics.top_k_ties)


def kept_by_top_p(row: Row, p: float, semantics: Semantics) -> Kept:
    """Return the nucleus: tokens as long as the mass before them does not reach p."""
    if p >= 1:
        return np.isfinite(row)
    mass = np.sort(softmax(row))[::-1]
    held = np.cumsum(mass)
    above = held - mass
    if semantics.top_p_bounded:
        left = np.arange(len(row) - 1, -1, -1)
        count = 1 + int((held < p * (held + left * mass)).sum())
    else:
        count = int((above < p - EXACT if semantics.top_p_stops_at_equality else above <= p + EXACT).sum())
    count = int(min(max(count + semantics.crossing_tokens, 1), semantics.most_candidates))
    kept = leading(row, count, semantics.top_p_ties)
    if semantics.last_goes:
        kept &= (row > row[np.isfinite(row)].min()) | (row == row.max())
    return kept


def kept_by_min_p(row: Row, p: float, semantics: Semantics) -> Kept:
    """Those likely enough."""
    if p == 0:
        return np.isfinite(row)
    if semantics.min_p_of_maximum:
        if semantics.min_p_strict:
            return (row > row.max() + math.log(p) + EPSILON) | (row == row.max())
        return row >= row.max() + math.log(p) - EXACT
    likely = softmax(row) >= p
    return likely if likely.any() else leading(row, 1)


CHANGED: dict[str, Callable[[Row, Any, SamplingCase, Semantics], Row]] = {
    "logit_bias": biased,
    "min_tokens": long_enough,
    "repetition_penalty": repeated,
    "frequency_penalty": frequent,
    "presence_penalty": present,
    "temperature": cooled,
}
KEPT: dict[str, Callable[[Row, Any, Semantics], Kept]] = {
    "top_k": kept_by_top_k,
    "top_p": kept_by_top_p,
    "min_p": kept_by_min_p,
}
