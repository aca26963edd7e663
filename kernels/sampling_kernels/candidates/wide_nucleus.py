"""The nucleus of a row that is too wide for candidates, by float64 exponentials of all tokens where these decide.

A token of such a row weighs little, so FILTER_MARGIN, which holds for any few tokens, would leave most rows in doubt. Over
a whole row the definition is off by far less: tokens far below the maximum, where its error is largest, carry no mass.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from sampling_kernels.radix_select import BIN_BITS, BINS_PER_NAT
from sampling_kernels.weights import total_variation_bound

if TYPE_CHECKING:
    from jaxtyping import Float32

    from sampling_kernels.sort_key import TieBreak


@dataclass(frozen=True)
class Nucleus:
    """The nucleus of one row.

    Args:
        kept: bool [1, V].
        normalizer: The sum of e^(l - max l) over it, float64 [1, 1].
        total: The sum over the row, float64 [].
    """

    kept: Tensor
    normalizer: Tensor
    total: Tensor


def wide_nucleus(
    logits: Float32[Tensor, "1 V"], p: float, *, tie_break: TieBreak = "lowest_id", keep_ties: bool = False
) -> Nucleus | None:
    """Compute `reference.top_p_mask` of one row, looking at values; None where float64 leaves a doubt.

    The exponentials are summed in bins of logits; only the tokens of the bin where p is reached are sorted.

    Args:
        logits: float32 [1, V], the largest finite.
        p: 0 to 1, less than 1.
        tie_break: Which of two equal logits comes first.
        keep_ties: Keep all that equal the last one, too.

    Returns:
        The nucleus.

    Example:
        >>> import torch
        >>> wide_nucleus(torch.tensor([[3.0, 1.0, 2.0, 0.0]]), 0.8).kept.tolist()
        [[True, False, True, False]]
        >>> wide_nucleus(torch.zeros(1, 10), 0.9)
    """
    below = logits - logits.amax()
    exp = below.double().exp_()
    bins = below.mul_(BINS_PER_NAT).add_(2**BIN_BITS - 1).clamp_(min=0).to(torch.int64)
    sums = torch.zeros(1, 2**BIN_BITS, dtype=torch.float64).scatter_add_(1, bins, exp)[0]
    running = sums.cumsum(0)
    total = running[-1]
    width = logits.shape[1]
    # The weights' share of a prefix is off by the total variation at most, a sum of V float64 numbers by V 2^-53.
    share, off = p * total, total * (total_variation_bound(max(width, 2)) + width * 2.0**-51)
    last = int((total - running + sums >= share).sum()) - 1
    above = total - running[last]
    near = (bins[0] == last).nonzero()[:, 0]
    if tie_break == "highest_id":
        near = near.flip(0)
    values, order = logits[0, near].sort(descending=True, stable=True)
    own = exp[0, near[order]]
    upto = above + own.cumsum(0)
    before = upto - own
    fewest, count = int((before < share - off).sum()), int((before < share + off).sum())
    if fewest != count or count == 0 or bool(upto[count - 1] < share + off):
        return None
    least = values[count - 1]
    tied = values == least
    if keep_ties or not bool(tied[count:].any()):
        return Nucleus(logits >= least, (above + own[values >= least].sum())[None, None], total)
    kept = logits > least
    kept[0, near[order[:count]]] = True
    return Nucleus(kept, upto[count - 1][None, None], total)
