"""Wrong draws."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from conformance.faulty.sampler import FaultySampler, Mutant
from sampling_kernels.inverse_cdf import INTEGER_RULE
from sampling_kernels.philox import random_words
from torch import Tensor

from sampling.conformance.reference import Key, Reference

SEED_FOR_ALL = 42


class Keyed(FaultySampler):
    """Draws keyed by something else.

    Args:
        change: From seeds, positions and choices, int64 [N] each, to those that count.
    """

    def __init__(self, change: Callable[[Tensor, Tensor, Tensor], Key]) -> None:
        super().__init__()
        self._change = change

    def key(self, seeds: Sequence[int], position: int, choice: int) -> Key:
        """The wrong key."""
        return self._change(*super().key(seeds, position, choice))


class Uniform(FaultySampler):
    """An inverse cumulative distribution in float64, of uniforms that are not what they should be.

    Args:
        change: From uniforms, float64 [N], to the numbers that are used.
    """

    def __init__(self, change: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self._change = change

    def picked(self, processed: Tensor, seeds: Tensor, positions: Tensor, choices: Tensor) -> list[int]:
        """The first token whose cumulative probability exceeds the number."""
        high, low = random_words(seeds, positions, choices, INTEGER_RULE)
        cumulative = processed.double().softmax(-1)[0].cumsum(-1)
        cumulative /= cumulative[-1].item()
        u = self._change((high.double() + low.double() / 2**32) / 2**32)
        return torch.searchsorted(cumulative, u, right=True).clamp(max=len(cumulative) - 1).tolist()


class Stray(Uniform):
    """One draw in 4,096 takes the least likely token, of probability 0 if there is one."""

    def __init__(self) -> None:
        super().__init__(lambda u: u)

    def picked(self, processed: Tensor, seeds: Tensor, positions: Tensor, choices: Tensor) -> list[int]:
        """By other bits of the key than the draw itself."""
        stray = random_words(seeds, positions, choices, INTEGER_RULE + 9)[0] % 4096 == 0
        right = super().picked(processed, seeds, positions, choices)
        least = int(processed[0].argmin())
        return [least if wrong else token for token, wrong in zip(right, stray.tolist(), strict=True)]


class Unseeded(FaultySampler):
    """Requests without a seed all have one."""

    def fresh_seed(self) -> int:
        """The same for everybody."""
        return SEED_FOR_ALL


def keyed(change: Callable[[Tensor, Tensor, Tensor], Key]) -> Callable[[], Reference]:
    """Makes a sampler with another key."""
    return lambda: Keyed(change)


def uniform(change: Callable[[Tensor], Tensor]) -> Callable[[], Reference]:
    """Makes a sampler with other uniforms."""
    return lambda: Uniform(change)


def fresh(seeds: Tensor) -> Tensor:
    """Seeds of the operating system's choosing."""
    return torch.randint(2**62, seeds.shape, generator=torch.Generator().manual_seed(torch.seed()))


REPEATS, DIFFER, UNIFORM = "randomness.seed-repeats", "randomness.seeds-differ", "randomness.uniformity"

MUTANTS = (
    Mutant(
        "seed-ignored",
        "draws afresh whatever the seed",
        "a parameter that is accepted and never read",
        REPEATS,
        keyed(lambda s, p, c: (fresh(s), p, c)),
    ),
    Mutant(
        "seed-by-row",
        "lets the row in the batch decide, too",
        "vLLM #51226, #706: a seed that a neighbour defeats",
        REPEATS,
        keyed(lambda s, p, c: (s + torch.arange(len(s)), p, c)),
    ),
    Mutant(
        "seed-of-the-batch",
        "takes the first row's seed for all rows",
        "one generator for a batch",
        DIFFER,
        keyed(lambda s, p, c: (s[:1].expand_as(s), p, c + torch.arange(len(s)))),
    ),
    Mutant(
        "seed-always-42",
        "gives every request the noise of seed 42",
        "AReaL #1524",
        DIFFER,
        keyed(lambda s, p, c: (torch.full_like(s, SEED_FOR_ALL), p, c)),
    ),
    Mutant(
        "seed-of-four-bits",
        "takes the seed modulo 16",
        "a seed squeezed into too few bits",
        DIFFER,
        keyed(lambda s, p, c: (s % 16, p, c)),
    ),
    Mutant(
        "choices-alike",
        "gives all choices of a request the same noise",
        "the seed copied to every sample of a group (AReaL #1524)",
        "randomness.choices-differ",
        keyed(lambda s, p, c: (s, p, torch.zeros_like(c))),
    ),
    Mutant(
        "unseeded-always-alike",
        "gives requests without a seed the seed 42",
        "AReaL #1524: a default seed",
        "randomness.unseeded-vary",
        Unseeded,
    ),
    Mutant(
        "position-ignored",
        "draws every token of a choice with the same number",
        "a generator seeded anew at every step",
        UNIFORM,
        keyed(lambda s, p, c: (s, torch.zeros_like(p), c)),
    ),
    Mutant(
        "uniforms-squared-a-little",
        "draws with u to the power of 1.05",
        "a uniform that is not one",
        UNIFORM,
        uniform(lambda u: u**1.05),
    ),
    Mutant(
        "uniforms-of-sixteen-bits",
        "draws with 16 bits, which miss the tail",
        "vLLM #43150: float32 noise that never reaches the tail",
        "randomness.tail",
        uniform(lambda u: (u * 2**16).floor() / 2**16),
    ),
    Mutant(
        "zero-probability-drawn",
        "draws a token of probability 0 once in 4,096",
        "pytorch #48841: torch.multinomial",
        "truncation.top-k",
        Stray,
    ),
)
