"""SGLang 0.5.23 with --enable-deterministic-inference: Gumbel noise hashed from (seed, position, column).

Without top_k, top_p and greedy rows in the batch a column is a token id, otherwise the token's place in the sorted row. All
choices of a request have its seed, and all requests without one have 42.

Source: sglang 0.5.23, sglang/srt/layers/sampler.py (multinomial_with_seed, top_k_top_p_min_p_sampling_from_probs_torch);
sglang/kernels/ops/sampling/murmur_hash.py; sglang/srt/sampling/sampling_batch_info.py.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from sampling.sampler.rules.keys import RngKeys
from sampling.sampler.rules.murmur3 import murmur3, murmur3_int32
from sampling.sampler.rules.noisy_arg_max import NoisyArgMax
from sampling.sampler.rules.rule import choice_is_ignored


def noise(keys: RngKeys, columns: Tensor) -> Tensor:
    """Return float64 [B, C]: -ln(-ln x) with x = h / (2^32 - 1), its ends drawn in."""
    x = murmur3(keys.seed, keys.position, columns).double() / (2**32 - 1)
    return -(-x.log().clamp(min=torch.finfo(x.dtype).min, max=-(2.0**-32))).log()


def tail(keys: RngKeys, columns: Tensor) -> Tensor:
    """Return what bounds the noise: -ln x is at least 1 - x."""
    return ~murmur3_int32(keys.seed, keys.position, columns)


RANKED = NoisyArgMax(
    name="sglang-0.5.23-ranked",
    source="sglang 0.5.23, sglang/srt/layers/sampler.py",
    dialect="sglang",
    keyed=choice_is_ignored,
    unseeded=42,
    counts_prompt=True,
    noise=noise,
    tail=tail,
    tolerance=2.0**-17,  # the engine's probabilities are float32
    ranked=True,
)
SGLANG = replace(RANKED, name="sglang-0.5.23", ranked=False, when_sorted=RANKED.name)
