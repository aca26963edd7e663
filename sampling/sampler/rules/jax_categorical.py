"""JAX: `jax.random.categorical(jax.random.fold_in(jax.random.key(seed), position), logits)`, one row a call.

Source: jax 0.10, jax/_src/random.py (categorical, gumbel, uniform), jax/_src/prng.py (partitionable Threefry).
"""

from __future__ import annotations

import torch
from torch import Tensor

from sampling.sampler.rules.keys import RngKeys
from sampling.sampler.rules.noisy_arg_max import NoisyArgMax
from sampling.sampler.rules.threefry import key_of_seed, threefry
from sampling.sampler.rules.vllm_0_33 import log32


def noise(keys: RngKeys, columns: Tensor) -> Tensor:
    """Return float32 [B, C]: -ln(-ln u) with u from the upper 23 bits of a word, at least the smallest normal number."""
    high, low = key_of_seed(keys.seed)
    folded = threefry((high, low), (torch.zeros_like(keys.position), keys.position))
    a, b = threefry((folded[0][:, None], folded[1][:, None]), (torch.zeros_like(columns), columns))
    u = (((a ^ b) >> 9).float() * 2.0**-23).clamp(min=2.0**-126)
    return -log32(-log32(u))


JAX = NoisyArgMax(
    name="jax",
    source="jax 0.10.0, jax/_src/random.py, jax/_src/prng.py",
    noise=noise,
    tolerance=2.0**-18,
)
