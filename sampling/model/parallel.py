"""One Llama over several processes, by torch.distributed's tensor parallelism.

Every process computes the same tokens from its own part of the weights: some of the heads, some of the
feed-forward channels, some of the vocabulary. What a row needs of the others is summed twice a block, and the
logits are gathered once. Each logit is computed by one process and handed to all, so that they are the same to the
last bit everywhere; and since the draw is keyed, so is the token that each process draws by itself.

Source: "Megatron-LM: Training Multi-Billion Parameter Language Models Using Model Parallelism", arXiv:1909.08053,
section 3, for the split.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from typing import cast

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.tensor import DTensor, Replicate, Shard
from torch.distributed.tensor.parallel import (
    ColwiseParallel,
    ParallelStyle,
    RowwiseParallel,
    parallelize_module,
)

from sampling.core.errors import InvalidArgument
from sampling.model.config import LlamaConfig
from sampling.model.llama import Item, Llama

DIVIDED = ("num_attention_heads", "num_key_value_heads", "intermediate_size")

PLAN: dict[str, ParallelStyle] = {
    "embed_tokens": RowwiseParallel(input_layouts=Replicate()),
    "layers.*.self_attn.q_proj": ColwiseParallel(),
    "layers.*.self_attn.k_proj": ColwiseParallel(),
    "layers.*.self_attn.v_proj": ColwiseParallel(),
    "layers.*.self_attn.o_proj": RowwiseParallel(),
    "layers.*.mlp.gate_proj": ColwiseParallel(),
    "layers.*.mlp.up_proj": ColwiseParallel(),
    "layers.*.mlp.down_proj": RowwiseParallel(),
}
UNTIED_PLAN = {**PLAN, "lm_head": ColwiseParallel()}


class ParallelLlama(Llama):
    """A Llama of which this process holds one part.

    It is called as a whole one is, by all processes alike and in the same order, and gives each of them all logits.

    Args:
        config: The whole model's shape.
        mesh: The processes, in one dimension.

    Raises:
        InvalidArgument: The shape cannot be divided evenly.
    """

    def __init__(self, config: LlamaConfig, mesh: DeviceMesh) -> None:
        for name in DIVIDED:
            if getattr(config, name) % mesh.size():
                words = f"a multiple of the number of processes, which is {mesh.size()}"
                raise InvalidArgument(name, getattr(config, name), words)
        super().__init__(config)
        self.mesh = mesh
        plan = PLAN if config.tie_word_embeddings else UNTIED_PLAN
        parallelize_module(self, mesh, plan, src_data_rank=None)

    @property
    def key_value_heads(self) -> int:
        """Key/value heads of a block that this process holds."""
        return self.config.num_key_value_heads // self.mesh.size()

    def held(self, parameter: Tensor) -> tuple[Tensor, tuple[slice, ...]]:
        """Return what this process holds of a parameter, and which part of the whole it is."""
        if not isinstance(parameter, DTensor):
            return super().held(parameter)
        (placement,) = parameter.placements
        dim = cast("Shard", placement).dim
        share = -(-parameter.shape[dim] // self.mesh.size())  # as torch.chunk cuts
        start = self.mesh.get_local_rank() * share
        return parameter.to_local(), (*[slice(None)] * dim, slice(start, start + share))

    def from_all(self, item: Item) -> list[Item]:
        """Return the item that each process gives, in their order."""
        items: list[Item | None] = [None] * self.mesh.size()
        dist.all_gather_object(items, item, self.mesh.get_group())
        return cast("list[Item]", items)

    def _head(self, hidden: Tensor) -> Tensor:
        head = self.embed_tokens if self.lm_head is None else self.lm_head
        everywhere = DTensor.from_local(hidden, self.mesh, [Replicate()], run_check=False)
        logits = cast("DTensor", F.linear(everywhere, head.weight))  # each process has a part of V
        return logits.full_tensor().float()


def parallel_llama(device: torch.device | str) -> Callable[[LlamaConfig], ParallelLlama]:
    """Return what makes a model that the processes of this run of torchrun share.

    Args:
        device: "cpu" or "cuda"; each process takes the GPU of its number on this machine.

    Raises:
        InvalidArgument: There is no torchrun, or not one device for each process.
    """
    if not dist.is_torchelastic_launched():
        raise InvalidArgument("parallel", True, "False outside torchrun")
    kind, here = str(device), int(os.environ["LOCAL_WORLD_SIZE"])
    if kind not in ("cpu", "cuda"):
        raise InvalidArgument("device", kind, "'cpu', or 'cuda', of which each process takes its own")
    if kind == "cuda" and torch.cuda.device_count() < here:
        words = f"one with a GPU for each of the {here} processes; {torch.cuda.device_count()} are there"
        raise InvalidArgument("device", kind, words)
    mesh = init_device_mesh(kind, (int(os.environ["WORLD_SIZE"]),))
    return partial(ParallelLlama, mesh=mesh)
