"""Samplers that draw from the oracle's distribution by numpy's generator: right or wrong as a semantics says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sampling.conformance.oracle import probabilities
from sampling.conformance.sampling_case import SamplingCase
from sampling.conformance.semantics import Semantics

RANGES = {"temperature": (0, 2), "top_p": (0, 1), "frequency_penalty": (-2, 2), "presence_penalty": (-2, 2)}


class OneByOne:
    """One token a call, as a stranger's sampler in Python gives it.

    Args:
        semantics: How it samples.
    """

    version = "1"

    def __init__(self, semantics: Semantics) -> None:
        self.semantics = semantics
        self.name = f"one by one as {semantics.name}"
        self.calls = 0
        self._rows: dict[Any, NDArray[np.float64]] = {}

    def __call__(
        self,
        logits: NDArray[np.float32],
        params: Mapping[str, Any],
        prompt_ids: Sequence[int],
        output_ids: Sequence[int],
        seed: int | None,
    ) -> int:
        self.calls += 1
        uniform = np.random.default_rng(None if seed is None else [seed, len(output_ids)]).random()
        running = self.row(logits, params, tuple(prompt_ids), tuple(output_ids))
        return int(np.searchsorted(running, uniform * running[-1], side="right"))

    def row(
        self,
        logits: NDArray[np.float32],
        params: Mapping[str, Any],
        prompt: tuple[int, ...],
        output: tuple[int, ...],
    ) -> NDArray[np.float64]:
        """The cumulative distribution, computed once for each question."""
        key = (logits.tobytes(), repr(sorted(params.items())), prompt, output)
        if key not in self._rows:
            for name, (low, high) in RANGES.items():
                if not low <= params.get(name, low) <= high:
                    raise ValueError(f"{name} out of range")
            if any(abs(bias) > 100 for bias in params.get("logit_bias", {}).values()):
                raise ValueError("logit_bias out of range")
            self._rows[key] = np.cumsum(
                probabilities(SamplingCase(logits, params, prompt, output), self.semantics)
            )
        return self._rows[key]


class Batched(OneByOne):
    """The same, many seeds a call."""

    def many(
        self,
        logits: NDArray[np.float32],
        params: Mapping[str, Any],
        prompt_ids: Sequence[int],
        output_ids: Sequence[int],
        seeds: Sequence[int | None],
    ) -> list[int]:
        """A token for each seed; which seed it is does not matter."""
        uniforms = np.random.default_rng(sum(seed or 0 for seed in seeds)).random(len(seeds))
        running = self.row(logits, params, tuple(prompt_ids), tuple(output_ids))
        return np.searchsorted(running, uniforms * running[-1], side="right").tolist()
