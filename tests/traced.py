"""torch's compiler without the machine code."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any
from unittest import mock

import torch

from sampling.model.forward import compiled_advance
from sampling.sampler.strategy import graph_of_candidates, graph_of_full_rows

KEPT = (compiled_advance, graph_of_candidates, graph_of_full_rows)


@contextmanager
def tracing() -> Iterator[None]:
    """In it, what the library compiles is traced and guarded, and the trace runs as it is.

    For tests of what is traced, and how often, in a fraction of the time. No other context's graph serves: each has a backend
    of its own.
    """

    def as_it_is(graph: Any, _inputs: Any, **_options: Any) -> Any:
        return graph.forward

    for graphs in KEPT:
        graphs.cache_clear()
    try:
        with mock.patch.object(torch, "compile", partial(torch.compile, backend=as_it_is)):
            yield
    finally:
        for graphs in KEPT:
            graphs.cache_clear()
