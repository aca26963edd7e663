"""Functions that sample nothing: no parameter is honoured by them, and no hypothesis is named that does not fit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import pytest

from sampling.conformance.fixtures import STRONG
from sampling.conformance.sampling_case import SamplingCase
from sampling.conformance.target import CallableTarget
from sampling.conformance.verdict import Verdict
from sampling.conformance.verify import verify

CHECKS = ("output.parameters", "penalties.per-choice")


def always_zero(*_: Any) -> int:
    """The token 0."""
    return 0


def uniform(logits: Any, _params: Any, _prompt_ids: Any, output_ids: Any, seed: int | None) -> int:
    """Any token, whatever the logits."""
    key = None if seed is None else (seed, len(output_ids))
    return int(np.random.default_rng(key).integers(len(logits)))


@pytest.mark.parametrize(("sampler", "honoured"), [(always_zero, ()), (uniform, ("seed",))])
def test_nothing_is_said_to_be_honoured_and_no_hypothesis_to_fit(
    sampler: Callable[..., int], honoured: tuple[str, ...]
) -> None:
    """Of the uniform sampler's nine looks each says "honoured" with a chance of 1e-6."""
    report = verify(sampler, checks=CHECKS)
    parameters, choices = (report.checks[name] for name in CHECKS)
    ignored = ", ".join(name for name in (*STRONG, "seed") if name not in honoured)
    told = [f"honoured: {', '.join(honoured)}"] if honoured else []
    assert parameters.verdict is Verdict.IGNORED
    assert parameters.evidence.split("; ")[: len(told) + 1] == [*told, f"ignored: {ignored}"]
    assert choices.verdict is Verdict.DEVIATES
    assert choices.evidence.startswith("no named hypothesis fits")


def test_a_batch_on_a_wide_vocabulary_is_asked_in_parts_that_memory_holds():
    class Sampler:
        rows: ClassVar[list[int]] = []

        def __call__(self, *question: Any) -> int:
            return 0

        def many(self, logits: Any, params: Any, prompt_ids: Any, output_ids: Any, seeds: Any) -> list[int]:
            self.rows.append(len(seeds))
            return [int(seed) for seed in seeds]

    target = CallableTarget(Sampler())
    seeds = [*range(1100)]
    assert target.draw(SamplingCase(np.zeros(32_768, dtype=np.float32)), seeds).tolist() == seeds
    assert Sampler.rows == [512, 512, 76]
