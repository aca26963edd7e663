"""vLLM 0.33, model runner V2: Gumbel noise hashed from (seed, position, token id).

Choice i of a request has the seed of the request + i.

Source: vllm 0.33.0, vllm/v1/worker/gpu/sample/gumbel.py, vllm/v1/engine/parallel_sampling.py, vllm/sampling_params.py.
"""

from __future__ import annotations

import torch
from torch import Tensor

from sampling.sampler.rules.keys import RngKeys
from sampling.sampler.rules.murmur3 import murmur3, murmur3_int32
from sampling.sampler.rules.noisy_arg_max import NoisyArgMax, OfColumns
from sampling.sampler.rules.rule import choice_adds_to_seed

HIGH_WORD = 0x9E3779B9  # where the hash of the upper word starts


def log32(x: Tensor) -> Tensor:
    """Return the logarithm of float32 numbers, rounded to the nearest float32 on any device."""
    return x.double().log().float()


def log1p_of_negative(u: Tensor) -> Tensor:
    """Return ln(1 - u), float32, as the engine has it: below 1/4 the sum of -u^k / k for k = 1..8."""
    series = torch.full_like(u, 1 / 8)
    for k in range(7, 0, -1):
        series = 1 / k + u * series
    return torch.where(u < 0.25, -u * series, log32((1 - u).clamp(min=2.0**-24)))


def noise32(keys: RngKeys, columns: Tensor) -> Tensor:
    """Return float32 [B, C]: -ln(-ln(1 - u)) with u = (h + 1/2) / 2^32 rounded to float32."""
    h = murmur3(keys.seed, keys.position, columns)
    u = ((h.double() + 0.5) * 2.0**-32).float()
    return -log32(-log1p_of_negative(u))


def tail32(keys: RngKeys, columns: Tensor) -> Tensor:
    """Return what bounds the noise: -ln(1 - u) is at least u."""
    return murmur3_int32(keys.seed, keys.position, columns)


def noise64(keys: RngKeys, columns: Tensor) -> Tensor:
    """Return float64 [B, C]: -ln(-ln u) with u from the upper 53 bits of two hashes."""
    low = murmur3(keys.seed, keys.position, columns)
    high = murmur3(keys.seed, keys.position, columns, start=HIGH_WORD)
    u = (((high << 21) | (low >> 11)).double() + 0.5) * 2.0**-53
    return -(-u.clamp(max=1 - 2.0**-53).log()).log()


def tail64(keys: RngKeys, columns: Tensor) -> Tensor:
    """Return what bounds the noise: -ln u is at least 1 - u, of which the upper hash has the first 32 bits."""
    return ~murmur3_int32(keys.seed, keys.position, columns, start=HIGH_WORD)


def vllm_rule(name: str, noise: OfColumns, tail: OfColumns, tolerance: float) -> NoisyArgMax:
    """Return the rule with one of the two noises and its bound."""
    return NoisyArgMax(
        name=name,
        source="vllm 0.33.0, vllm/v1/worker/gpu/sample/gumbel.py",
        dialect="vllm",
        keyed=choice_adds_to_seed,
        no_seeds=(-1,),
        counts_prompt=True,
        noise=noise,
        tail=tail,
        tolerance=tolerance,
    )


VLLM = vllm_rule("vllm-0.33", noise32, tail32, 2.0**-18)
VLLM_FP64 = vllm_rule("vllm-0.33-fp64", noise64, tail64, 2.0**-46)
