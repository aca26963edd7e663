"""Functions of the library as graphs of torch's compiler."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import torch

MOST_GRAPHS = 4096
LIMITS = {"recompile_limit": MOST_GRAPHS, "accumulated_recompile_limit": MOST_GRAPHS}
# In the name of a guard: a global of another module than these, such as one that a hook of the user's reads.
FOREIGN = re.compile(r"G\['__import_(?!sampling|dataclasses|torch_dot_nn_dot_functional)")

P = ParamSpec("P")
R = TypeVar("R")


class Limits(threading.local):
    """The limits of a thread: making them anew for each step takes longer than to set them, and threads can not share one."""

    def __init__(self) -> None:
        self.set = torch._dynamo.config.patch(LIMITS)  # pyright: ignore[reportPrivateUsage]


def compiled(
    function: Callable[P, R], *, dynamic: bool | None = None, options: dict[str, Any] | None = None
) -> Callable[P, R]:
    """Compile a function that has a graph for every combination of stages, every model and every shape.

    The graphs of a function are shared by all that compile it, so the count is of the whole process.

    Args:
        function: A function of this library.
        dynamic: As `torch.compile` has it.
        options: Inductor's.

    Returns:
        The same function, compiled when it is called.
    """
    graph = torch.compile(
        function, fullgraph=True, dynamic=dynamic, options={**(options or {}), "guard_filter_fn": needed}
    )
    limits = Limits()

    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        with limits.set:
            return graph(*args, **kwargs)

    return run


def needed(guards: list[Any]) -> list[bool]:
    """Which guards are asked before each call: those on names of this library and of torch, which are bound once, are not."""
    return [not guard.is_global or FOREIGN.search(guard.name) is not None for guard in guards]
