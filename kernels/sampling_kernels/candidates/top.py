"""The first tokens of a row, found through the maxima of its blocks instead of a look at every token."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

from sampling_kernels.blocks import BLOCK, gather_blocks, ids_in_blocks
from sampling_kernels.sort_key import sort_key

if TYPE_CHECKING:
    from jaxtyping import Float32, Int64
    from torch import Tensor

    from sampling_kernels.candidates.blocks import CandidateBlocks


def top_tokens_in_blocks(
    blocks: Float32[Tensor, "B N 64"], maxima: Float32[Tensor, "B N"], k: int
) -> Int64[Tensor, "B K"]:
    """Compute `reference.top_tokens`.

    They lie in the k blocks whose maxima come first (of equal maxima, the lower block's): a token of another block has at
    least k tokens before it, one from each of these.

    Args:
        blocks: Logits in blocks, float32 [B, N, 64].
        maxima: The largest logit of each block, float32 [B, N].
        k: How many, 0 .. V.

    Returns:
        int64 [B, k].

    Example:
        >>> import torch
        >>> from sampling_kernels.blocks import blocked
        >>> blocks = blocked(torch.tensor([[0.0, 2.0, 2.0]]))
        >>> top_tokens_in_blocks(blocks, blocks.amax(-1), 2).tolist()
        [[1, 2]]
    """
    if k == 0:  # compiled for any k, the reshape of nothing fails
        return torch.empty(len(maxima), 0, dtype=torch.int64, device=maxima.device)
    first = sort_key(maxima).topk(min(k, maxima.shape[1])).indices.sort(-1).values  # [B, C]
    return ids_in_blocks(first, sort_key(gather_blocks(blocks, first)).topk(k).indices)


def top_candidates(
    blocks: CandidateBlocks, count: int
) -> tuple[Float32[Tensor, "B C+1"], Int64[Tensor, "B C+1"]]:
    """Return some of the most likely tokens of each row, and a bound of the remainder.

    Every token above the bound is among them; of those that equal it, any number may be missing.

    Args:
        blocks: The blocks of B rows.
        count: How many tokens, C; fewer where V is less.

    Returns:
        Logits in the order of their token ids with the remainder bound behind them, float32 [B, C + 1], -inf where no other
        token is left; and the ids, int64 [B, C + 1], 0 for the bound.

    Example:
        >>> import torch
        >>> from sampling_kernels.blocks import BlockedLogits
        >>> from sampling_kernels.candidates.blocks import CandidateBlocks
        >>> top_candidates(CandidateBlocks.of(BlockedLogits.of(torch.tensor([[1.0, 0.0, 3.0, 2.0]]))), 2)
        (tensor([[3., 2., 1.]]), tensor([[2, 3, 0]]))
    """
    values = blocks.values.unflatten(1, (-1, BLOCK))
    # Of count + 1 blocks with the largest maxima, each has a token that no token of another block is above.
    near = values.amax(-1).topk(min(count + 1, values.shape[1])).indices.sort(-1).values
    logits = gather_blocks(values, near)
    top, positions = logits.topk(min(count + 1, logits.shape[1]))
    chosen = positions[:, :count].sort(-1).values
    bound = torch.cat([top[:, count:], blocks.max_outside], -1).amax(-1, keepdim=True)
    ids = F.pad(ids_in_blocks(blocks.block_ids.gather(1, near), chosen), (0, 1))
    return torch.cat([logits.gather(1, chosen), bound], -1), ids
