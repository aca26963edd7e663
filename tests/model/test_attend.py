"""Each form of attention against float64, head by head."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from sampling.model.attend import causal_attention, reduce_attention, sdpa_attention

FORMS = {"fused": sdpa_attention, "summed": reduce_attention}
D, LENGTH, ROOM = 16, 37, 48


def noise(*shape: int) -> Tensor:
    return 2 * torch.randn(shape, generator=torch.Generator().manual_seed(len(shape) + sum(shape)))


def exact(q: Tensor, k: Tensor, v: Tensor, lengths: list[list[int]]) -> Tensor:
    """Query t of a row, over the first lengths[row][t] positions of k and v, [B, KV, S, D]."""
    rows, width, heads, head_dim = q.shape
    mixed = torch.empty(rows, width, heads, head_dim, dtype=torch.float64)
    for row, step, head in torch.cartesian_prod(*map(torch.arange, (rows, width, heads))).tolist():
        seen, shared = lengths[row][step], head * k.shape[1] // heads
        scores = k[row, shared, :seen].double() @ q[row, step, head].double() / head_dim**0.5
        mixed[row, step, head] = scores.softmax(0) @ v[row, shared, :seen].double()
    return mixed.flatten(2)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("heads", "kv_heads"), [(4, 4), (6, 2), (8, 1)])
@pytest.mark.parametrize("width", [1, 3])
@pytest.mark.parametrize("form", FORMS)
def test_over_a_cache(form: str, width: int, heads: int, kv_heads: int, dtype: torch.dtype) -> None:
    """Rows of different lengths; what a query may not look at is as large as what it may."""
    lengths = [[LENGTH + step, 1 + step] for step in range(width)]
    by_row = [list(row) for row in zip(*lengths, strict=True)]
    q = noise(2, width, heads, D).to(dtype)
    k, v = noise(2, kv_heads, ROOM, D).to(dtype), 1 + noise(kv_heads, 2, ROOM, D).transpose(0, 1).to(dtype)
    seen = torch.arange(ROOM) < torch.tensor(by_row)[:, None, :, None]  # [B, 1, T, S]
    visible = seen.repeat_interleave(heads // kv_heads, dim=2)
    found, told = FORMS[form](q, k, v, visible), exact(q, k, v, by_row)
    assert found.dtype == dtype
    rounding = {torch.float32: 5e-6, torch.bfloat16: 2e-2}[dtype]
    torch.testing.assert_close(found.double(), told, rtol=rounding, atol=rounding)


@pytest.mark.parametrize("kv_heads", [1, 2, 4])
def test_without_a_cache(kv_heads: int) -> None:
    q, k, v = noise(2, 9, 4, D), noise(2, 9, kv_heads, D), noise(9, 2, kv_heads, D).transpose(0, 1)
    told = exact(q, k.transpose(1, 2), v.transpose(1, 2), [list(range(1, 10))] * 2)
    torch.testing.assert_close(causal_attention(q, k, v).double(), told, rtol=5e-6, atol=5e-6)
