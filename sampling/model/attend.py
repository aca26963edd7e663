"""Attention of queries over keys and values: what is computed is one thing, how is chosen here.

    softmax(q k^T / sqrt(D) where visible) v, for each query head with the key/value head of its group

Shapes: q [B, T, H, D], k and v [B, T, KV, D] or, out of a cache, [B, KV, S, D]; the result is [B, T, H * D].

Source: "GQA: Training Generalized Multi-Query Transformer Models", arXiv:2305.13245.
"""

from __future__ import annotations

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor

Attend = Callable[[Tensor, Tensor, Tensor, Tensor | None], Tensor]


def causal_attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Over the T positions alone: each looks at itself and at what is before it."""
    q, k, v = q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)
    mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)  # [B, H, T, D]
    return mixed.transpose(1, 2).flatten(2)


def sdpa_attention(q: Tensor, k: Tensor, v: Tensor, visible: Tensor | None) -> Tensor:
    """Over a cache, by torch's fused operator; `visible` is [B, 1, T * G, S], a position's groups together, or None for all."""
    mixed = F.scaled_dot_product_attention(_grouped(q, k.shape[1]), k, v, attn_mask=visible)
    return _joined(mixed, q)


def reduce_attention(q: Tensor, k: Tensor, v: Tensor, visible: Tensor | None) -> Tensor:
    """Return the same as multiply-and-sum in float32: compiled and for one position it reads the cache at memory's speed."""
    wide = _grouped(q, k.shape[1]).float() * q.shape[-1] ** -0.5
    scores = (wide[..., None, :] * k.float()[:, :, None]).sum(-1)  # [B, KV, T * G, S]
    scores = scores if visible is None else scores.where(visible, -float("inf"))
    shares = scores.softmax(-1)
    mixed = (shares[..., None] * v.float()[:, :, None]).sum(-2)
    return _joined(mixed.to(q.dtype), q)


def _grouped(q: Tensor, kv_heads: int) -> Tensor:
    """[B, KV, T * G, D]: the queries of a group stand in the place of further positions.

    So keys and values serve them all without a copy; `enable_gqa` with a mask costs several times as much.
    """
    rows, width, _, head_dim = q.shape
    q = q.reshape(rows, width, kv_heads, -1).transpose(1, 2)  # [B, KV, T, G * D]
    return q.reshape(rows, kv_heads, -1, head_dim)


def _joined(mixed: Tensor, q: Tensor) -> Tensor:
    """[B, KV, T * G, D] to [B, T, H * D]."""
    rows, width, heads, head_dim = q.shape
    mixed = mixed.reshape(rows, mixed.shape[1], width, -1).transpose(1, 2)  # [B, T, KV, G * D]
    return mixed.reshape(rows, width, heads * head_dim)
