"""Where tensors live: asked for by name, and refused by name where it is not there."""

from __future__ import annotations

import torch
from torch import Tensor

from sampling.core.errors import InvalidArgument


def checked_device(device: torch.device | str) -> torch.device:
    """Return a device, given as it is or by name, that holds tensors here.

    Raises:
        InvalidArgument: torch does not know it, or it is not there.

    Example:
        >>> checked_device("cpu")
        device(type='cpu')
    """
    try:
        if torch.empty(0, device=device).is_meta:
            raise RuntimeError("meta tensors hold no numbers")
        return torch.device(device)
    except (RuntimeError, AssertionError, TypeError) as error:
        reason = str(error).splitlines()[0]
        raise InvalidArgument(
            "device", str(device), f"a device that torch can use here ({reason})"
        ) from error


def with_values(name: str, tensor: Tensor) -> Tensor:
    """Return a tensor that holds numbers.

    Args:
        name: The field, for the message.
        tensor: What was given.

    Raises:
        InvalidArgument: It is on torch's meta device, and has a shape alone.
    """
    if tensor.device.type == "meta":
        raise InvalidArgument(
            name, f"a tensor of shape {tuple(tensor.shape)} on meta", "a tensor that holds numbers"
        )
    return tensor
