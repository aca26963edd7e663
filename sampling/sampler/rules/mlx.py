"""MLX as mlx-lm calls it: the inverse of the cumulated softmax at one uniform of Threefry, its key split for each call.

That is what `categorical` does for logits [1, V]; for [V], and for more rows, it takes Gumbel noise.

Source: mlx 0.32, mlx/random.cpp (bits, uniform, categorical, KeySequence); mlx-lm 0.32, mlx_lm/sample_utils.py.
"""

from __future__ import annotations

import torch
from torch import Tensor

from sampling.sampler.rules.inverse_cdf import InverseCdf
from sampling.sampler.rules.threefry import Pair, key_of_seed, threefry


def split(key: Pair) -> tuple[Pair, Pair]:
    """Return the two keys that a key is split into."""
    low, high = threefry(key, (torch.tensor([0, 1]), torch.tensor([2, 3])))
    return (low[0], low[1]), (high[0], high[1])


def uniform(seed: int, position: int) -> float:
    """Return word / 2^32 in float32, below 1, of the key of a call: of each pair the first is the next global key."""
    following = key_of_seed(torch.tensor(seed))
    key = following
    for _ in range(position + 1):
        following, key = split(following)
    word, _ = threefry(key, (torch.tensor(0), torch.tensor(0)))
    return min((word.float() * 2.0**-32).item(), 1 - 2.0**-24)


def running_sums(logits: Tensor) -> Tensor:
    """Return the sums of the softmax, whose rounding in the engine's float32 the tolerance covers."""
    return logits.double().softmax(-1).cumsum(-1)


MLX = InverseCdf(
    name="mlx",
    source="mlx 0.32.4, mlx/random.cpp; mlx-lm 0.32.2",
    on_host=True,
    uniform=uniform,
    running=running_sums,
    inclusive=False,
    tolerance=2.0**-16,
)
