"""An engine on a probe that draws from the oracle's distribution by numpy's generator: as quick as a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sampling.conformance.oracle import probabilities
from sampling.conformance.sampling_case import SamplingCase
from sampling.conformance.semantics import Semantics
from sampling.dialects import PENALTIES
from sampling.probe import Probe


class OracleEngine:
    """Samples as a semantics says.

    Args:
        probe: What it has loaded.
        semantics: How it samples.
        together: The most choices of a request.
    """

    name = "oracle"

    def __init__(self, probe: Probe, semantics: Semantics, together: int = 16) -> None:
        self.probe, self.semantics, self.together = probe, semantics, together
        self._running: dict[Any, NDArray[np.float64]] = {}

    def __call__(
        self, prompt: Sequence[int], params: Mapping[str, Any], max_tokens: int, n: int, seed: int | None
    ) -> list[list[int]]:
        """Sample n choices."""
        if n > self.together:
            raise ValueError(f"n is at most {self.together}")
        return [self.choice(tuple(prompt), params, max_tokens, seed, index) for index in range(n)]

    def choice(
        self, prompt: tuple[int, ...], params: Mapping[str, Any], length: int, seed: int | None, index: int
    ) -> list[int]:
        """Sample one choice."""
        dice = np.random.default_rng(None if seed is None else [seed, index])
        output: list[int] = []
        for uniform in dice.random(length):
            running = self.running(params, prompt, tuple(output))
            output.append(int(np.searchsorted(running, uniform * running[-1], side="right")))
        return output

    def running(
        self, params: Mapping[str, Any], prompt: tuple[int, ...], output: tuple[int, ...]
    ) -> NDArray[np.float64]:
        """The cumulative distribution; where nothing counts the past, once for each state."""
        state = int(self.probe.leads_to[(prompt + output)[-1]])
        past = (prompt, output) if {*params} & {*PENALTIES} else ((), ())
        key = (state, repr(sorted(params.items())))
        found = self._running.get(key) if past == ((), ()) else None
        if found is None:
            found = np.cumsum(
                probabilities(SamplingCase(self.probe.logits[state], params, *past), self.semantics)
            )
            if past == ((), ()):
                self._running[key] = found
        return found
