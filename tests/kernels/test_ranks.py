"""Log probabilities against mpmath, ranks and alternatives against a Python sort."""

from __future__ import annotations

import math
from collections.abc import Callable

import mpmath
import numpy as np
import oracle
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sampling_kernels import reference
from sampling_kernels.blocks import blocked
from sampling_kernels.logarithm import log_normalizer
from sampling_kernels.ranks import ranks_given_top
from sampling_kernels.weights import block_weights
from torch import Tensor

INF = math.inf
rows = st.lists(st.one_of(st.floats(-60, 30, width=32), st.sampled_from([-INF, 0.0, -0.0, 1.0])), max_size=30)


def all_logprobs(row: list[float]) -> list[float]:
    return reference.token_logprobs(torch.tensor([row]), torch.arange(len(row))[None])[0].tolist()


def check(row: list[float]) -> None:
    for got, real in zip(all_logprobs(row), oracle.logprobs(row), strict=True):
        if real == -mpmath.inf:
            assert got == -INF
        else:
            assert abs(got - real) <= max(1e-6, float(np.spacing(np.float32(abs(got)))))


@given(rows, st.floats(-60, 30, width=32))
def test_within_a_millionth_or_one_float(row: list[float], finite: float) -> None:
    check([*row, finite])


@pytest.mark.parametrize("scale", [0.01, 1.0, 8.0, 100.0, 1e6])
def test_random_rows(scale: float) -> None:
    torch.manual_seed(1)
    check((torch.randn(500) * scale).tolist())


def test_hand_computed() -> None:
    assert all_logprobs([0.0] * 8) == pytest.approx([-3 * math.log(2)] * 8, abs=1e-6)
    assert all_logprobs([5.0]) == [0.0]
    assert all_logprobs([3.0, -INF]) == [0.0, -INF]
    assert all_logprobs([0.0, -80.0]) == [0.0, -80.0]  # far below what a weight resolves
    assert all_logprobs([3e38, -3e38])[1] == -INF  # past the smallest float32


@given(rows, st.floats(-60, 30, width=32))
def test_ranks_and_alternatives(row: list[float], finite: float) -> None:
    row = [*row, finite]
    expected = oracle.order(row)
    assert reference.top_tokens(torch.tensor([row]), len(row)).tolist() == [expected]
    ranks = reference.token_ranks(torch.tensor([row]), torch.tensor([expected]))
    assert ranks.tolist() == [list(range(1, len(row) + 1))]


def test_ties_go_to_the_lower_id() -> None:
    logits = torch.tensor([[1.0, 2.0, 2.0, -0.0, 0.0, 2.0]])
    assert reference.top_tokens(logits, 4).tolist() == [[1, 2, 5, 0]]
    assert reference.token_ranks(logits, torch.arange(6)[None]).tolist() == [[4, 1, 2, 5, 6, 3]]
    assert reference.top_tokens(logits, 0).shape == (1, 0)


def test_rows_of_a_batch() -> None:
    torch.manual_seed(2)
    logits = torch.randn(5, 50)
    ids = torch.randint(50, (5, 3))
    alone = torch.cat([reference.token_logprobs(logits[i : i + 1], ids[i : i + 1]) for i in range(5)])
    assert torch.equal(reference.token_logprobs(logits, ids), alone)
    assert alone.dtype == torch.float32


def ranks_by_python(row: list[float]) -> list[int]:
    order = oracle.order(row)
    return [order.index(token) + 1 for token in range(len(row))]


@pytest.mark.parametrize("vocabulary", [2, 3, 64, 65, 127, 300])
def test_ranks_listed_and_counted(hard_rows: Callable[[int], Tensor], vocabulary: int) -> None:
    """Every token of every row as one batch; lists of none, one, some and all tokens."""
    for row in hard_rows(vocabulary):
        logits, ids = row[None].expand(vocabulary, -1), torch.arange(vocabulary)
        expected = ranks_by_python(row.tolist())
        assert reference.token_ranks(row[None], ids[None]).tolist() == [expected]
        for k in {0, 1, vocabulary // 2, vocabulary}:
            listed = torch.tensor([oracle.order(row.tolist())[:k]], dtype=torch.int64).expand(vocabulary, -1)
            assert ranks_given_top(logits, ids, listed).tolist() == expected


def test_ranks_listed_without_a_look(
    monkeypatch: pytest.MonkeyPatch, hard_rows: Callable[[int], Tensor]
) -> None:
    """As a compiler sees them: which tokens are missing in the list decides no branch."""
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    for row in hard_rows(65):
        logits, ids = row[None].expand(65, -1), torch.arange(65)
        for k in (0, 1, 32, 65):
            listed = torch.tensor([oracle.order(row.tolist())[:k]], dtype=torch.int64).expand(65, -1)
            assert ranks_given_top(logits, ids, listed).tolist() == ranks_by_python(row.tolist())


def test_counted_ranks_in_blocks() -> None:
    torch.manual_seed(3)
    logits, ids = torch.randn(5, 2**16).round(decimals=1), torch.randint(2**16, (5,))
    expected = [oracle.order(row).index(i) + 1 for row, i in zip(logits.tolist(), ids.tolist(), strict=True)]
    none = torch.empty(5, 0, dtype=torch.int64)
    assert ranks_given_top(logits, ids, none).tolist() == expected


def logs_of_totals(logits: Tensor) -> Tensor:
    chunks = blocked(logits)
    return log_normalizer(block_weights(chunks, chunks.amax(-1)).sum(-1, keepdim=True))


@pytest.mark.parametrize("vocabulary", [1, 2, 63, 65, 1003])
def test_normalisers(hard_rows: Callable[[int], Tensor], vocabulary: int) -> None:
    """The logarithm of the integer total within 2e-12 of mpmath's."""
    logits = hard_rows(vocabulary)
    for row, log_z in zip(logits.tolist(), logs_of_totals(logits)[:, 0].tolist(), strict=True):
        assert abs(log_z - mpmath.log(mpmath.mpf(sum(oracle.weights(row))) / 2**43)) < 2e-12


def test_normalisers_give_the_logprobs_of_the_definition(hard_rows: Callable[[int], Tensor]) -> None:
    logits, ids = hard_rows(1003), torch.arange(1003).expand(15, -1)
    d = logits.double() - logits.double().amax(-1, keepdim=True)
    assert torch.equal((d - logs_of_totals(logits)).float(), reference.token_logprobs(logits, ids))
