"""Matrix products with a model's weights: what is multiplied is the model's to say, how it is computed is chosen here."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sampling.model.attend import Attend

if TYPE_CHECKING:
    from sampling.model.llama import Block, Llama

Form = Callable[[Tensor, Sequence[nn.Module]], Sequence[Tensor]]

SUMS_AT_ONCE = 4
# Rows that oneDNN packs for: weights packed so are fast for fewer rows, and for a whole prompt, too.
PACKED_FOR = 16
# As many threads can share a product of one row.
BLOCKS = 16


class Projection:
    """Products y = x W^T of one input with the weights of several modules.

    No module itself, so that the modules keep their one place and their names in the model.

    Args:
        modules: Those whose weights are multiplied, [out, in] each.
        form: How: any function of the input and the modules that gives one product per module.
    """

    def __init__(self, *modules: nn.Module, form: Form) -> None:
        self.modules, self.form = modules, form

    def __call__(self, hidden: Tensor) -> Sequence[Tensor]:
        """[..., in] to one [..., out] per module."""
        return self.form(hidden, self.modules)


def call_modules(hidden: Tensor, modules: Sequence[nn.Module]) -> list[Tensor]:
    """As the modules themselves do it, with whatever has been hooked to them."""
    return [module(hidden) for module in modules]


def linear_products(hidden: Tensor, modules: Sequence[nn.Module]) -> list[Tensor]:
    """By the linear operator; for an embedding, too, which as a module would look rows up."""
    return [F.linear(hidden, weight) for weight in weights_of(modules)]


def gemv_reduce(hidden: Tensor, modules: Sequence[nn.Module]) -> list[Tensor]:
    """Multiply and sum, in float32: compiled and for one row it reads weights as fast as memory gives them."""
    return [_summed(hidden.float()[..., None, :], weight).to(hidden.dtype) for weight in weights_of(modules)]


def _summed(wide: Tensor, weight: Tensor) -> Tensor:
    """Several parts of the weights side by side, which Inductor makes one loop: one sum alone would wait for itself."""
    return torch.cat([(wide * part.float()).sum(-1) for part in weight.chunk(SUMS_AT_ONCE)], -1)


def blocked_gemv(hidden: Tensor, modules: Sequence[nn.Module]) -> list[Tensor]:
    """For one row in float32 and weights of a multiple of BLOCKS rows, as a batch of products with blocks of them.

    MKL computes a batch with all threads, where a matrix times one column has a single thread for itself.
    """
    # in the strides of a matrix with more rows: for others MKL takes a slower way
    column = hidden.reshape(1, -1).T
    products = [_in_blocks(column, weight.detach()) for weight in weights_of(modules)]
    return [product.view(*hidden.shape[:-1], -1) for product in products]


def fits_blocks(hidden: Tensor, weights: Sequence[Tensor]) -> bool:
    """Whether `blocked_gemv` can multiply this input with these weights, and MKL is there to do it."""
    one_row = hidden.numel() == hidden.shape[-1] and hidden.dtype == torch.float32
    even = all(len(weight) % BLOCKS == 0 for weight in weights)
    return one_row and even and torch.backends.mkl.is_available()


def _in_blocks(column: Tensor, weight: Tensor) -> Tensor:
    return torch.bmm(weight.unflatten(0, (BLOCKS, -1)), column.expand(BLOCKS, *column.shape))


class WideEmbedding(nn.Module):
    """An embedding table whose rows come out in float32, so that a model computes in it from there on.

    Args:
        table: The table, with whatever has been hooked to it.
    """

    def __init__(self, table: nn.Embedding) -> None:
        super().__init__()
        self.table = table

    def forward(self, token_ids: Tensor) -> Tensor:
        """[B, T] to [B, T, hidden_size]."""
        return self.table(token_ids).float()


class Packed:
    """By oneDNN, over one copy of all the weights in the order in which its kernels read them.

    Weights that have changed since are packed again. One row in float32 is multiplied by blocks instead, where it can be.
    """

    def __init__(self) -> None:
        self._packed: Tensor | None = None
        self._of: list[tuple[int, int]] = []
        self._widths: list[int] = []

    def __call__(self, hidden: Tensor, modules: Sequence[nn.Module]) -> Sequence[Tensor]:
        """One product with all the weights, cut into theirs."""
        weights = weights_of(modules)
        if fits_blocks(hidden, weights):
            return blocked_gemv(hidden, modules)
        state = [(weight.data_ptr(), weight._version) for weight in weights]
        if self._packed is None or state != self._of:
            self._pack(weights, state)
        product = torch.ops.mkldnn._linear_pointwise(hidden, self._packed, None, "none", [], "")
        return product.split(self._widths, dim=-1)

    def __deepcopy__(self, memo: dict[int, object]) -> Packed:
        """One that has yet to pack: packed weights are in no storage that could be copied."""
        return Packed()

    def _pack(self, weights: Sequence[Tensor], state: list[tuple[int, int]]) -> None:
        together = torch.cat([weight.detach() for weight in weights])
        self._packed = torch.ops.mkldnn._reorder_linear_weight(together, PACKED_FOR)
        self._of, self._widths = state, [len(weight) for weight in weights]


def weights_of(modules: Sequence[nn.Module]) -> list[Tensor]:
    """Return the weights, [out, in] each."""
    return [cast("Tensor", module.weight) for module in modules]


def projections_of(model: nn.Module) -> list[Projection]:
    """Every projection of a model."""
    parts = (part for module in model.modules() for part in vars(module).values())
    return [part for part in parts if isinstance(part, Projection)]


def pack(model: Llama) -> None:
    """Compute a model's products as `Packed` does from now on, where oneDNN can; elsewhere leave the model as it is.

    The weights stay as they are, and where they are; the packed copy takes as much memory again, but for an embedding table
    that is no head. No gradients flow to the weights.

    Args:
        model: The model; changed in place.
    """
    if packable(model.embed_tokens.weight):
        for projection in projections_of(model):
            projection.form = Packed()


def packable(weight: Tensor) -> bool:
    """Whether oneDNN has kernels for weights like this one here."""
    if weight.device.type != "cpu" or not torch.backends.mkldnn.is_available():
        return False
    return weight.dtype == torch.float32 or torch.ops.mkldnn._is_mkldnn_bf16_supported()


def as_gemv_model(model: Llama, attend: Attend | None) -> Llama:
    """Return a twin of a model, on the same weights, that multiplies and sums.

    Args:
        model: The model.
        attend: How the twin attends, in float32; the twin computes in it from the embedding to the logits then, whatever the
            type of the weights, since to round in between would cost more than it saves. None as the model does.
    """
    weights = (*model.parameters(), *model.buffers())
    twin = copy.deepcopy(model, {id(weight): weight for weight in weights})
    for projection in projections_of(twin):
        projection.form = gemv_reduce
    if attend is not None:
        twin.embed_tokens = cast("nn.Embedding", WideEmbedding(twin.embed_tokens))
        for block in twin.layers:
            cast("Block", block).self_attn.attend = attend
    return twin
