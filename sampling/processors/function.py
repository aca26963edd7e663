"""Plain functions as stages of a pipeline."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from torch import Tensor

from sampling.core.errors import InvalidArgument
from sampling.core.history import History
from sampling.processors.base import Processor

StageFunction = Callable[[Tensor], Tensor] | Callable[[Tensor, History], Tensor]


class FunctionStage(Processor):
    """A function of logits, or of logits and history, as a stage; `stage` makes it.

    Args:
        function: Returns new logits, float32 [B, V], of the float32 logits [B, V] that it gets, and does not write to those.
    """

    name = "function"

    def __init__(self, function: StageFunction) -> None:
        self.__dict__["name"] = name_of(function)
        self.function: Callable[..., Tensor] = function
        self.arguments = argument_count(function)

    @property
    def label(self) -> str:
        """Return what errors call the stage: there may be several functions in a chain."""
        return repr(self)

    def process(self, logits: Tensor, history: History) -> Tensor:
        """Call the function."""
        return self.function(*(logits, history)[: self.arguments])

    def __repr__(self) -> str:
        return f"stage({self.name})"


def stage(function: StageFunction) -> Processor:
    """Make a stage of a plain function; its name is the function's.

    Args:
        function: Of logits, or of logits and history. It gets float32 [B, V], returns as much, and does not write to what it
            gets. `chain` takes such a function as it is, too.

    Returns:
        The stage.

    Raises:
        InvalidArgument: It cannot be called with these arguments, or with these alone.

    Example:
        >>> import torch
        >>> import sampling
        >>> @sampling.stage
        ... def without_the_first(logits):
        ...     return logits.index_fill(1, torch.tensor([0]), -torch.inf)
        >>> without_the_first(torch.zeros(1, 3))
        tensor([[-inf, 0., 0.]])
        >>> sampling.chain(without_the_first, sampling.TopP(0.9))
        Pipeline(stage(without_the_first), TopP(0.9))
    """
    return as_stage(function)


def as_stage(value: Processor | StageFunction) -> Processor:
    """Return a processor as it is, and a function as a stage.

    Raises:
        InvalidArgument: It is neither.
    """
    if isinstance(value, Processor):
        return value
    if isinstance(value, type):
        raise InvalidArgument("stage", value.__name__, f"made first: {value.__name__}(...)")
    if not callable(value):  # pyright: ignore[reportUnnecessaryComparison]
        raise InvalidArgument("stage", value, "a processor, or a function of logits or of logits and history")
    return FunctionStage(value)


def name_of(function: Callable[..., Any]) -> str:
    """Return what a function is called; of a partial one what is inside, of an object its class."""
    while isinstance(function, partial):
        function = function.func
    return getattr(function, "__name__", type(function).__name__).strip("<>")


def argument_count(function: Callable[..., Any]) -> int:
    """Return whether a function takes the logits alone, 1, or the history, too, 2.

    Raises:
        InvalidArgument: It takes other arguments.
    """
    try:
        asked = inspect.signature(function).parameters.values()
    except ValueError:  # a builtin that does not tell
        return 1
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    needed: Sequence[inspect.Parameter] = [
        one
        for one in asked
        if one.default is one.empty and one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD)
    ]
    if [one.name for one in needed] == ["input_ids", "scores"]:  # logits come second there
        words = "made a stage by sampling.adapters.transformers.as_stage"
        raise InvalidArgument("stage", name_of(function), words)
    if len(needed) not in (1, 2) or any(one.kind not in positional for one in needed):
        names = ", ".join(one.name for one in needed)
        raise InvalidArgument(
            "stage", f"{name_of(function)}({names})", "a function of logits, or of logits and history"
        )
    return len(needed)
