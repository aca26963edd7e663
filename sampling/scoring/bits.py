"""Sets of tokens as bits, one row of words for each set: bit i of word j is token 64 j + i."""

from __future__ import annotations

from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

WORD = 64
# The product of eight bytes that are 0 or 1 with this has them as the bits of its highest byte.
GATHER_BITS = sum(2 ** (56 - 7 * i) for i in range(8))


def pack(kept: Tensor) -> Tensor:
    """Pack bools.

    Args:
        kept: bool [R, V].

    Returns:
        int64 [R, ceil(V / 64)].

    Example:
        >>> import torch
        >>> pack(torch.tensor([[True, False, True]])).tolist()
        [[5]]
    """
    missing = -kept.shape[1] % WORD
    full = F.pad(kept, (0, missing)) if missing else kept
    by_eight = full.contiguous().view(torch.int64) * GATHER_BITS  # [R, V / 8], modulo 2^64
    return (by_eight >> 56).to(torch.uint8).view(torch.int64)


def unpack(words: Tensor, width: int) -> Tensor:
    """Return what `pack` was given, bool [R, width].

    Args:
        words: int64 [R, ceil(width / 64)].
        width: V.

    Example:
        >>> import torch
        >>> unpack(torch.tensor([[5]]), 3).tolist()
        [[True, False, True]]
    """
    index = words.view(torch.uint8).to(torch.int32)  # [R, V / 8]
    eights = bytes_of_bits(words.device).index_select(0, index.flatten())
    return eights.view(torch.bool).view(len(words), words.shape[1] * WORD)[:, :width]


@cache
def bytes_of_bits(device: torch.device) -> Tensor:
    """Return, for each byte, its eight bits as the bytes of an int64: int64 [256]."""
    with torch.inference_mode(False):
        numbers = torch.arange(256, dtype=torch.uint8)[:, None]
        bits = (numbers >> torch.arange(8, dtype=torch.uint8)) & 1
        return bits.contiguous().view(torch.int64)[:, 0].to(device)


def pack_ids(token_ids: Tensor, kept: Tensor, width: int) -> Tensor:
    """Pack sets that are given by the ids of their tokens.

    Args:
        token_ids: int64 [R, C], each id at most once where it is kept.
        kept: Which of them count, bool [R, C].
        width: V.

    Returns:
        int64 [R, ceil(V / 64)].

    Example:
        >>> import torch
        >>> pack_ids(torch.tensor([[2, 0, 0]]), torch.tensor([[True, True, False]]), 3).tolist()
        [[5]]
    """
    words = torch.zeros(len(token_ids), -(-width // WORD), dtype=torch.int64, device=token_ids.device)
    bit = torch.ones_like(token_ids) << (token_ids % WORD)
    return words.scatter_add_(1, token_ids // WORD, bit * kept)


def contains(words: Tensor, token_ids: Tensor) -> Tensor:
    """Return whether each set has a token, bool [R]; words int64 [R, W], token ids int64 [R]."""
    word = words.gather(1, token_ids[:, None] // WORD)[:, 0]
    return ((word >> (token_ids % WORD)) & 1) != 0


def tokens_of(words: Tensor) -> tuple[Tensor, Tensor]:
    """Return the tokens of all sets, looking at values.

    Args:
        words: int64 [R, W].

    Returns:
        The row and the id of each token, in order, int64 [K].

    Example:
        >>> import torch
        >>> tokens_of(torch.tensor([[5], [0], [1]]))
        (tensor([0, 0, 2]), tensor([0, 2, 0]))
    """
    rows, places = words.nonzero(as_tuple=True)
    some, bits = unpack(words[rows, places][:, None], WORD).nonzero(as_tuple=True)
    return rows[some], places[some] * WORD + bits
