"""Which way a step takes: one place chooses, and a row that has to be resolved in full costs no other row and no later step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from sampling import Sampler, SamplingParams
from sampling.sampler import step as steps
from sampling.sampler.strategy import (
    candidates_as_graph,
    candidates_first,
    choose_strategy,
    full_rows_as_graph,
)

WIDTH = 64 * 1000
TOP_P, NO_TRUNCATION = SamplingParams(top_p=0.9), SamplingParams(temperature=0.5)
OVERFLOW = SamplingParams(seed=1, top_p=0.9, logit_bias=dict.fromkeys(range(7, 64 * 600, 64), 9.0))
BROKEN = SamplingParams(seed=1, top_p=0.9, repetition_penalty=1e-3)


@pytest.mark.parametrize(
    ("params", "device", "compiling", "strategy"),
    [
        (TOP_P, "cpu", False, candidates_first),
        (TOP_P, "cpu", True, candidates_as_graph),
        (TOP_P, "cuda", False, steps.full_rows_step),
        (TOP_P, "cuda", True, full_rows_as_graph),
        (NO_TRUNCATION, "cpu", False, steps.full_rows_step),
        (NO_TRUNCATION, "cpu", True, full_rows_as_graph),
    ],
)
def test_one_place_chooses(
    params: SamplingParams, device: str, compiling: bool, strategy: Callable[..., Any]
) -> None:
    plan = Sampler([params], vocab_size=10).inputs.plan
    assert choose_strategy(plan, torch.device(device), compile=compiling) is strategy


def noted(monkeypatch: pytest.MonkeyPatch, name: str, rows_of: Callable[..., int]) -> list[int]:
    """Note of each call of a function how many rows it got."""
    calls: list[int] = []
    original = getattr(steps, name)

    def noting(*arguments: Any) -> Any:
        calls.append(rows_of(*arguments))
        return original(*arguments)

    monkeypatch.setattr(steps, name, noting)
    return calls


def batch(odd: SamplingParams, others: int = 3) -> tuple[Sampler, Tensor]:
    """One odd row among usual ones; its prompt is token 0, whose logit is huge."""
    torch.manual_seed(1)
    logits = 4 * torch.randn(others + 1, WIDTH)
    logits[:, 1000:1010] = torch.linspace(24, 25, 10)
    logits[1, 0] = 3e37 if odd is BROKEN else 0.0
    usual = [SamplingParams(seed=seed, top_p=0.9, logit_bias={5: 2.0, 70: -2.0}) for seed in range(others)]
    params = [usual[0], odd, *usual[1:]]
    return Sampler(
        params, vocab_size=WIDTH, prompt_ids=[[], [0], *[[]] * (others - 1)], dialect="vllm"
    ), logits


@pytest.mark.parametrize("odd", [OVERFLOW, BROKEN])
def test_one_row_of_four_is_resolved_in_full_and_the_next_step_tries_candidates_again(
    odd: SamplingParams, monkeypatch: pytest.MonkeyPatch
) -> None:
    sampler, logits = batch(odd)
    tried = noted(monkeypatch, "edit_candidate_blocks", lambda plan, history, raw, weights: len(raw.logits))
    resolved = noted(monkeypatch, "apply_edits", lambda edits, rows, history: len(rows))
    all_edited = noted(monkeypatch, "edit_full_rows", lambda plan, history, raw, status: len(raw.logits))
    for count in range(1, 4):
        out = sampler.step(logits)
        assert (tried, resolved, all_edited) == ([4] * count, [1] * count, [])
        assert (out.status == 0).tolist() == [True, odd is OVERFLOW, True, True]
    if odd is BROKEN:
        assert "repetition_penalty" in sampler.explain(int(out.status[1]))


@pytest.mark.parametrize("odd", [OVERFLOW, BROKEN])
@pytest.mark.parametrize("truncation", [{"top_k": 40}, {"min_p": 0.1}, {"top_p": 0.5}])
def test_a_row_alone_is_resolved_in_full(odd: SamplingParams, truncation: dict[str, Any]) -> None:
    """Its candidates have no meaning: where edits overflow, the bound of the remainder is infinite."""
    _, logits = batch(odd)
    alone = replace(odd, **{"top_p": 1.0, **truncation})
    told, edited_first = (
        Sampler([alone], vocab_size=WIDTH, prompt_ids=[[0]], dialect="vllm", logprob_modes=[mode])
        for mode in ("raw", "penalised")
    )
    for _ in range(2):
        out, expected = told.step(logits[1:2]), edited_first.step(logits[1:2])
        assert out.token_ids.tolist() == expected.token_ids.tolist()
        assert out.status.tolist() == expected.status.tolist()
        assert (out.status == 0).all() == (odd is OVERFLOW)


def test_a_flat_row_is_resolved_in_full_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    sampler, logits = batch(SamplingParams(seed=1, top_p=0.9))
    logits[1] = 0.0
    full = noted(monkeypatch, "run_on_full_rows", lambda stages, rows, finalizer: len(rows))
    for count in range(1, 3):
        assert (sampler.step(logits).status == 0).all()
        assert full == [1] * count
