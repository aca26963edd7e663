"""The definition of a step, written out for `exactness.py`: dense stages, truncations by sorting, the draw by a running sum."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from exactness_cases import ALTERNATIVES, Case
from sampling_kernels.keyed_draw import INTEGER_RULE, draw_by_running_sum, uniform_words
from sampling_kernels.logprobs import token_logprobs, token_ranks, top_tokens
from sampling_kernels.order import order_key
from sampling_kernels.shares import share_of_decimal
from sampling_kernels.truncation import keep_top_k_by_sorting, keep_top_p_by_sorting
from sampling_kernels.weights import weights
from torch import Tensor

from sampling import SamplingParams
from sampling.core.history import Scope
from sampling.core.params import SMALLEST
from sampling.dialects import Dialect, parts
from sampling.pipeline.assembly import is_greedy, translated
from sampling.sampler.draw import seed_key

LOGITS_AT_ONCE = 2**17
NEUTRAL = SamplingParams()

Fields = dict[str, Tensor]


def column(params: Sequence[SamplingParams], name: str) -> Tensor:
    """A parameter, rounded once to float32, as float64 [B, 1]."""
    return torch.tensor([[getattr(one, name)] for one in params], dtype=torch.float32).double()


def counts(case: Case, scope: Scope) -> Tensor:
    """How often each token occurred, float64 [B, V]."""
    table = torch.zeros(case.logits.shape, dtype=torch.float64)
    for row, prompt in enumerate(case.prompts):
        output = [token for token in case.outputs[:, row].tolist() if token >= 0]
        tokens = [*prompt, *output] if scope.prompt else output
        for token, count in Counter(tokens[-(scope.last or len(tokens)) :]).items():
            table[row, token] = count
    return table


def logit_bias(case: Case, logits: Tensor) -> Tensor:
    """Compute l + b."""
    bias = torch.zeros(logits.shape, dtype=torch.float32)
    for row, one in enumerate(case.params):
        for token, value in one.logit_bias.items():
            bias[row, token] = value
    return (logits.double() + bias.double()).float()


def repetition_penalty(case: Case, logits: Tensor) -> Tensor:
    """Compute l / r or l r for the tokens that occurred."""
    r, l = column(case.params, "repetition_penalty"), logits.double()  # noqa: E741
    seen = counts(case, case.dialect.repetition_counts) > 0
    return torch.where(seen, torch.where(l > 0, l / r, l * r), l).float()


def frequency_penalty(case: Case, logits: Tensor) -> Tensor:
    """Compute l - f c."""
    c = counts(case, case.dialect.penalties_count)
    return (logits.double() - column(case.params, "frequency_penalty") * c).float()


def presence_penalty(case: Case, logits: Tensor) -> Tensor:
    """Compute l - p for the tokens that occurred."""
    seen = (counts(case, case.dialect.penalties_count) > 0).double()
    return (logits.double() - column(case.params, "presence_penalty") * seen).float()


def first_token(logits: Tensor) -> Tensor:
    """The first token in the order, bool [B, V]."""
    key = order_key(logits)
    return key == key.amax(-1, keepdim=True)


def temperature(case: Case, logits: Tensor) -> Tensor:
    """Compute (l - max(l)) / T; l itself at T = 1, the first token alone at T = 0."""
    values = [[one.temperature and max(one.temperature, SMALLEST)] for one in case.params]
    t = torch.tensor(values, dtype=torch.float32).double()
    l = logits.double()  # noqa: E741
    cooled = ((l - l.amax(-1, keepdim=True)) / torch.where(t > 0, t, 1.0)).float()
    first = logits.masked_fill(~first_token(logits), -torch.inf) if bool((t == 0).any()) else cooled
    return torch.where(t == 0, first, torch.where(t == 1, logits, cooled))


EDITS: dict[str, Callable[[Case, Tensor], Tensor]] = {
    "logit_bias": logit_bias,
    "repetition_penalty": repetition_penalty,
    "frequency_penalty": frequency_penalty,
    "presence_penalty": presence_penalty,
    "temperature": temperature,
}


def shares(params: Sequence[SamplingParams], name: str) -> Tensor:
    """A probability in units of 2^-62, int64 [B, 1]."""
    return torch.tensor([[share_of_decimal(str(getattr(one, name)))] for one in params])


def kept_by(name: str, dialect: Dialect, params: Sequence[SamplingParams], logits: Tensor) -> Tensor:
    """What a truncation keeps, bool [B, V]."""
    if name == "top_k":
        k, ties = torch.tensor([[one.top_k] for one in params]), dialect.top_k_ties
        return keep_top_k_by_sorting(logits, k, low_ids_first=ties != "high", keep_ties=ties == "all")
    share = shares(params, name)
    if name == "top_p":
        ties, stops = dialect.top_p_ties, dialect.exact_hit_stops
        rules = {"low_ids_first": ties != "high", "keep_ties": ties == "all", "exact_hit_stops": stops}
        return keep_top_p_by_sorting(logits, share, **rules)
    return (weights(logits) << 19) >= share  # w / 2^43 >= P / 2^62


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
    words = uniform_words(seeds, (case.outputs >= 0).sum(0), case.choices, INTEGER_RULE)
    return ids[draw_by_running_sum(weights(part), *words)]


def measured(logits: Tensor, tokens: Tensor) -> Fields:
    """Log probabilities of tokens and alternatives."""
    top = top_tokens(logits, min(ALTERNATIVES, logits.shape[1]))
    return {
        "rank": token_ranks(logits, tokens[:, None])[:, 0],
        "alternatives": top,
        "logprobs": token_logprobs(logits, torch.cat([tokens[:, None], top], -1)),
    }


def by_twin(case: Case) -> Fields:
    """What the definition gives for a case, a few rows at a time."""
    rows, at_once = len(case.params), max(1, LOGITS_AT_ONCE // case.logits.shape[1])
    blocks = [rows_by_twin(case.select(slice(i, i + at_once))) for i in range(0, rows, at_once)]
    return {name: torch.cat([block[name] for block in blocks]) for name in blocks[0]}


def rows_by_twin(case: Case) -> Fields:
    """The same for a few rows."""
    greedy = torch.tensor([case.dialect.greedy_arg_max and is_greedy(p, case.dialect) for p in case.params])
    case = replace(case, params=[translated(one, case.dialect) for one in case.params])
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
        last = processed.masked_fill(greedy[:, None] & ~first_token(processed), -torch.inf)
    tokens = drawn(case, last)
    of_mode = {"raw": case.logits, "penalised": penalised, "temperature": tempered, "processed": processed}
    fields = {"processed": last, "status": torch.zeros_like(tokens), "token": tokens}
    return fields | measured(of_mode[case.mode], tokens)
