"""The library's second rule: the arg max of logit + noise that Philox keys by the token id."""

from __future__ import annotations

from sampling_kernels.gumbel import gumbel_noise
from torch import Tensor

from sampling.sampler.rules.keys import RngKeys
from sampling.sampler.rules.noisy_arg_max import NoisyArgMax


def noise(keys: RngKeys, columns: Tensor) -> Tensor:
    """Return float64 [B, C]."""
    return gumbel_noise(keys.seed, keys.position, keys.choice, columns)


GUMBEL = NoisyArgMax(name="gumbel", source="docs/draw.md of this project", noise=noise, tolerance=2.0**-44)
