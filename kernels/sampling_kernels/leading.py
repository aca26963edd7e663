"""The first tokens of a row, found through the maxima of its chunks instead of a look at every token."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

from sampling_kernels.chunks import tokens_of
from sampling_kernels.order import order_key

if TYPE_CHECKING:
    from jaxtyping import Float32, Int64
    from torch import Tensor

CHUNKS_IN_SIGHT = 128


def top_tokens_in_chunks(
    chunks: Float32[Tensor, "B N 64"], maxima: Float32[Tensor, "B N"], k: int
) -> Int64[Tensor, "B K"]:
    """The k most likely tokens, as `top_tokens` gives them.

    They lie in the k chunks whose maxima come first (of equal maxima, the lower chunk's): a token of another chunk has at
    least k tokens before it, one from each of these.

    Args:
        chunks: Logits in chunks, float32 [B, N, 64].
        maxima: The largest logit of each chunk, float32 [B, N].
        k: How many, 0 .. V.

    Returns:
        int64 [B, k].

    Example:
        >>> import torch
        >>> from sampling_kernels.chunks import chunked
        >>> chunks = chunked(torch.tensor([[0.0, 2.0, 2.0]]))
        >>> top_tokens_in_chunks(chunks, chunks.amax(-1), 2).tolist()
        [[1, 2]]
    """
    first = order_key(maxima).topk(min(k, maxima.shape[1])).indices.sort(-1).values  # [B, C]
    logits, ids = tokens_of(chunks, first)
    return ids.gather(1, order_key(logits).topk(k).indices)


def leading_tokens(
    chunks: Float32[Tensor, "B N 64"], maxima: Float32[Tensor, "B N"], count: int
) -> tuple[Float32[Tensor, "B C+1"], Int64[Tensor, "B C+1"]]:
    """Some of the most likely tokens of each row, and a ceiling for all others.

    Every token above the ceiling is among them; of those that equal it, any number may be missing.

    Args:
        chunks: Logits in chunks, float32 [B, N, 64].
        maxima: The largest logit of each chunk, float32 [B, N].
        count: How many tokens, C; fewer where V is less.

    Returns:
        Logits in the order of their token ids with the ceiling behind them, float32 [B, C + 1], -inf where no other token
        is left; and the ids, int64 [B, C + 1], 0 for the ceiling.

    Example:
        >>> import torch
        >>> from sampling_kernels.chunks import chunked
        >>> chunks = chunked(torch.tensor([[1.0, 0.0, 3.0, 2.0]]))
        >>> leading_tokens(chunks, chunks.amax(-1), 2)
        (tensor([[3., 2., 1.]]), tensor([[2, 3, 0]]))
    """
    in_sight = min(CHUNKS_IN_SIGHT, maxima.shape[1])
    ordered, which = maxima.topk(min(in_sight + 1, maxima.shape[1]))
    logits, ids = tokens_of(chunks, which[:, :in_sight].sort(-1).values)
    values, places = logits.topk(min(count + 1, logits.shape[1]))
    chosen = places[:, :count].sort(-1).values
    others = torch.cat([values[:, count:], ordered[:, in_sight:]], -1)
    ceiling = F.pad(others, (0, 1), value=-math.inf).amax(-1, keepdim=True)
    ids = F.pad(ids.gather(1, chosen), (0, 1))
    return torch.cat([logits.gather(1, chosen), ceiling], -1), ids
