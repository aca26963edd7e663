"""mlx-lm: pipelines and the exact draw as its processors and samplers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import mlx.core as mx
import torch

from sampling.adapters.hosts import check_host
from sampling.adapters.one_sequence import OneSequence
from sampling.core.errors import InvalidArgument
from sampling.pipeline.pipeline import Pipeline
from sampling.processors import Processor
from sampling.sampler.draw import Whole, draw

__all__ = ["ReferenceDraw", "as_logits_processor", "as_sampler"]


class LogitsProcessor:
    """What `as_logits_processor` makes: logits of one text in, logits out."""

    def __init__(self, text: OneSequence) -> None:
        self._text = text

    def __call__(self, tokens: Any, logits: Any) -> Any:
        """Process logits [1, V] after token ids [T]; mlx-lm calls it."""
        if logits.ndim != 2 or logits.shape[0] != 1:
            raise InvalidArgument("logits", tuple(logits.shape), "of one text, (1, V)")
        processed = self._text.next(tokens.tolist(), to_torch(logits))
        return mx.array(processed.numpy()).astype(logits.dtype)


class ReferenceDraw(LogitsProcessor):
    """The exact draw as a logits processor of mlx-lm: it leaves one token, which any sampler takes.

    Args:
        pipeline: What is done to the model's logits.
        prompt_ids: The prompt's token ids. mlx-lm passes the last of them alone.
        seed: As `draw` has it.
        choice: Which of several answers to the prompt it is.

    Raises:
        InvalidArgument: The pipeline has numbers for several rows, or mlx-lm is of an untested version. When it runs: it is
            used for another text.
        UnsampleableRow: The logits have NaN, +inf or nothing left.
    """

    def __init__(self, pipeline: Processor, prompt_ids: Sequence[int], *, seed: int, choice: int = 0) -> None:
        check_host("mlx_lm")
        super().__init__(OneSequence(pipeline, prompt_ids, seed, choice))


def as_logits_processor(pipeline: Processor, prompt_ids: Sequence[int]) -> Callable[[Any, Any], Any]:
    """Make a logits processor of a pipeline, for one text; the draw stays mlx-lm's.

    Args:
        pipeline: What is done to the model's logits.
        prompt_ids: The prompt's token ids.

    Raises:
        InvalidArgument: As for `ReferenceDraw`.
    """
    check_host("mlx_lm")
    return LogitsProcessor(OneSequence(pipeline, prompt_ids, None))


class Sampler:
    """What `as_sampler` makes: log probabilities [B, V] in, token ids out."""

    def __init__(self, pipeline: Pipeline, seed: Whole) -> None:
        self._pipeline, self._seed, self._position = pipeline, seed, 0

    def __call__(self, logprobs: Any) -> Any:
        """Draw from each row; mlx-lm calls it once for each token."""
        tokens = draw(self._pipeline(to_torch(logprobs)), seed=self._seed, position=self._position)
        self._position += 1
        return mx.array(tokens.numpy())


def as_sampler(pipeline: Processor, *, seed: Whole) -> Callable[[Any], Any]:
    """Make a sampler of a pipeline that does not depend on what was sampled, for one call of `generate_step`.

    mlx-lm gives it log probabilities, and no tokens; its n-th call draws at position n.

    Args:
        pipeline: Stages without a history: temperature, truncations, biases.
        seed: One for all rows, or one for each.

    Raises:
        InvalidArgument: mlx-lm is of an untested version. When it runs: a stage depends on what was sampled.
    """
    check_host("mlx_lm")
    return Sampler(Pipeline(pipeline), seed)


def to_torch(logits: Any) -> torch.Tensor:
    """Return an array of mlx as a float32 tensor."""
    import numpy as np

    return torch.from_numpy(np.array(logits.astype(mx.float32)))
