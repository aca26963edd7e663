"""What the draw must pass: each trial pairs a sampler with a test of its counts, and with a faulty sampler to reject.

The tests run the trials at a million draws, `benchmarks/exactness/draw_statistics.py` at a hundred million.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import oracle
import torch
from numpy.typing import NDArray
from scaled_draws import (
    VOCABULARY,
    Noise,
    Sampler,
    between_steps,
    by_coarse_gumbel,
    by_coarse_uniform,
    by_float32_sums,
    by_gumbel,
    by_weight,
    far_tail,
    peaked,
    softmax,
    tally,
    zipf,
)
from statistics_tools import (
    ChiSquare,
    Floats,
    Verdict,
    chi_square,
    detectable_temperature,
    independence,
    poisson_count,
    probability_transform,
    support,
)
from torch import Tensor

from sampling import History, MinP, TopK, TopP, chain
from sampling.processors import Processor

Counts = NDArray[np.int64]
Rule = Callable[[Tensor], Sampler]


@dataclass(frozen=True)
class Trial:
    """A sampler of V tokens, a faulty one by name, and the test that tells them apart."""

    name: str
    size: int
    sampler: Sampler
    faulty_name: str
    faulty_sampler: Sampler
    judge: Callable[[Counts], Verdict]


def distribution(name: str, logits: Tensor, rule: Rule, draws: int) -> Trial:
    """Chi-square; the faulty sampler's temperature is off by twice the smallest error that the test notices."""
    probabilities = softmax(logits)
    temperature = 2 * detectable_temperature(probabilities, draws) - 1
    faulty_name = f"temperature {temperature:.4f} in place of 1"
    return Trial(
        f"chi-square, {name}",
        len(logits),
        rule(logits),
        faulty_name,
        rule(logits / temperature),
        lambda counts: chi_square(counts, probabilities),
    )


def race(
    name: str, logits: Tensor, runners: Counts, sampler: Sampler, faulty_name: str, faulty: Sampler
) -> Trial:
    """How often one of the runners, all of them unlikely, wins."""
    chance = float(softmax(logits)[runners].sum())
    return Trial(
        f"race, {name}",
        len(logits),
        sampler,
        faulty_name,
        faulty,
        lambda counts: poisson_count(int(counts[runners].sum()), chance, int(counts.sum())),
    )


def truncation(logits: Tensor, processor: Processor, kept: set[int], rule: Rule) -> Trial:
    """No token outside the kept set, which the oracle gives; the faulty sampler keeps one token too many."""
    order = oracle.order(logits.tolist())
    one_more = torch.full_like(logits, -torch.inf)
    one_more[order[: len(kept) + 1]] = logits[order[: len(kept) + 1]]
    truncated = chain(processor)(logits[None], History.start([[]]))[0]
    return Trial(
        f"kept set, {processor}",
        len(logits),
        rule(truncated),
        "one token too many",
        rule(one_more),
        lambda counts: support(counts, kept),
    )


def truncations(logits: Tensor, rule: Rule, p: float) -> list[Trial]:
    """The three truncations."""
    row = logits.tolist()
    return [
        truncation(logits, TopP(p), oracle.nucleus(row, str(p)), rule),
        truncation(logits, TopK(9), oracle.top_k(row, 9), rule),
        truncation(logits, MinP(0.05), oracle.min_p(row, "0.05"), rule),
    ]


def integer_trials(draws: int) -> list[Trial]:
    """Everything that one stream of uniforms is asked.

    The last race is of the tokens that a uniform of 24 bits cannot draw: it gives the mass of the tail to a few of them.
    """
    tail, everyone = far_tail(), np.arange(1, VOCABULARY)
    right = by_weight(tail)
    return [
        distribution("peaked", peaked(), by_weight, draws),
        distribution("Zipf", zipf(), by_weight, draws),
        race("far tail", tail, everyone, right, "float32 running sums", by_float32_sums(tail)),
        race("finest tail", tail, between_steps(tail), right, "uniforms of 24 bits", by_coarse_uniform(tail)),
        *truncations(zipf(), by_weight, 0.5),
    ]


def head_and_tail(gap: float, size: int) -> Tensor:
    """Token 0 leads all others by `gap` nats."""
    return torch.tensor([0.0] + [-gap] * (size - 1))


def gumbel_race(gap: float, size: int, bits: int) -> Trial:
    """All tokens against one that leads by `gap` nats."""
    logits = head_and_tail(gap, size)
    faulty = by_coarse_gumbel(logits, bits)
    everyone = np.arange(1, size)
    return race(f"lead of {gap}", logits, everyone, by_gumbel(logits), f"uniforms of {bits} bits", faulty)


def gumbel_trials(draws: int) -> list[Trial]:
    """Everything that one stream of noise for 32 tokens is asked.

    A lead of 18 is out of reach for the noise of 24 bits, as in float32, which ends at 24 ln 2 = 16.6, unless the noise of
    the leading token happens to be low, too.
    """
    return [
        distribution("peaked", peaked(), by_gumbel, draws),
        gumbel_race(18, 32, bits=24),
        truncations(peaked(), by_gumbel, 0.9)[0],
    ]


def wide_gumbel_trials() -> list[Trial]:
    """The whole vocabulary, each token with its own noise; the tail holds a tenth of the mass."""
    return [gumbel_race(14, VOCABULARY, bits=16)]


def verdicts(
    noise: Noise, trials: Sequence[Trial], parts: Iterable[tuple[int, int]]
) -> list[tuple[Trial, Verdict, Verdict]]:
    """Each trial's verdict on its sampler and on its faulty sampler, over the same noise."""
    samplers = [sampler for trial in trials for sampler in (trial.sampler, trial.faulty_sampler)]
    counts = tally(noise, samplers, [trial.size for trial in trials for _ in range(2)], parts)
    return [
        (trial, trial.judge(right), trial.judge(wrong))
        for trial, right, wrong in zip(trials, counts[::2], counts[1::2], strict=True)
    ]


def repeated(tokens: Counts, lag: int) -> Counts:
    """Faulty: of 2 `lag` keys the second half draws what the first half drew."""
    index = np.arange(len(tokens))
    return tokens[index - lag * (index // lag % 2)]


def independences(tokens: Counts, probabilities: Floats, lag: int) -> tuple[ChiSquare, ChiSquare]:
    """The verdicts on tokens of consecutive keys, and on the same with every second one repeated."""
    right, wrong = (
        independence(probability_transform(drawn, probabilities), lag)
        for drawn in (tokens, repeated(tokens, lag))
    )
    return right, wrong
