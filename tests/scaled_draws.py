"""The two draw rules at scale, and faulty samplers for the tests to reject.

`sampling.draw` computes a row's weights for every draw. Here they and their running sums are computed once, and many keys
go through them; tests check that the tokens are those of `sampling.draw`. A sampler turns noise into tokens, so that a correct
and a faulty one see the same noise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import oracle
import torch
from numpy.typing import NDArray
from sampling_kernels.fixed_point import mulhi_u64
from sampling_kernels.gumbel import gumbel_noise, gumbel_sample
from sampling_kernels.inverse_cdf import INTEGER_RULE
from sampling_kernels.philox import random_words
from sampling_kernels.reference import weights
from torch import Tensor

VOCABULARY = 128256
BLOCK = 2**14  # values of noise at a time: more would not fit the processor's cache
SEED = 2024

Noise = Callable[[Tensor, Tensor, Tensor], Any]
Sampler = Callable[[Any], Tensor]


def peaked() -> Tensor:
    """32 logits, probabilities from 0.4 down to 1 in 10^4, in no order of the ids."""
    return torch.tensor([-0.24 * (7 * i % 32) + (0.9 if i == 0 else 0.0) for i in range(32)])


def zipf() -> Tensor:
    """A Zipf distribution over the whole vocabulary, probabilities from 0.08 to 6 in 10^7, in no order of the ids."""
    rank = 1 + torch.arange(VOCABULARY) * 7919 % VOCABULARY
    return -rank.double().log().float()


def far_tail() -> Tensor:
    """One head against all other tokens of the vocabulary, with probabilities from 10^-10 to 10^-8."""
    place = torch.arange(VOCABULARY) * 7919 % VOCABULARY / VOCABULARY
    return torch.where(place > 0, np.log(10) * (2 * place - 10), 0.0)


def softmax(logits: Tensor) -> NDArray[np.float64]:
    """Probabilities without the code under test: mpmath for a few tokens, numpy's float64 for many."""
    if len(logits) <= 100:
        return np.array([float(p) for p in oracle.softmax(logits.tolist())])
    values = logits.double().numpy()
    exponentials = np.exp(values - values.max())
    return exponentials / exponentials.sum()


def uniforms(seed: Tensor, position: Tensor, choice: Tensor) -> tuple[Tensor, Tensor]:
    """Noise of the integer rule: the two words of u."""
    return random_words(seed, position, choice, INTEGER_RULE)


def gumbels(size: int) -> Noise:
    """Noise of the Gumbel rule for tokens 0 .. size - 1."""
    return lambda seed, position, choice: gumbel_noise(seed, position, choice, torch.arange(size)[None])


def by_weight(logits: Tensor) -> Sampler:
    """The integer rule."""
    running = weights(logits[None])[0].cumsum(0)
    return lambda words: torch.searchsorted(running, mulhi_u64(*words, running[-1])[0], right=True)


def by_gumbel(logits: Tensor) -> Sampler:
    """The Gumbel rule."""
    return lambda noise: gumbel_sample(logits.expand(len(noise), -1), noise)


def by_float32_sums(logits: Tensor) -> Sampler:
    """Faulty: probabilities added one by one in float32, where 10^-8 does not move a sum near 1."""
    running = torch.from_numpy(np.cumsum(logits.softmax(0).numpy(), dtype=np.float32)).double()
    return lambda words: torch.searchsorted(running, words[0].double() * 2.0**-32 * running[-1], right=True)


def by_coarse_uniform(logits: Tensor) -> Sampler:
    """Faulty: exact sums, but a uniform that is a multiple of 2^-24, as in float32."""
    running = torch.from_numpy(softmax(logits)).cumsum(0)
    return lambda words: torch.searchsorted(running, (words[0] >> 8) * 2.0**-24 * running[-1], right=True)


def between_steps(logits: Tensor) -> NDArray[np.int64]:
    """The tokens that no multiple of 2^-24 falls upon."""
    running = np.cumsum(softmax(logits))
    steps = np.ceil(np.append(0.0, running / running[-1]) * 2.0**24)
    return np.flatnonzero(steps[1:] == steps[:-1])


def by_coarse_gumbel(logits: Tensor, bits: int = 24) -> Sampler:
    """Faulty: noise -ln(-ln u) from uniforms that are multiples of 2^-bits, 24 in float32, so it ends at bits ln 2."""

    def sample(noise: Tensor) -> Tensor:
        u = (noise.neg().exp().neg().exp() * 2.0**bits).floor().clamp(max=2.0**bits - 1)
        return by_gumbel(logits)(-torch.log(-torch.log(u * 2.0**-bits)))

    return sample


def keys(axis: str, start: int, count: int) -> list[Tensor]:
    """Consecutive values of one part of the key, the others fixed."""
    fixed = {"seed": SEED, "position": 0, "choice": 0}
    running = torch.arange(start, start + count)
    return [running if name == axis else torch.full_like(running, value) for name, value in fixed.items()]


def blocks(draws: int, width: int) -> list[tuple[int, int]]:
    """(start, count) of blocks with BLOCK values of noise each."""
    rows = max(1, BLOCK // width)
    return [(start, min(rows, draws - start)) for start in range(0, draws, rows)]


def tally(
    noise: Noise, samplers: Sequence[Sampler], sizes: Sequence[int], parts: Iterable[tuple[int, int]]
) -> list[NDArray[np.int64]]:
    """How often each sampler draws each token, over consecutive positions; `sizes` are their vocabularies."""
    counts = [torch.zeros(size, dtype=torch.int64) for size in sizes]
    for start, count in parts:
        values = noise(*keys("position", start, count))
        for total, sampler in zip(counts, samplers, strict=True):
            total += sampler(values).bincount(minlength=len(total))
    return [total.numpy() for total in counts]


def sequence(
    noise: Noise, sampler: Sampler, axis: str, parts: Iterable[tuple[int, int]]
) -> NDArray[np.int64]:
    """The tokens of consecutive positions, seeds or choices."""
    return torch.cat([sampler(noise(*keys(axis, start, count))) for start, count in parts]).numpy()
