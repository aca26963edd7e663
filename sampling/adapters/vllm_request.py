"""What a request asks of our processor in vLLM, and its text so far."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from sampling.adapters.one_hot import one_hot_logits
from sampling.core.errors import InvalidArgument, UnsampleableRow
from sampling.core.history import History
from sampling.core.params import SamplingParams
from sampling.dialects import get_dialect
from sampling.pipeline.pipeline import Pipeline
from sampling.processors import OrderPreservingStage
from sampling.sampler.draw import draw
from sampling.sampler.rules import seed_key

PREFIX = "sampling_"
PARAMETERS = (
    *("temperature", "top_p", "top_k", "min_p"),
    *("frequency_penalty", "presence_penalty", "repetition_penalty"),
)
# vLLM's own parameters that change logits, with the values that do not: before our processor or after it, as the runner has it.
EDITS: dict[str, Sequence[object]] = {
    "frequency_penalty": (0.0,),
    "presence_penalty": (0.0,),
    "repetition_penalty": (1.0,),
    "logit_bias": (None, {}),
}
# The same of those that stand behind it.
AFTER: dict[str, Sequence[object]] = {
    "temperature": (1.0,),
    "top_p": (1.0,),
    "top_k": (0, -1),
    "min_p": (0.0,),
}


class Asked:
    """What a request of vLLM asks of us, by `extra_args` (`vllm_xargs` over HTTP) whose names begin with `sampling_`.

    Attributes:
        pipeline: What is done to the logits.
        seed: Of the draw; None where that is left to vLLM.
    """

    def __init__(self, pipeline: Pipeline, seed: int | None) -> None:
        self.pipeline, self.seed = pipeline, seed

    @staticmethod
    def of(params: Any) -> Asked | None:
        """Read vLLM's parameters of a request; None where it asks nothing of us.

        Raises:
            InvalidArgument: A name or a value is not allowed, vLLM's own parameters would change logits as well, or the draw
                has no seed.
        """
        extra: dict[str, Any] = params.extra_args or {}
        given = {name.removeprefix(PREFIX): value for name, value in extra.items() if name.startswith(PREFIX)}
        if not given:
            return None
        draws, dialect = given.pop("draw", True), get_dialect(given.pop("dialect", "vllm"))
        unknown = next((name for name in given if name not in PARAMETERS), None)
        if unknown is not None:
            words = f"one of draw, dialect, {', '.join(PARAMETERS)}, each behind {PREFIX}"
            raise InvalidArgument(f"{PREFIX}{unknown}", given[unknown], words)
        pipeline = Pipeline.from_params(SamplingParams(**given, ranges=dialect.ranges), dialect)
        refuse(params, EDITS, f"left out beside {PREFIX} arguments, which have it, too")
        if draws:
            if params.seed is None:
                raise InvalidArgument("seed", None, f"given, unless {PREFIX}draw is 0")
            return Asked(pipeline, seed_key(params.seed))
        if any(isinstance(stage, OrderPreservingStage) for stage in pipeline):
            refuse(
                params, AFTER, f"neutral with {PREFIX}draw 0: it comes after our temperature and truncations"
            )
        return Asked(pipeline, None)


def refuse(params: Any, neutral: dict[str, Sequence[object]], words: str) -> None:
    """Refuse parameters of vLLM that have other values than these.

    Raises:
        InvalidArgument: One has.
    """
    for name, values in neutral.items():
        if getattr(params, name) not in values:
            raise InvalidArgument(name, getattr(params, name), words)


class Text:
    """One request's text so far.

    Args:
        asked: What it asks of us.
        prompt: Its prompt.
    """

    def __init__(self, asked: Asked, prompt: Sequence[int]) -> None:
        self._asked = asked
        self._history = History.start([prompt])
        self._read = 0

    def next(self, sampled: Sequence[int], logits: Tensor) -> Tensor:
        """Return the logits of the next token, processed, or one-hot where it is drawn.

        Args:
            sampled: All tokens since the prompt; those of the last call and further ones.
            logits: float32 [1, V].

        Raises:
            InvalidArgument: A token that is not known yet.
            UnsampleableRow: Nothing can be drawn.
        """
        for token in sampled[self._read :]:
            if token < 0:
                raise InvalidArgument("output_token_ids", token, "known when the next token is sampled")
            self._history.accept(torch.tensor([token]))
        self._read = len(sampled)
        processed = self._asked.pipeline(logits.cpu(), self._history)
        if self._asked.seed is None:
            return processed.to(logits.device)
        token = draw(processed, seed=self._asked.seed, history=self._history)
        if int(token) < 0:
            words = "it has NaN, +inf, or nothing left"
            raise UnsampleableRow(f"token {self._read} of a request cannot be sampled: {words}")
        return one_hot_logits(processed, token).to(logits.device)
