"""Functions of the library as graphs of torch's compiler."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any, ParamSpec, TypeVar

import torch

MOST_GRAPHS = 4096
LIMITS = {"recompile_limit": MOST_GRAPHS, "accumulated_recompile_limit": MOST_GRAPHS}

# Of the guards of a graph, which are asked before each call.
GuardFilter = Callable[[Sequence[Any]], list[bool]]
P = ParamSpec("P")
R = TypeVar("R")


class Limits(threading.local):
    """The limits of a thread: making them anew for each step takes longer than to set them, and threads cannot share one."""

    def __init__(self) -> None:
        self.set = torch._dynamo.config.patch(LIMITS)  # pyright: ignore[reportPrivateUsage]


def compiled(
    function: Callable[P, R],
    *,
    dynamic: bool | None = None,
    options: dict[str, Any] | None = None,
    guards: GuardFilter | None = None,
) -> Callable[P, R]:
    """Compile a function that has a graph for every combination of stages, every model and every shape.

    The graphs of a function are shared by all that compile it, so the count is of the whole process.

    Args:
        function: A function of this library.
        dynamic: As `torch.compile` has it.
        options: Inductor's.
        guards: Which guards are asked before each call; None asks all.

    Returns:
        The same function, compiled when it is called.
    """
    if guards is not None:
        options = {**(options or {}), "guard_filter_fn": guards}
    graph = torch.compile(function, fullgraph=True, dynamic=dynamic, options=options)
    limits = Limits()

    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        with limits.set:
            return graph(*args, **kwargs)

    return run


def skip_globals(guards: Sequence[Any]) -> list[bool]:
    """Skip guards on globals, for functions that read none but the library's and torch's, which are bound once."""
    return torch.compiler.skip_guard_on_globals_unsafe(guards)


def skip_globals_and_modules(guards: Sequence[Any]) -> list[bool]:
    """Skip guards on modules, too, where another argument differs wherever a module asks for another graph."""
    of_modules = torch.compiler.skip_guard_on_all_nn_modules_unsafe(guards)
    return [one and other for one, other in zip(skip_globals(guards), of_modules, strict=True)]
