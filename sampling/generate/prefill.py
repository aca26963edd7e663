"""A prompt on its way into its rows, part by part."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor

from sampling.generate.sampled_token import SampledToken, scored
from sampling.model import KeyValueCache, Llama
from sampling.model.allocation import out_of_memory_as_error
from sampling.sampler.requests import PreparedRequests

PREFILL_CHUNK = 512
SCORED_AT_ONCE = 64  # positions whose logits are in memory at a time


class Prefill:
    """A prompt whose parts go through a model one by one. Where it is cut does not depend on what else runs.

    Args:
        model: The model.
        prompt_ids: The prompt, at least one token.
        rooms: Caches of one row; the prompt goes into the first.
        prepared: Its choices, checked.
        most: Positions that each may need in the end.
        alternatives: How many alternatives are reported beside each token of the prompt; None where its log probabilities are
            not wanted.

    Attributes:
        scored: The tokens of the prompt after the first with their log probabilities, as far as it is through, where wanted.
        logits: float32 [1, V], those of the next token once the prompt is through.
        seconds: Time that the parts took.
    """

    def __init__(
        self,
        model: Llama,
        prompt_ids: Sequence[int],
        rooms: Sequence[KeyValueCache],
        prepared: PreparedRequests,
        most: int,
        alternatives: int | None = None,
    ) -> None:
        self.rooms, self.prepared, self.length, self.most = rooms, prepared, len(prompt_ids), most
        self.scored: list[SampledToken] = []
        self.logits: Tensor | None = None
        self.seconds = 0.0
        self._model, self._alternatives = model, alternatives
        self._tokens = tokens = torch.tensor(
            [list(prompt_ids)], dtype=torch.int64, device=model.embed_tokens.weight.device
        )
        self._parts = [*tokens.split(PREFILL_CHUNK, dim=1)]
        self._through = 0

    @property
    def choices(self) -> int:
        """How many rows it will have."""
        return len(self.prepared.requests)

    @property
    def width(self) -> int:
        """How many tokens the next part has, 1 to PREFILL_CHUNK."""
        return self._parts[0].shape[1]

    def advance(self) -> None:
        """Run the next part.

        Raises:
            NotEnoughMemory: It does not fit.
        """
        begun = time.perf_counter()
        part = self._parts.pop(0)
        self._through += part.shape[1]
        self.rooms[0].limit_read_length(self._through)
        what = f"while a prompt of {self.length:,} tokens is read"
        logits = out_of_memory_as_error(partial(self._run, part), what)
        if not self._parts:
            self.logits = logits
        self.seconds += time.perf_counter() - begun

    def _run(self, part: Tensor) -> Tensor:
        """Run one part; return the logits behind it."""
        if self._alternatives is None:
            return self._model.next_logits(part, self.rooms[0])
        logits, rows = self._model.all_logits(part, self.rooms[0], SCORED_AT_ONCE)
        for some in rows:  # each of the token after it
            first = 1 + len(self.scored)
            following = self._tokens[0, first : first + some.shape[1]]
            self.scored += scored(some[0, : len(following)], following, self._alternatives)
        return logits
