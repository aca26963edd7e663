"""The key of a compiled step: one text of what it depends on, compared before each step in place of every part of the model."""

from __future__ import annotations

from torch import Tensor, nn

from sampling.model.attend import reduce_attention, sdpa_attention
from sampling.model.config import LlamaConfig
from sampling.model.llama import Attention, Block, FeedForward, Llama, RMSNorm
from sampling.model.projection import Projection, WideEmbedding, call_modules, gemv_reduce, linear_products
from sampling.model.rotary import Rotary

PARTS = (
    *(Llama, Block, Attention, FeedForward, RMSNorm, Rotary, WideEmbedding),
    *(nn.Embedding, nn.Linear, nn.ModuleList),
)
FUNCTIONS = (call_modules, linear_products, gemv_reduce, sdpa_attention, reduce_attention)
PLAIN = (bool, int, float, str, type(None), LlamaConfig)
OF_EVERY_MODULE = frozenset(vars(nn.Module()))


class NoKey(Exception):
    """Something that no text of this library's tells."""


def graph_cache_key(model: Llama) -> str | None:
    """All that a graph of a model depends on but the values of its weights; a graph serves the models of one text.

    Args:
        model: The model.

    Returns:
        The text; None where a part is not this library's or torch's own, or has hooks or a forward pass of its own, so that
        only a look at all of it tells.
    """
    names = {id(module): name for name, module in model.named_modules()}
    try:
        modules = [(name, *module_key(module, names)) for name, module in model.named_modules()]
        weights = model.named_parameters(remove_duplicate=False)
        tensors = [(name, *tensor_key(tensor)) for name, tensor in (*weights, *model.named_buffers())]
    except NoKey:
        return None
    return repr((modules, tensors))


def module_key(module: nn.Module, names: dict[int, str]) -> tuple[object, ...]:
    """Return the type of a module and its attributes."""
    own = vars(module)
    if type(module) not in PARTS or own["_forward_hooks"] or own["_forward_pre_hooks"]:
        raise NoKey
    attributes = {name: value for name, value in own.items() if name not in OF_EVERY_MODULE}
    return type(module).__name__, {name: value_key(value, names) for name, value in attributes.items()}


def value_key(value: object, names: dict[int, str]) -> object:
    """Return an attribute as something whose text is all of it."""
    if type(value) in PLAIN:
        return value
    if type(value) is Projection:
        return value_key(value.form, names), [names.get(id(module)) for module in value.modules]
    known = [function.__name__ for function in FUNCTIONS if function is value]
    if not known:
        raise NoKey
    return known[0]


def tensor_key(tensor: Tensor) -> tuple[object, ...]:
    """Return what a graph asks of a tensor."""
    if type(tensor) not in (Tensor, nn.Parameter):
        raise NoKey
    return tensor.dtype, tuple(tensor.shape), tensor.stride(), tensor.device, tensor.requires_grad
