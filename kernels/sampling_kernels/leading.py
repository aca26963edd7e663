"""The first tokens of a row, found through the maxima of its chunks instead of a look at every token."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from sampling_kernels.chunks import CHUNK, CHUNK_BITS, Chunks, token_ids, tokens_in
from sampling_kernels.order import order_key

if TYPE_CHECKING:
    from jaxtyping import Float32, Int64

CHUNKS_IN_SIGHT = 128
MOST_FOR_EDITS = 256


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
    if k == 0:  # compiled for any k, the reshape of nothing fails
        return torch.empty(len(maxima), 0, dtype=torch.int64, device=maxima.device)
    first = order_key(maxima).topk(min(k, maxima.shape[1])).indices.sort(-1).values  # [B, C]
    return token_ids(first, order_key(tokens_in(chunks, first)).topk(k).indices)


@dataclass(frozen=True)
class Sight:
    """What is looked at token by token: the chunks with the largest maxima, and those of some tokens that will be edited.

    Args:
        whole: The rows before any edit.
        which: Numbers of the chunks in sight, ascending, int64 [B, C].
        values: The logits of their tokens, which edits write to, float32 [B, C 64].
        beyond: The largest logit out of sight, float32 [B, 1]; -inf where all chunks are in sight.
        crowded: Where the tokens to edit leave too little room for others, bool [B]; not even all of them may be there.
        sums: The weight of each chunk of the whole rows where it is known, int64 [B, N].
    """

    whole: Chunks
    which: Tensor
    values: Tensor
    beyond: Tensor
    crowded: Tensor
    sums: Tensor | None = None

    @staticmethod
    def of(whole: Chunks, edited: Tensor | None = None, sums: Tensor | None = None) -> Sight:
        """Look at rows.

        Args:
            whole: The rows.
            edited: Ids of tokens that have to be in sight, int64 [B, E].
            sums: The weight of each chunk where it is known, int64 [B, N].
        """
        first, count, chunks = whole.maxima, CHUNKS_IN_SIGHT, whole.maxima.shape[1]
        if edited is not None:
            first = first.scatter(1, edited >> CHUNK_BITS, math.inf)
            count += min(edited.shape[1], MOST_FOR_EDITS)
        count = min(count, chunks)
        ordered, which = first.topk(min(count + 1, chunks))
        which = which[:, :count].sort(-1).values
        beyond = F.pad(ordered[:, count:], (0, 1), value=-math.inf)[:, :1]
        crowded = torch.zeros_like(which[:, 0], dtype=torch.bool)
        if edited is not None and count < chunks:
            crowded = ordered[:, count - CHUNKS_IN_SIGHT // 2] == math.inf
        return Sight(whole, which, tokens_in(whole.values, which), beyond, crowded, sums)

    @property
    def maximum(self) -> Tensor:
        """The largest logit of each row, edits included, float32 [B, 1]."""
        return self.values.amax(-1, keepdim=True).maximum(self.beyond)

    def select(self, rows: Tensor) -> Sight:
        """What is in sight of some rows, int64 [R]."""
        sums = None if self.sums is None else self.sums[rows]
        which, values, beyond = self.which[rows], self.values[rows], self.beyond[rows]
        return Sight(self.whole.select(rows), which, values, beyond, self.crowded[rows], sums)

    def places(self, ids: Tensor) -> Tensor:
        """Where the tokens to edit stand among the values, int64 [B, E]; anywhere in a crowded row."""
        begins = torch.arange(0, self.values.shape[1], CHUNK, device=ids.device).expand_as(self.which)
        place_of_chunk = torch.zeros_like(self.whole.maxima, dtype=torch.int64).scatter_(
            1, self.which, begins
        )
        return place_of_chunk.gather(1, ids >> CHUNK_BITS) + (ids & (CHUNK - 1))


def leading_tokens(sight: Sight, count: int) -> tuple[Float32[Tensor, "B C+1"], Int64[Tensor, "B C+1"]]:
    """Some of the most likely tokens of each row, and a ceiling for all others.

    Every token above the ceiling is among them; of those that equal it, any number may be missing.

    Args:
        sight: What is in sight of B rows.
        count: How many tokens, C; fewer where V is less.

    Returns:
        Logits in the order of their token ids with the ceiling behind them, float32 [B, C + 1], -inf where no other token
        is left; and the ids, int64 [B, C + 1], 0 for the ceiling.

    Example:
        >>> import torch
        >>> leading_tokens(Sight.of(Chunks.of(torch.tensor([[1.0, 0.0, 3.0, 2.0]]))), 2)
        (tensor([[3., 2., 1.]]), tensor([[2, 3, 0]]))
    """
    chunks = sight.values.unflatten(1, (-1, CHUNK))
    # Of count + 1 chunks with the largest maxima, each has a token that no token of another chunk is above.
    near = chunks.amax(-1).topk(min(count + 1, chunks.shape[1])).indices.sort(-1).values
    logits = tokens_in(chunks, near)
    values, places = logits.topk(min(count + 1, logits.shape[1]))
    chosen = places[:, :count].sort(-1).values
    ceiling = torch.cat([values[:, count:], sight.beyond], -1).amax(-1, keepdim=True)
    ids = F.pad(token_ids(sight.which.gather(1, near), chosen), (0, 1))
    return torch.cat([logits.gather(1, chosen), ceiling], -1), ids
