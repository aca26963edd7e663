"""Log probabilities of tokens written once more: sets by the oracle's integers, values and gradients by torch in float64."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import oracle
import torch
from torch import Tensor

from sampling import DIALECTS, Dialect, SamplingParams, Scope


@dataclass
class Expected:
    """Of one token: its log probability and the gradient in the logits, the kept set, and the mass that it holds."""

    logprob: float
    gradient: Tensor
    kept: set[int]
    mass: float


def counted(scope: Scope, prompt: Sequence[int], output: Sequence[int]) -> Counter[int]:
    tokens = [*prompt, *output][max(scope.skipped, 0 if scope.prompt else len(prompt)) :]
    return Counter(tokens[-scope.last :] if scope.last is not None and tokens else tokens)


def edits(
    name: str,
    p: SamplingParams,
    d: Dialect,
    row: list[float],
    x: Tensor,
    prompt: Sequence[int],
    output: Sequence[int],
) -> tuple[list[float], Tensor]:
    """One stage that changes logits, in exact float32 steps for the set and in float64 for the value."""
    occurred = counted(d.penalty_scope, prompt, output)
    dense = torch.zeros_like(x)
    for token, count in occurred.items():
        dense[token] = count
    if name == "logit_bias":
        dense = torch.zeros_like(x)
        for token, bias in p.logit_bias.items():
            dense[token] = bias
        return oracle.add_bias(row, dict(p.logit_bias)), x + dense
    if name == "min_tokens":
        banned = {*p.stop_token_ids} if len(output) < p.min_tokens else set[int]()
        mask = torch.tensor([i in banned for i in range(len(row))])
        return oracle.keep(row, {*range(len(row))} - banned), x.masked_fill(mask, -torch.inf)
    as_repetition = name == "frequency_penalty" and d.frequency_form == "repetition"
    if name == "repetition_penalty" or as_repetition:
        seen = occurred if as_repetition else counted(d.repetition_scope, prompt, output)
        penalty = 1 + p.frequency_penalty if as_repetition else p.repetition_penalty
        r, mask = oracle.f32(penalty), torch.tensor([i in seen for i in range(len(row))])
        scaled = torch.where(x > 0, x / r, x * r)
        return oracle.repetition(row, penalty, seen), torch.where(mask, scaled, x)
    signs = [-1 if d.penalties_follow_sign and value < 0 else 1 for value in row]
    if name == "frequency_penalty":
        f, many = p.frequency_penalty, [*occurred.elements()]
        lowered = {sign: oracle.frequency(row, sign * f, many) for sign in (1, -1)}
        amount = oracle.f32(f) * dense
    else:
        f = p.presence_penalty
        lowered = {sign: oracle.presence(row, sign * f, occurred) for sign in (1, -1)}
        amount = oracle.f32(f) * (dense > 0)
    changed = [lowered[sign][place] for place, sign in enumerate(signs)]
    return changed, x - amount * torch.tensor(signs)


def ties(rule: str) -> dict[str, object]:
    return {"tie_break": "highest_id" if rule == "high" else "lowest_id", "keep_ties": rule == "all"}


def truncated(name: str, p: SamplingParams, d: Dialect, row: list[float]) -> set[int]:
    if name == "top_k":
        return oracle.top_k(row, p.top_k, **ties(d.top_k_ties))  # pyright: ignore[reportArgumentType]
    if name == "top_p":
        return oracle.nucleus(
            row,
            str(p.top_p),
            stops_at_equality=d.top_p_stops_at_equality,
            **ties(d.top_p_ties),  # pyright: ignore[reportArgumentType]
        )
    return oracle.min_p(row, str(p.min_p), strict=d.min_p_strict)


def expected(
    logits: Tensor,
    token: int,
    p: SamplingParams,
    dialect: str | Dialect,
    prompt: Sequence[int] = (),
    output: Sequence[int] = (),
    given: set[int] | None = None,
    *,
    besides: bool = False,
) -> Expected:
    """Score one token of one row [V]; `given` is an engine's set, `besides` keeps the token besides the set."""
    d = dialect if isinstance(dialect, Dialect) else DIALECTS[dialect]
    leaf = logits.detach().double().requires_grad_()
    x, row = leaf, logits.float().tolist()
    kept = {i for i in range(len(row)) if given is None or i in given}
    if p.temperature < d.greedy_below or p.temperature == 0:
        p = SamplingParams(temperature=0, logit_bias=p.logit_bias)
        assert d.name not in ("vllm", "vllm-v1") or p.temperature == 0
    for stage in d.order:
        names = stage if isinstance(stage, tuple) else (stage,)
        if names[0] in ("top_k", "top_p", "min_p"):
            if given is None:
                sets = [truncated(name, p, d, row) for name in names]
                kept &= set.intersection(*sets)
                row = oracle.keep(row, kept)
        elif names[0] == "temperature":
            if p.temperature == 0:
                row = oracle.keep(row, kept) if given is not None else row
                kept &= oracle.top_k(row, 1)
            else:
                t = max(oracle.f32(p.temperature), d.lowest_temperature)
                base = max(r for i, r in enumerate(row) if given is None or i in given)
                row = row if t == 1 else [oracle.f32((one - base) / t) for one in row]
                x = x / t
        else:
            row, x = edits(names[0], p, d, row, x, prompt, output)
    kept = {i for i in kept if row[i] > -oracle.INF}
    mask = torch.tensor([i in kept or (besides and i == token) for i in range(len(row))])
    logprob = x[token] - x.masked_fill(~mask, -torch.inf).logsumexp(-1)
    mass = 1.0 if p.temperature == 0 else (x.softmax(-1).masked_fill(~mask, 0).sum().item())
    (gradient,) = torch.autograd.grad(logprob, leaf)
    return Expected(logprob.item(), gradient, kept, mass)
