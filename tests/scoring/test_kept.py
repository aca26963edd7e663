"""An engine's kept sets in every form that engines return them in; and what differs from the reference's."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from scoring.by_float64 import expected
from torch import Tensor

from sampling import InvalidArgument, SamplingParams, compare_kept, token_logprobs

WIDTH = 70
LISTS = [[0, 5, 31, 32, 63, 64, 69], [3], [*range(WIDTH)], [33, 2, 40]]
REQUEST = SamplingParams(temperature=0.7, top_p=0.9, logit_bias={5: 1.0})


def bitmask(lists: list[list[int]], width: int = WIDTH) -> Tensor:
    """Bit i of word j for the token 32 j + i."""
    words = [[0] * -(-width // 32) for _ in lists]
    for row, tokens in zip(words, lists, strict=True):
        for token in tokens:
            row[token // 32] |= 1 << token % 32
    return torch.tensor(words, dtype=torch.int64).to(torch.int32)


def bools(lists: list[list[int]], width: int = WIDTH) -> Tensor:
    return torch.tensor([[i in row for i in range(width)] for row in lists])


FLAT = [token for row in LISTS for token in row]
OFFSETS = [0, 7, 8, 8 + WIDTH, 11 + WIDTH]
FORMS = {
    "bools": bools(LISTS),
    "bits": bitmask(LISTS),
    "lists": LISTS,
    "tensors": [torch.tensor(row) for row in LISTS],
    "object": SimpleNamespace(token_ids=FLAT, offsets=OFFSETS),
    "mapping": {"token_ids": torch.tensor(FLAT, dtype=torch.int32), "offsets": torch.tensor(OFFSETS)},
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form(form: str) -> None:
    logits = torch.randn(4, WIDTH, generator=torch.Generator().manual_seed(1)) * 2
    tokens = [63, 3, 10, 40]
    leaf = logits.clone().requires_grad_()
    kept: Any = FORMS[form]
    scored = token_logprobs(leaf, tokens, REQUEST, dialect="vllm", kept=kept)
    scored.logprobs.sum().backward()
    assert scored.kept_counts.tolist() == [*map(len, LISTS)]
    for i, (token, row) in enumerate(zip(tokens, LISTS, strict=True)):
        wanted = expected(logits[i], token, REQUEST, "vllm", given={*row})
        assert scored.logprobs[i].item() == pytest.approx(wanted.logprob, abs=2e-6)
        assert scored.log_kept_mass[i].item() == pytest.approx(math.log(wanted.mass), abs=2e-5)
        assert leaf.grad is not None
        assert (leaf.grad[i].double() - wanted.gradient).abs().max() < 1e-6


@pytest.mark.parametrize("form", ["bools", "bits", "lists"])
def test_a_mask_without_the_sampled_token(form: str) -> None:
    kept: Any = {"bools": bools([[1, 2]], 4), "bits": bitmask([[1, 2]], 4), "lists": [[1, 2]]}[form]
    logits = torch.tensor([[4.0, 2.0, 1.0, 1.0]]).log()
    words = r"token_ids\[0\]: got 0, must be one of the 2 that the engine kept in this row: its probability before .* is 0.5,"
    with pytest.raises(InvalidArgument, match=words):
        token_logprobs(logits, [0], SamplingParams(), kept=kept)
    leaf = logits.clone().requires_grad_()
    scored = token_logprobs(leaf, [0], SamplingParams(), kept=kept, outside="keep")
    scored.logprobs.sum().backward()
    wanted = expected(logits[0], 0, SamplingParams(), "qstash", given={1, 2}, besides=True)
    assert scored.logprobs.exp().tolist() == pytest.approx([4 / 7])
    assert leaf.grad is not None
    assert torch.allclose(leaf.grad[0].double(), wanted.gradient, atol=1e-6)


def test_greedy_takes_the_largest_of_the_given() -> None:
    logits = torch.tensor([[4.0, 2.0, 1.0, 1.0]])
    greedy = SamplingParams(temperature=0)
    scored = token_logprobs(logits, [1], greedy, kept=[[1, 2]])
    assert (scored.logprobs.tolist(), scored.kept_counts.tolist()) == ([0], [1])


@pytest.mark.parametrize(
    ("kept", "words"),
    [
        (torch.ones(1, 4), r"kept: got 'a tensor of torch.float32', must be a bool mask \[N, V\], an int32 bitmask"),
        (torch.ones(1, 1, dtype=torch.int64), r"kept: got 'a tensor of torch.int64'"),
        (torch.ones(1, 4, dtype=torch.bool, device="meta"), r"kept: got 'a tensor of shape \(1, 4\) on meta'"),
        (torch.ones(1, 5, dtype=torch.bool), r"mask of shape \(1, 5\)', must be \(1, 4\), for 1 rows of 4 logits"),
        (torch.ones(2, 4, dtype=torch.bool), r"mask of shape \(2, 4\)', must be \(1, 4\)"),
        (torch.ones(4, dtype=torch.bool), r"mask of shape \(4,\)', must be \(1, 4\)"),
        (torch.ones(1, 2, dtype=torch.int32), r"mask of shape \(1, 2\)', must be \(1, 1\)"),
        (torch.tensor([[0b10001]], dtype=torch.int32), r"kept: got 'a bitmask with bits beyond token 3'"),
        (torch.zeros(1, 4, dtype=torch.bool), r"kept: got 'nothing in row 0', must be at least one token"),
        (torch.zeros(1, 1, dtype=torch.int32), r"kept: got 'nothing in row 0'"),
        ([[]], r"kept: got 'nothing in row 0'"),
        ([[0], [1]], r"kept: got '2 rows', must be one for each of the 1 rows"),
        ([[4]], r"kept: got '4 in row 0', must be token ids below 4"),
        ([[-1]], r"kept\[0\]: got -1"),
        ([[0.5]], r"kept\[0\]: got 0.5"),
        ([[1, 0, 1]], r"kept: got '1 twice in row 0'"),
        ([0, 1], r"kept\[0\]: got 0, must be a list of whole numbers"),
        ("01", r"kept: got '01', must be a bool mask"),
        (7, r"kept: got 7, must be a bool mask"),
        ({"token_ids": [0]}, r"kept: got \['token_ids'\], must be a bool mask"),
        ({"token_ids": [0], "offsets": [0]}, r"kept: got '0 rows', must be one for each of the 1 rows"),
        ({"token_ids": [0], "offsets": [0, 2]}, r"kept\[offsets\]: got \[0, 2\], must be ascending from 0 to 1"),
        ({"token_ids": [0], "offsets": [1, 1]}, r"kept\[offsets\]: got \[1, 1\], must be ascending from 0 to 1"),
    ],
)  # fmt: skip
def test_bad_masks(kept: Any, words: str) -> None:
    logits = torch.zeros(1, 4)
    for function in (
        lambda: token_logprobs(logits, [0], SamplingParams(), kept=kept),
        lambda: compare_kept(logits, kept, SamplingParams()),
    ):
        with pytest.raises(InvalidArgument, match=words):
            function()


def test_what_differs() -> None:
    """1/2, 1/4, 1/8, 1/8 at top_p 0.7: the reference keeps 0 and 1."""
    logits = torch.tensor([[4.0, 2.0, 1.0, 1.0]]).log()
    found = compare_kept(logits.repeat(3, 1), [[0, 1], [0, 1, 3], [0]], SamplingParams(top_p=0.7))
    assert found.rows.tolist() == [1, 2]
    assert found.token_ids.tolist() == [3, 1]
    assert found.in_engine.tolist() == [True, False]
    assert found.margins.tolist() == pytest.approx([math.log(2), math.log(2)])
    assert found.probs.tolist() == pytest.approx([1 / 8, 1 / 4])
    assert (found.kept_counts.tolist(), found.engine_counts.tolist()) == ([2, 2, 2], [2, 3, 1])
    assert str(found).splitlines() == [
        "3 rows: 2 tokens differ, in 2 rows",
        "row 1, token 3: the engine alone keeps it; margin 0.693, probability 0.125",
        "row 2, token 1: the reference alone keeps it; margin 0.693, probability 0.25",
    ]
    assert str(compare_kept(logits, [[0, 1]], SamplingParams(top_p=0.7))) == "1 rows: the same sets"


def test_a_tie_has_no_margin_and_a_temperature_scales_it() -> None:
    logits = torch.tensor([[3.0, 1.0, 1.0, 0.0]])
    found = compare_kept(logits, [[0, 2]], SamplingParams(temperature=0.5, top_k=2))
    assert (found.token_ids.tolist(), found.margins.tolist()) == ([1, 2], [0, 0])
    found = compare_kept(logits, [[0, 1, 3]], SamplingParams(temperature=0.5, top_k=2))
    assert (found.token_ids.tolist(), found.margins.tolist()) == ([3], [2.0])


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (
            [0.0, float("nan"), 0.0],
            r"logits: got 'row 1 with NaN, \+inf or nothing left', must be numbers that",
        ),
        ([0.0, float("inf"), 0.0], r"logits: got 'row 1 with NaN"),
        ([-float("inf")] * 3, r"logits: got 'row 1 with NaN, \+inf or nothing left'"),
    ],
)
def test_rows_that_nothing_can_be_drawn_from_are_not_compared(row: list[float], words: str) -> None:
    logits = torch.tensor([[1.0, 0.0, 0.0], row, row])
    with pytest.raises(InvalidArgument, match=words + ".*; 1 more rows"):
        compare_kept(logits, [[0], [0], [0]], SamplingParams(top_k=1))


def test_logits_without_numbers_are_not_compared() -> None:
    with pytest.raises(InvalidArgument, match=r"logits: got 'a tensor of shape \(1, 3\) on meta'"):
        compare_kept(torch.zeros(1, 3, device="meta"), [[0]], SamplingParams())
