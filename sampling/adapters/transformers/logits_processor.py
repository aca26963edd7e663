"""A pipeline as a LogitsProcessor of transformers."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor
from transformers import LogitsProcessor, LogitsProcessorList

from sampling.adapters.hosts import check_host
from sampling.adapters.transformers.prompts import PaddedPrompts
from sampling.adapters.transformers.running_rows import RunningRows, checked_numbers
from sampling.core.errors import InvalidArgument
from sampling.core.params import token_ids
from sampling.processors import OrderPreservingStage, Processor


class PipelineProcessor(LogitsProcessor):
    """What `as_logits_processor` makes."""

    def __init__(self, pipeline: Processor, prompts: PaddedPrompts, end_token_ids: Sequence[int]) -> None:
        self.pipeline = checked_numbers(pipeline, prompts)
        self.prompts = prompts
        self.end_token_ids = torch.tensor(end_token_ids, dtype=torch.int64)
        self._rows: RunningRows | None = None

    @property
    def supports_continuous_batching(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Refuse continuous batching, which would leave a processor out that says False.

        Raises:
            InvalidArgument: Always.
        """
        words = "left to `generate`: continuous batching passes no prompts, on which this pipeline may depend"
        raise InvalidArgument("logits_processor", "a pipeline in continuous batching", words)

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Process logits [B, V] after the token ids [B, T]."""
        self._check_place()
        if scores.device != input_ids.device:
            raise InvalidArgument("scores", str(scores.device), f"on {input_ids.device}, as input_ids are")
        if self._rows is None or len(self._rows) != len(input_ids):
            self._rows = self._rows_of(input_ids)
        self._rows.follow(input_ids, self._ended(input_ids))
        running = self._rows.running
        if len(running) == 0:
            return scores
        processed = self._rows.pipeline(scores[running], self._rows.history)
        return processed if len(running) == len(scores) else scores.float().index_copy(0, running, processed)

    def _rows_of(self, input_ids: Tensor) -> RunningRows:
        """Return the rows that `generate` has made of the prompts: several of each with `num_return_sequences`."""
        return RunningRows(self.pipeline, self.prompts, max(1, len(input_ids) // len(self.prompts)))

    def _ended(self, input_ids: Tensor) -> Tensor:
        """Return which rows have sampled an end token, bool [B]."""
        sampled = input_ids[:, self.prompts.width :]
        return torch.isin(sampled, self.end_token_ids.to(sampled.device)).any(-1)

    def _check_place(self) -> None:
        """Refuse a list whose processors behind this one would undo what it says.

        transformers puts those of its own parameters there, such as `temperature` and `top_k`.
        """
        caller = inspect.currentframe()
        for _ in range(2):
            caller = caller.f_back if caller is not None else None
        around = None if caller is None else caller.f_locals.get("self")
        if not isinstance(around, LogitsProcessorList) or not any(
            isinstance(stage, OrderPreservingStage) for stage in self.pipeline
        ):
            return
        names = [type(one).__name__ for one in cast("list[object]", around)]
        behind = names[names.index(type(self).__name__) + 1 :]
        if behind:
            words = (
                "the last where the pipeline has a temperature or a truncation: leave generate's own parameters out "
                "(temperature=1.0, top_k=0, top_p=1.0), or use ReferenceDraw"
            )
            raise InvalidArgument("logits_processor", f"a pipeline before {', '.join(behind)}", words)


def as_logits_processor(
    pipeline: Processor,
    input_ids: Tensor,
    attention_mask: Tensor | None = None,
    *,
    end_token_ids: Sequence[int] = (),
) -> LogitsProcessor:
    """Make a LogitsProcessor of a pipeline, for one call of transformers' `generate`.

    Each row's history is its prompt without padding and what it has sampled. The draw stays torch's: `ReferenceDraw` has the
    exact one.

    Args:
        pipeline: A processor or a pipeline; numbers are one for all prompts, or one for each.
        input_ids: The prompts that `generate` gets, int64 [B, T].
        attention_mask: Their mask, [B, T], 0 where there is padding, which is on the left; None where there is none.
        end_token_ids: Tokens after which a row is left as it is, since `generate` samples no more in it. A constraint that
            allows nothing after its end needs them.

    Returns:
        The processor. `generate(num_return_sequences=n)` makes n rows of each prompt.

    Raises:
        InvalidArgument: The numbers are for another batch, or transformers is of an untested version. When it runs: in
            continuous batching; with other prompts; with logits on another device; or before a processor of transformers' own
            if the pipeline has a temperature or a truncation.

    Example:
        >>> import torch
        >>> from sampling import Temperature, TopK, chain
        >>> from sampling.adapters.transformers import as_logits_processor
        >>> prompts = torch.tensor([[5, 6]])
        >>> processor = as_logits_processor(chain(Temperature(0.5), TopK(2)), prompts)
        >>> processor(prompts, torch.tensor([[2.0, 1.0, 0.0]]))
        tensor([[ 0., -2., -inf]])
    """
    check_host("transformers")
    prompts = PaddedPrompts.of(input_ids, attention_mask)
    return PipelineProcessor(pipeline, prompts, token_ids("end_token_ids", end_token_ids))
