"""What the compiled step of a model depends on, in one text: asked for before each step in place of every part of the model."""

from __future__ import annotations

from typing import cast

import torch
from torch import nn

from sampling.model.llama import Attention, Block, FeedForward, Llama, RMSNorm
from sampling.model.projection import WideEmbedding, projections_of
from sampling.model.rotary import Rotary

PARTS = (
    *(Llama, Block, Attention, FeedForward, RMSNorm, Rotary, WideEmbedding),
    *(nn.Embedding, nn.Linear, nn.ModuleList),
)


def kind_of(model: Llama) -> str | None:
    """All that a graph of a model depends on but the values of its weights.

    Args:
        model: The model, which is not changed from now on but for those values, or as a whole (`state_of`).

    Returns:
        The same text for models that a graph serves alike; None where a part is of another type, or has hooks or a forward
        pass of its own, so that only a look at all of it tells.
    """
    if not all(map(unchanged, model.modules())):
        return None
    weights = [
        (tensor.dtype, tensor.shape, tensor.stride(), tensor.device)
        for tensor in (*model.parameters(), *model.buffers())
    ]
    forms = [projection.form for projection in projections_of(model)]
    attends = [cast("Block", block).self_attn.attend for block in model.layers]
    return repr((model.config, weights, forms, attends))


def state_of(model: Llama) -> tuple[torch.dtype, torch.device]:
    """What a change of the whole model, as by `model.to`, changes: another kind has to be asked for then."""
    return model.norm.weight.dtype, model.norm.weight.device


def unchanged(module: nn.Module) -> bool:
    """Whether a module is one of this library's or of torch's, without hooks and with the forward pass of its type."""
    own = vars(module)
    return type(module) in PARTS and not (
        own["_forward_hooks"] or own["_forward_pre_hooks"] or "forward" in own
    )
