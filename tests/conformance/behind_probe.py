"""A sampler behind a probe: the engine that it would be if it had loaded one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from sampling.conformance.reference import Asked, Reference, row_of
from sampling.dialects import PENALTIES
from sampling.probe import Probe


class BehindProbe:
    """A sampler that knows what a probe's states say.

    Args:
        sampler: The sampler.
        probe: The probe.
    """

    def __init__(self, sampler: Reference, probe: Probe) -> None:
        self.sampler, self.probe, self.name = sampler, probe, sampler.name
        self._processed: dict[Any, Tensor] = {}

    def __call__(
        self, prompt: Sequence[int], params: Mapping[str, Any], max_tokens: int, n: int, seed: int | None
    ) -> list[list[int]]:
        """Sample n choices."""
        known = self.sampler.fresh_seed() if seed is None else seed
        return [self.choice(prompt, params, max_tokens, known, index) for index in range(n)]

    def choice(
        self, prompt: Sequence[int], params: Mapping[str, Any], length: int, seed: int, index: int
    ) -> list[int]:
        """Sample one choice."""
        output: list[int] = []
        for position in range(length):
            state = int(self.probe.leads_to[[*prompt, *output][-1]])
            row = self.processed(state, prompt, params, output)
            output += self.sampler.drawn(row, [seed], position, index)
        return output

    def processed(
        self, state: int, prompt: Sequence[int], params: Mapping[str, Any], output: Sequence[int]
    ) -> Tensor:
        """Return what is drawn from; where nothing counts the past, once for each state."""
        past = (tuple(prompt), tuple(output)) if {*params} & {*PENALTIES} else ((), ())
        key = (state, repr(sorted(params.items())), past)
        if key not in self._processed:
            asked = Asked(row_of(self.probe.logits[state]), self.sampler.read(params), *past)
            self._processed[key] = self.sampler.processed(asked)
        return self._processed[key]
