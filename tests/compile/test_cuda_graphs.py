"""A step as a CUDA graph: the same numbers as the step itself, also when its tensors have changed in between."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from sampling.compile.cuda_graphs import CudaGraphCache

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")


def test_a_step_is_captured_once_and_replayed():
    state, runs = torch.zeros(3, device="cuda"), []

    def step() -> Tensor:
        runs.append(1)
        state.add_(1.0)
        return state * 2

    replay = CudaGraphCache()
    results = [replay.run("step", step).tolist() for _ in range(5)]
    assert results == [[2.0 * n] * 3 for n in range(1, 6)]
    assert len(runs) == 2
    replay.forget()
    assert replay.run("step", step).tolist() == [12.0] * 3
    assert len(runs) == 3
