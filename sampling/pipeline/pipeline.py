"""Pipelines: processors one after another, and what each of them did."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeGuard, cast

import torch
from torch import Tensor

from sampling.core.errors import InvalidArgument
from sampling.core.history import History
from sampling.core.logits import float32_logits
from sampling.core.params import SamplingParams
from sampling.dialects import Dialect, DialectName, get_dialect
from sampling.pipeline.trace import Trace, probabilities, traced
from sampling.processors import OrderPreservingStage, Processor, SparseEdit
from sampling.processors.base import Rows, inherits, write_logits
from sampling.processors.function import StageFunction, as_stage
from sampling.processors.run_stages import process_logits


class Pipeline(Processor):
    """Processors applied in order; itself a processor.

    Args:
        stages: Processors, or plain functions, as `stage` takes them; none at all is the identity.

    Example:
        >>> import torch
        >>> from sampling import History, Temperature, TopP, chain
        >>> pipeline = chain(Temperature(0.5), TopP(0.9))
        >>> pipeline.probs(torch.tensor([[2.0, 1.0, 0.0]]), History.start([[]]))
        tensor([[0.8808, 0.1192, 0.0000]], dtype=torch.float64)
    """

    name = "pipeline"

    def __init__(self, *stages: Processor | StageFunction) -> None:
        # A pipeline in a pipeline is its stages.
        parts = (stage.stages if type(stage) is Pipeline else (stage,) for stage in map(as_stage, stages))
        self.stages = tuple(part for stage in parts for part in stage)
        for stage in self.stages:
            checked_form(stage)

    @staticmethod
    def from_params(
        params: SamplingParams | Sequence[SamplingParams], dialect: DialectName | Dialect = "qstash"
    ) -> Pipeline:
        """Build the pipeline that serves requests in a dialect, one per row, as `Sampler` runs it.

        Stages that are neutral in every row are left out. Where the dialect takes the arg max after everything else in the
        rows of greedy requests, that is the last stage.

        Args:
            params: One request for all rows, or a list of one per row.
            dialect: A dialect or its name.

        Returns:
            The pipeline.

        Raises:
            InvalidArgument: Something else than SamplingParams, or no dialect.
            InvalidRequest: The dialect does not have what a request asks for; the message names a dialect that does.

        Example:
            >>> from sampling import Pipeline, SamplingParams
            >>> Pipeline.from_params([SamplingParams(temperature=0.7), SamplingParams(top_p=0.9)], dialect="vllm")
            Pipeline(Temperature([0.7, 1.0]), TopP([1.0, 0.9]))
        """
        from sampling.pipeline.effective import checked_params
        from sampling.pipeline.plan import make_plan  # it builds on this module

        style = get_dialect(dialect)
        given = [params] if isinstance(params, SamplingParams) else list(params)
        plan = make_plan([checked_params(one, style) for one in given], style)
        return Pipeline(plan.pipeline, plan.arg_max) if plan.arg_max else plan.pipeline

    def __repr__(self) -> str:
        return f"Pipeline({', '.join(map(repr, self.stages))})"

    def to(self, device: torch.device | str) -> Pipeline:
        """Move all stages to a device."""
        return Pipeline(*(stage.to(device) for stage in self.stages))

    def select(self, rows: Rows | Sequence[int]) -> Pipeline:
        """Return the stages with the numbers of some rows."""
        return Pipeline(*(stage.select(rows) for stage in self.stages))

    def describe(self, row: int = 0) -> str:
        """Describe all stages."""
        return ", ".join(stage.describe(row) for stage in self.stages)

    def __iter__(self) -> Iterator[Processor]:
        return iter(self.stages)

    def process(self, logits: Tensor, history: History) -> Tensor:
        """Run all stages, one after another."""
        first, last = split_stages(self.stages)
        return process_logits(last, apply_edits(first, logits, history))

    def probs(self, logits: Tensor, history: History | None = None) -> Tensor:
        """Return the distribution that is drawn from: the integer weights of the processed logits over their sum.

        Args:
            logits: float32 [B, V].
            history: What the B rows have sampled so far; stages that do not depend on it need none.

        Returns:
            float64 [B, V]; zeros in a row that cannot be sampled.
        """
        return probabilities(self(logits, history))

    def trace(self, logits: Tensor, history: History | None = None, *, top: int = 5) -> Trace:
        """Show what each stage did: tokens left, mass removed, entropy, the top tokens before and after.

        Args:
            logits: float32 [B, V].
            history: What the B rows have sampled so far; stages that do not depend on it need none.
            top: How many of the most likely tokens to show.

        Returns:
            One step for each stage; printing it gives a table.
        """
        seen = [float32_logits(logits)]
        for stage in self.stages:
            seen.append(stage(seen[-1], history))
        return traced(
            [stage.describe() for stage in self.stages], [stage.name for stage in self.stages], seen, top
        )


def split_stages(
    stages: Sequence[Processor],
) -> tuple[tuple[Processor, ...], tuple[OrderPreservingStage, ...]]:
    """Split stages in two: all up to the last that is not order-preserving, and the order-preserving ones behind it."""
    last: list[OrderPreservingStage] = []
    for stage in reversed(stages):
        if not is_order_preserving(stage):
            break
        last.insert(0, stage)
    return tuple(stages[: len(stages) - len(last)]), tuple(last)


def is_sparse_edit(stage: Processor) -> TypeGuard[SparseEdit]:
    """Return True if a stage does what a sparse edit does, and nothing of its own."""
    return inherits(SparseEdit, stage, "__call__", "process", "edits")


def is_order_preserving(stage: Processor) -> TypeGuard[OrderPreservingStage]:
    """Return True if a stage is order-preserving, and does nothing of its own."""
    return inherits(OrderPreservingStage, stage, "__call__", "process")


def split_edits(stages: Sequence[Processor]) -> tuple[tuple[Processor, ...], tuple[SparseEdit, ...]]:
    """Split stages in two: all up to the last that is no sparse edit, and the sparse edits behind it."""
    edits: list[SparseEdit] = []
    for stage in reversed(stages):
        if not is_sparse_edit(stage):
            break
        edits.insert(0, stage)
    return tuple(stages[: len(stages) - len(edits)]), tuple(edits)


def apply_edits(stages: Sequence[Processor], logits: Tensor, history: History) -> Tensor:
    """Apply stages to whole rows; an edit that follows an edit writes into the copy that it made."""
    own = False
    for stage in stages:
        if own and is_sparse_edit(stage):
            ids, _, after = stage.edits(logits, history)
            logits = write_logits(logits, ids, after)
        else:
            logits = stage(logits, history)
        own = is_sparse_edit(stage)
    return logits


def checked_form(stage: Processor) -> None:
    """Refuse a stage that would fail later, in a trace or in a batch.

    Raises:
        InvalidArgument: It has no name, or lacks the numbers that it says it has.
    """
    if not isinstance(cast("object", stage.name), str):
        raise InvalidArgument(f"{type(stage).__name__}.name", stage.name, "a string")
    stage.numbers()


def chain(*processors: Processor | StageFunction) -> Pipeline:
    """Compose processors into a pipeline, applied from left to right.

    Args:
        processors: Processors, pipelines, or plain functions, of logits or of logits and history.

    Returns:
        The pipeline.

    Example:
        >>> from sampling import Temperature, TopK, chain
        >>> chain(Temperature(0.7), TopK(40))
        Pipeline(Temperature(0.7), TopK(40))
    """
    return Pipeline(*processors)
