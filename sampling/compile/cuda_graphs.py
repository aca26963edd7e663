"""A step of tensor operations as a CUDA graph: one launch in place of hundreds."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Recording:
    """A captured step, and the tensor that each replay writes its result into."""

    graph: torch.cuda.CUDAGraph
    result: Tensor


class CudaGraphCache:
    """Runs steps that read and write the same tensors each time, and replays those that it has seen before.

    The first run of a step compiles and allocates whatever it needs; the second is captured. A step must not wait for the
    device.
    """

    def __init__(self) -> None:
        self._recordings: dict[Hashable, Recording | None] = {}  # None where a step has run once

    def forget(self) -> None:
        """Invalidate the captured graphs: the steps are other ones from now on."""
        self._recordings.clear()

    def run(self, name: Hashable, step: Callable[[], Tensor]) -> Tensor:
        """Run a step.

        Args:
            name: What tells it from the others since `forget`.
            step: The step, with one result.

        Returns:
            Its result, valid until the next run.
        """
        if name not in self._recordings:
            self._recordings[name] = None
            return step()
        recording = self._recordings[name] = self._recordings[name] or recorded(step)
        recording.graph.replay()
        return recording.result


def recorded(step: Callable[[], Tensor]) -> Recording:
    """Capture a step; nothing of it is run."""
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        result = step()
    return Recording(graph, result)
