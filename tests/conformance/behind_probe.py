"""A sampler behind a probe: the engine that it would be if it had loaded one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
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
        """Sample n choices, all of them a token further at a time."""
        known = self.sampler.fresh_seed() if seed is None else seed
        outputs: list[list[int]] = [[] for _ in range(n)]
        for position in range(max_tokens):
            rows = [self.processed(prompt, params, output) for output in outputs]
            for row, choices in alike(rows):
                keys = [self.sampler.key([known], position, choice) for choice in choices]
                tokens = self.sampler.picked(row, *map(torch.cat, zip(*keys, strict=True)))
                for choice, token in zip(choices, tokens, strict=True):
                    outputs[choice].append(token)
        return outputs

    def processed(self, prompt: Sequence[int], params: Mapping[str, Any], output: Sequence[int]) -> Tensor:
        """Return what is drawn from; where nothing counts the past, once for each state."""
        state = int(self.probe.leads_to[[*prompt, *output][-1]])
        past = (tuple(prompt), tuple(output)) if {*params} & {*PENALTIES} else ((), ())
        key = (state, repr(sorted(params.items())), past)
        if key not in self._processed:
            asked = Asked(row_of(self.probe.logits[state]), self.sampler.read(params), *past)
            self._processed[key] = self.sampler.processed(asked)
        return self._processed[key]


def alike(rows: Sequence[Tensor]) -> list[tuple[Tensor, list[int]]]:
    """Return the places of each of the rows."""
    places: dict[int, list[int]] = {}
    for place, row in enumerate(rows):
        places.setdefault(id(row), []).append(place)
    return [(rows[found[0]], found) for found in places.values()]
