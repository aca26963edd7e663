"""The sets of tokens that an engine kept, in the forms that engines return them in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate, pairwise
from typing import Protocol, TypeAlias, cast

import torch
import torch.nn.functional as F
from sampling_kernels.host_sync import can_sync, map_row_tiles
from torch import Tensor

from sampling.core.device import with_values
from sampling.core.errors import InvalidArgument
from sampling.core.whole_numbers import whole_list
from sampling.scoring.bits import WORD, pack, unpack

BITS = 32  # of a word of a packed mask


class SamplingMask(Protocol):
    """Token ids of all rows one after another, and where each row begins, as vLLM returns them."""

    token_ids: Sequence[int]
    offsets: Sequence[int]


Kept: TypeAlias = Tensor | Sequence[Sequence[int]] | Mapping[str, Sequence[int]] | SamplingMask
FORMS = (
    "a bool mask [N, V], an int32 bitmask [N, ceil(V / 32)], lists of token ids, or token_ids with offsets"
)


def words_of_kept(kept: Kept, rows: int, width: int, device: torch.device) -> Tensor:
    """Return an engine's kept sets as `sampling.scoring.bits` has them.

    Args:
        kept: In any of the forms.
        rows: N.
        width: V.
        device: Where the result is wanted.

    Returns:
        int64 [N, ceil(V / 64)].

    Raises:
        InvalidArgument: Another form, another number of rows or tokens, a token id that is none or stands twice in a row; and,
            where a look costs nothing, a row that keeps nothing.
    """
    if isinstance(kept, Tensor):
        words = words_of_mask(with_values("kept", kept), rows, width).to(device)
    else:
        words = words_of_lists(*csr(kept), rows, width).to(device)
    if can_sync(words):
        empty = (words == 0).all(-1).nonzero()[:, 0].tolist()
        if empty:
            raise InvalidArgument("kept", f"nothing in row {empty[0]}", "at least one token in each row")
    return words


def words_of_mask(mask: Tensor, rows: int, width: int) -> Tensor:
    """Return masks of either type as words."""
    shapes = {torch.bool: (rows, width), torch.int32: (rows, -(-width // BITS))}
    expected = shapes.get(mask.dtype)
    if expected is None:
        raise InvalidArgument("kept", f"a tensor of {mask.dtype}", FORMS)
    if tuple(mask.shape) != expected:
        words = f"{expected}, for {rows} rows of {width} logits"
        raise InvalidArgument("kept", f"a {mask.dtype} mask of shape {tuple(mask.shape)}", words)
    if mask.dtype == torch.bool:
        return map_row_tiles(pack, mask)
    words = F.pad(mask, (0, mask.shape[1] % 2)).contiguous().view(torch.int64)
    if can_sync(words) and width % WORD and bool((words[:, -1] >> width % WORD).any()):
        beyond = bool(unpack(words[:, -1:], WORD)[:, width % WORD :].any())
        if beyond:
            raise InvalidArgument(
                "kept", f"a bitmask with bits beyond token {width - 1}", f"of {width} tokens"
            )
    return words


def csr(kept: object) -> tuple[list[int], list[int]]:
    """Return the token ids of all rows one after another, and where each row begins and the last one ends."""
    if isinstance(kept, Mapping):
        found = cast("Mapping[str, object]", kept)
        if not {"token_ids", "offsets"} <= found.keys():
            raise InvalidArgument("kept", sorted(found), FORMS)
        return flat("token_ids", found["token_ids"]), flat("offsets", found["offsets"])
    if hasattr(kept, "token_ids") and hasattr(kept, "offsets"):
        mask = cast("SamplingMask", kept)
        return flat("token_ids", mask.token_ids), flat("offsets", mask.offsets)
    if not isinstance(kept, Sequence) or isinstance(kept, str | bytes):
        raise InvalidArgument("kept", kept, FORMS)
    lists = [flat(str(row), one) for row, one in enumerate(cast("Sequence[object]", kept))]
    return [token for one in lists for token in one], [0, *accumulate(map(len, lists))]


def flat(name: str, value: object) -> list[int]:
    """Return whole numbers of a list, an array or a tensor."""
    numbers = value.tolist() if hasattr(value, "tolist") else value  # pyright: ignore[reportAttributeAccessIssue]
    if not isinstance(numbers, Sequence) or isinstance(numbers, str | bytes):
        raise InvalidArgument(f"kept[{name}]", value, "a list of whole numbers")
    return whole_list(f"kept[{name}]", numbers, 0, 2**62)


def words_of_lists(token_ids: list[int], offsets: list[int], rows: int, width: int) -> Tensor:
    """Return lists as words."""
    if len(offsets) != rows + 1:
        raise InvalidArgument(
            "kept", f"{len(offsets) - 1} rows", f"one for each of the {rows} rows of the logits"
        )
    if offsets[0] != 0 or offsets[-1] != len(token_ids) or any(a > b for a, b in pairwise(offsets)):
        raise InvalidArgument(
            "kept[offsets]", offsets, f"ascending from 0 to {len(token_ids)}, the number of token ids"
        )
    ids, begins = torch.tensor(token_ids, dtype=torch.int64), torch.tensor(offsets)
    row = torch.arange(rows).repeat_interleave(begins.diff())
    wrong = ((ids >= width).nonzero()[:, 0]).tolist()
    if wrong:
        place = f"{token_ids[wrong[0]]} in row {int(row[wrong[0]])}"
        raise InvalidArgument("kept", place, f"token ids below {width}, the width of the logits")
    each, times = (row * width + ids).unique(return_counts=True)
    if len(each) < len(ids):
        twice = int(each[times > 1][0])
        raise InvalidArgument(
            "kept", f"{twice % width} twice in row {twice // width}", "token ids that stand in a row once"
        )
    count = -(-width // WORD)
    words = torch.zeros(rows * count, dtype=torch.int64)
    bit = torch.ones_like(ids) << (ids % WORD)
    return words.scatter_add_(0, row * count + ids // WORD, bit).view(rows, count)
