"""The definition of a step for `exactness.py`: the functions of `sampling_kernels.reference`, one after another."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from sampling_kernels import reference
from sampling_kernels.fixed_point import to_fixed_point
from sampling_kernels.inverse_cdf import INTEGER_RULE
from sampling_kernels.philox import random_words
from torch import Tensor

from benchmarks.exactness.cases import ALTERNATIVES, Case
from sampling import SamplingParams
from sampling.core.history import Scope
from sampling.core.params import SMALLEST
from sampling.dialects import Dialect, parts
from sampling.pipeline.effective import effective_params
from sampling.sampler.draw import seed_key

LOGITS_AT_ONCE = 2**17
NEUTRAL = SamplingParams()

Fields = dict[str, Tensor]


def column(params: Sequence[SamplingParams], name: str, more: float = 0.0) -> Tensor:
    """A parameter, or so much more, rounded once to float32, as float64 [B, 1]."""
    return torch.tensor([[more + getattr(one, name)] for one in params], dtype=torch.float32).double()


def counts(case: Case, scope: Scope) -> Tensor:
    """Count how often each token occurred, int64 [B, V]."""
    table = torch.zeros(case.logits.shape, dtype=torch.int64)
    for row, prompt in enumerate(case.prompts):
        output = [token for token in case.outputs[:, row].tolist() if token >= 0]
        tokens = [*prompt, *output][max(scope.skipped, 0 if scope.prompt else len(prompt)) :]
        for token, count in Counter(tokens[-(scope.last or len(tokens)) :]).items():
            table[row, token] = count
    return table


def biases(case: Case) -> Tensor:
    """Return the bias of each token, rounded once to float32, float64 [B, V]; -0.0 changes nothing."""
    table = torch.full(case.logits.shape, -0.0, dtype=torch.float32)
    for row, one in enumerate(case.params):
        for token, value in one.logit_bias.items():
            table[row, int(token)] = value or -0.0
    return table.double()


def temperatures(case: Case) -> Tensor:
    """Return temperatures, float64 [B, 1]; those above 0 stay above it in float32."""
    values = [[one.temperature and max(one.temperature, SMALLEST)] for one in case.params]
    return torch.tensor(values, dtype=torch.float32).double()


def penalized(name: str) -> Callable[[Case, Tensor], Tensor]:
    """Return what applies a penalty."""

    def apply(case: Case, logits: Tensor) -> Tensor:
        d = case.dialect
        scope = d.repetition_scope if name == "repetition_penalty" else d.penalty_scope
        penalize, more = FORMS.get((name, d.frequency_form), (PENALTIES[name], 0.0))
        amount, found = column(case.params, name, more), counts(case, scope)
        lowered = penalize(logits, amount, found)
        follows = d.penalties_follow_sign and name != "repetition_penalty"
        return torch.where(logits < 0, penalize(logits, -amount, found), lowered) if follows else lowered

    return apply


PENALTIES: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "repetition_penalty": reference.penalize_repetition,
    "frequency_penalty": reference.penalize_frequency,
    "presence_penalty": reference.penalize_presence,
}
FORMS = {("frequency_penalty", "repetition"): (reference.penalize_repetition, 1.0)}
EDITS: dict[str, Callable[[Case, Tensor], Tensor]] = {
    "logit_bias": lambda case, logits: reference.add_bias(logits, biases(case)),
    **{name: penalized(name) for name in PENALTIES},
    "temperature": lambda case, logits: reference.divide_by_temperature(logits, temperatures(case)),
}


def kept_by(name: str, dialect: Dialect, params: Sequence[SamplingParams], logits: Tensor) -> Tensor:
    """Return what a truncation keeps, bool [B, V]."""

    def rules(ties: str) -> dict[str, Any]:
        return {"tie_break": "highest_id" if ties == "high" else "lowest_id", "keep_ties": ties == "all"}

    if name == "top_k":
        k = torch.tensor([[one.top_k] for one in params])
        return reference.top_k_mask(logits, k, **rules(dialect.top_k_ties))
    p = torch.tensor([[to_fixed_point(str(getattr(one, name)))] for one in params])
    if name == "min_p":
        return reference.min_p_mask(logits, p, strict=dialect.min_p_strict)
    stops = dialect.top_p_stops_at_equality
    return reference.top_p_mask(logits, p, stops_at_equality=stops, **rules(dialect.top_p_ties))


def in_use(name: str, params: SamplingParams) -> bool:
    """Whether a request has a stage change anything."""
    return getattr(params, name) != getattr(NEUTRAL, name)


def truncated(case: Case, names: Sequence[str], logits: Tensor) -> Tensor:
    """Keep what all of some truncations keep of the same logits."""
    kept = torch.ones_like(logits, dtype=torch.bool)
    for name in names:
        rows = [row for row, one in enumerate(case.params) if in_use(name, one)]
        if rows:
            part, ids = alive(logits[rows])
            keep = kept_by(name, case.dialect, [case.params[row] for row in rows], part)
            kept[torch.tensor(rows)[:, None], ids] &= keep
    return logits.masked_fill(~kept, -torch.inf)


def alive(logits: Tensor) -> tuple[Tensor, Tensor]:
    """Leave out the tokens that are banned in every row: float32 [B, C], and the ids of the others, int64 [C]."""
    ids = (logits > -torch.inf).any(0).nonzero()[:, 0]
    return logits[:, ids], ids


def drawn(case: Case, logits: Tensor) -> Tensor:
    """The tokens of the keys, int64 [B]."""
    seeds = torch.tensor([seed_key(one.seed) for one in case.params])
    part, ids = alive(logits)
    words = random_words(seeds, (case.outputs >= 0).sum(0), case.choices, INTEGER_RULE)
    return ids[reference.inverse_cdf_sample(reference.weights(part), *words)]


def measured(logits: Tensor, tokens: Tensor) -> Fields:
    """Log probabilities of tokens and alternatives."""
    top = reference.top_tokens(logits, min(ALTERNATIVES, logits.shape[1]))
    return {
        "rank": reference.token_ranks(logits, tokens[:, None])[:, 0],
        "alternatives": top,
        "logprobs": reference.token_logprobs(logits, torch.cat([tokens[:, None], top], -1)),
    }


def by_twin(case: Case) -> Fields:
    """What the definition gives for a case, a few rows at a time."""
    rows, at_once = len(case.params), max(1, LOGITS_AT_ONCE // case.logits.shape[1])
    blocks = [rows_by_twin(case.select(slice(i, i + at_once))) for i in range(0, rows, at_once)]
    return {name: torch.cat([block[name] for block in blocks]) for name in blocks[0]}


def rows_by_twin(case: Case) -> Fields:
    """The same for a few rows."""
    effective = [effective_params(one, case.dialect) for one in case.params]
    greedy = torch.tensor([one.arg_max for one in effective])
    case = replace(case, params=[one.params for one in effective])
    processed = tempered = penalised = case.logits
    for entry in case.dialect.order:
        names = [name for name in parts(entry) if any(in_use(name, one) for one in case.params)]
        if set(names) <= EDITS.keys():
            for name in names:
                same = tempered is processed
                processed = EDITS[name](case, processed)
                tempered = processed if same else EDITS[name](case, tempered)
                penalised = penalised if name == "temperature" else EDITS[name](case, penalised)
        else:
            processed = truncated(case, names, processed)
    last = processed
    if bool(greedy.any()):
        last = processed.masked_fill(greedy[:, None] & ~reference.argmax_mask(processed), -torch.inf)
    tokens = drawn(case, last)
    of_mode = {"raw": case.logits, "penalised": penalised, "temperature": tempered, "processed": processed}
    fields = {"processed": last, "status": torch.zeros_like(tokens), "token": tokens}
    return fields | measured(of_mode[case.mode], tokens)
