"""What the adapters share: request fields in, one token for each seed out."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Seeds = Sequence[int | None]
EVERY = (
    *("temperature", "top_p", "top_k", "min_p", "logit_bias"),
    *("presence_penalty", "frequency_penalty", "repetition_penalty"),
)


class Adapter:
    """A sampler of another engine.

    Attributes:
        name: What it is called.
        version: Of the engine's package.
        dialect: The dialect that it should have.
        through: Which of the engine's own code answers, and what the adapter adds.
    """

    name: str
    version: str
    dialect: str
    through: str

    def __call__(
        self,
        logits: NDArray[np.float32],
        params: Mapping[str, Any],
        prompt_ids: Sequence[int],
        output_ids: Sequence[int],
        seed: int | None,
    ) -> int:
        """One token."""
        return self.many(logits, params, prompt_ids, output_ids, [seed])[0]

    def many(
        self,
        logits: NDArray[np.float32],
        params: Mapping[str, Any],
        prompt_ids: Sequence[int],
        output_ids: Sequence[int],
        seeds: Seeds,
    ) -> list[int]:
        """One batch: the same question in every row, a seed for each."""
        raise NotImplementedError(f"{type(self).__name__} does not say how it samples")


def rows_of(logits: NDArray[np.float32], count: int) -> Tensor:
    """The same logits in every row, float32 [B, V], its own to write into."""
    return torch.from_numpy(np.array(logits, dtype=np.float32))[None].repeat(count, 1)


def known(params: Mapping[str, Any], names: Collection[str] = EVERY) -> dict[str, Any]:
    """Fields that the engine has, under the names that it shares with the API.

    Raises:
        ValueError: A field that the engine does not have; nothing is dropped silently.
    """
    unknown = next((name for name in params if name not in names), None)
    if unknown is not None:
        raise ValueError(f"{unknown}: the engine has no such parameter here")
    return dict(params)


def biases(params: Mapping[str, Any]) -> dict[int, float]:
    """`logit_bias` with integer ids."""
    return {int(token): float(bias) for token, bias in params.get("logit_bias", {}).items()}
