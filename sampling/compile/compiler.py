"""Whether torch can compile here: asked before a model is read, not at its first token."""

from __future__ import annotations

import torch
from torch import Tensor

from sampling.core.device import checked_device
from sampling.core.errors import InvalidArgument


def require_compiler(device: torch.device | str) -> None:
    """Compile an addition, so that whatever stands in the way of a compiled step is told at once.

    Args:
        device: Where the step will run.

    Raises:
        InvalidArgument: The device cannot be used, or nothing can be compiled for it: no C++ compiler for the CPU, no Triton
            for CUDA, a Python that torch's compiler does not know.
    """
    checked_device(device)
    try:
        torch.compile(_added, fullgraph=True)(torch.zeros(1, device=device))
    except Exception as error:  # whatever a compiler makes of what it does not find
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise InvalidArgument(
            "compile", True, f"False, since torch cannot compile here ({reason})"
        ) from error


def _added(tensor: Tensor) -> Tensor:
    return tensor + 1
