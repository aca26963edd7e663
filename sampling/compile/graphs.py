"""Functions of the library as graphs of torch's compiler."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Collection
from functools import partial
from typing import Any, ParamSpec, TypeVar

import torch

MOST_GRAPHS = 4096
LIMITS = {"recompile_limit": MOST_GRAPHS, "accumulated_recompile_limit": MOST_GRAPHS}
# In the name of a guard: a global of another module than these, such as one that a hook of the user's reads.
FOREIGN = re.compile(r"G\['__import_(?!sampling|dataclasses|torch_dot_nn_dot_functional)")
ARGUMENT = re.compile(r"(?:[\w.]+\()*(\w*)")  # in the name of a guard, such as "type(model.layers).__call__"

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
    unwatched: Collection[str] = (),
) -> Callable[P, R]:
    """Compile a function that has a graph for every combination of stages, every model and every shape.

    The graphs of a function are shared by all that compile it, so the count is of the whole process.

    Args:
        function: A function of this library.
        dynamic: As `torch.compile` has it.
        options: Inductor's.
        unwatched: Names of arguments that are not looked into before each call. Another argument has to differ wherever
            these ask for another graph.

    Returns:
        The same function, compiled when it is called.
    """
    asked = partial(needed, unwatched=unwatched)
    options = {**(options or {}), "guard_filter_fn": asked}
    graph = torch.compile(function, fullgraph=True, dynamic=dynamic, options=options)
    limits = Limits()

    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        with limits.set:
            return graph(*args, **kwargs)

    return run


def needed(guards: list[Any], unwatched: Collection[str] = ()) -> list[bool]:
    """Say which guards are asked before each call.

    Those on names of this library and of torch, which are bound once, are not; nor those on what unwatched arguments hold.
    """
    return [
        FOREIGN.search(guard.name) is not None
        if guard.is_global
        else argument_of(guard.name) not in unwatched
        for guard in guards
    ]


def argument_of(name: str) -> str:
    """Return the argument that a guard of this name is on.

    Example:
        >>> argument_of("dict.keys(type(model.layers).__call__)[0]")
        'model'
    """
    return ARGUMENT.findall(name)[0]
