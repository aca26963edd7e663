"""A prompt on its way into its rows, part by part."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor

from sampling.model import KeyValueCache, Llama
from sampling.model.allocation import out_of_memory_as_error
from sampling.sampler.requests import PreparedRequests

PREFILL_CHUNK = 512


class Prefill:
    """A prompt whose parts go through a model one by one. Where it is cut does not depend on what else runs.

    Args:
        model: The model.
        prompt_ids: The prompt, at least one token.
        rooms: Caches of one row; the prompt goes into the first.
        prepared: Its choices, checked.
        most: Positions that each may need in the end.

    Attributes:
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
    ) -> None:
        self.rooms, self.prepared, self.length, self.most = rooms, prepared, len(prompt_ids), most
        self.logits: Tensor | None = None
        self.seconds = 0.0
        self._model = model
        tokens = torch.tensor([list(prompt_ids)], dtype=torch.int64, device=model.embed_tokens.weight.device)
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
        logits = out_of_memory_as_error(partial(self._model.next_logits, part, self.rooms[0]), what)
        if not self._parts:
            self.logits = logits
        self.seconds += time.perf_counter() - begun
