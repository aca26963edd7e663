"""How a step of a sampler is computed: the place that chooses, and the ways that it chooses between. All give the same bits."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor

from sampling.compile.graphs import compiled, skip_globals
from sampling.core.history import History
from sampling.pipeline.plan import StepPlan
from sampling.sampler.inputs import StepInputs
from sampling.sampler.output import SampleOutput
from sampling.sampler.step import (
    CandidateStep,
    Words,
    build_output,
    candidate_step,
    full_rows_step,
    optimistic_step,
    resolve_rows_in_full,
)

Strategy = Callable[[StepInputs, History, Tensor, Words | None, bool], SampleOutput]


def choose_strategy(plan: StepPlan, device: torch.device, *, compile: bool) -> Strategy:  # noqa: A002 (torch's name)
    """Choose how to compute the steps of a plan.

    Candidates need a look at values, which only the CPU's host gets for nothing, and a truncation that leaves few tokens.

    | | no truncation, or CUDA | a truncation, on a CPU |
    |---|---|---|
    | eager | full rows | candidates first |
    | compiled | full rows as one graph | candidates as one graph |
    """
    if device.type != "cpu" or not any(stage.truncates for stage in plan.final):
        return full_rows_as_graph if compile else full_rows_step
    return candidates_as_graph if compile else candidates_first


def candidates_first(
    inputs: StepInputs, history: History, logits: Tensor, words: Words | None, accepts: bool
) -> SampleOutput:
    """Take the tokens of candidates, and resolve in full the rows that are not certain."""
    step = candidate_step(inputs, history, logits, words)
    if not bool(step.certain.all()):
        step = resolve_rows_in_full(inputs, history, step)
    output = build_output(inputs, step.status, step.token_ids, step.measured)
    if accepts:
        history.accept(output.token_ids)
    return output


def candidates_as_graph(
    inputs: StepInputs, history: History, logits: Tensor, _words: Words | None, accepts: bool
) -> SampleOutput:
    """Run the whole step as a graph, look once whether it holds, and resolve in full the rows that are not certain.

    In a history of fixed capacity, the graph takes the tokens if they hold; one that grows does so on the host.
    """
    in_graph = accepts and inputs.max_history is not None
    step, output = graph_of_candidates()(inputs, history, logits, in_graph)
    certain = bool(step.certain.all())
    if not certain:
        step = resolve_rows_in_full(inputs, history, step)
        output = build_output(inputs, step.status, step.token_ids, step.measured)
    if accepts and not (in_graph and certain):
        history.accept(output.token_ids)
    return output


def full_rows_as_graph(
    inputs: StepInputs, history: History, logits: Tensor, _words: Words | None, accepts: bool
) -> SampleOutput:
    """Run the whole step as a graph that never looks at a value."""
    return graph_of_full_rows()(inputs, history, logits, None, accepts)


@cache
def graph_of_candidates() -> Callable[
    [StepInputs, History, Tensor, bool], tuple[CandidateStep, SampleOutput]
]:
    """Return the compiled `optimistic_step`, one for the whole process."""
    return compiled(optimistic_step, guards=skip_globals)


@cache
def graph_of_full_rows() -> Strategy:
    """Return the compiled `full_rows_step`, one for the whole process."""
    return compiled(full_rows_step, guards=skip_globals)
