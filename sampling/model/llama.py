"""Llama-3 in plain PyTorch: token ids in, logits out.

    hidden = embed(tokens)                                   # [B, T, hidden_size]
    for each block:
        hidden = hidden + attention(norm(hidden))            # looks back, over rotated queries and keys
        hidden = hidden + feed_forward(norm(hidden))         # each position by itself
    logits = head(norm(hidden))                              # [B, T, V]

Source: "The Llama 3 Herd of Models", arXiv:2407.21783.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sampling.core.errors import InvalidArgument
from sampling.model.allocation import allocate
from sampling.model.attend import Attend, causal_attention, sdpa_attention
from sampling.model.cache import Cache, KeyValueCache, WritePlan
from sampling.model.config import LlamaConfig
from sampling.model.projection import Projection, call_modules, linear_products
from sampling.model.rotary import Rotary, rotate

Item = TypeVar("Item")


class RMSNorm(nn.Module):
    """Divide by the root of the mean square, in float32, then scale each channel.

    y = w x / sqrt(mean(x^2) + eps)

    Source:
        "Root Mean Square Layer Normalization", arXiv:1910.07467.
    """

    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, hidden: Tensor) -> Tensor:
        """Return the same shape and type as `hidden`."""
        wide = hidden.float()
        wide = wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + self.eps)
        return self.weight * wide.to(hidden.dtype)


class Attention(nn.Module):
    """Grouped-query attention: several query heads share one key/value head.

    Source:
        "GQA: Training Generalized Multi-Query Transformer Models", arXiv:2305.13245.
    """

    def __init__(self, config: LlamaConfig, layer: int) -> None:
        super().__init__()
        self.layer = layer
        self.head_dim = config.head_dim
        queries, keys = config.num_attention_heads * self.head_dim, config.num_key_value_heads * self.head_dim
        self.q_proj = nn.Linear(config.hidden_size, queries, bias=False)
        self.k_proj = nn.Linear(config.hidden_size, keys, bias=False)
        self.v_proj = nn.Linear(config.hidden_size, keys, bias=False)
        self.o_proj = nn.Linear(queries, config.hidden_size, bias=False)
        self.project_qkv = Projection(self.q_proj, self.k_proj, self.v_proj, form=call_modules)
        self.project_out = Projection(self.o_proj, form=call_modules)
        self.attend: Attend = sdpa_attention

    def forward(self, hidden: Tensor, rotation: tuple[Tensor, Tensor], window: WritePlan | None) -> Tensor:
        """[B, T, hidden_size] to the same; over the cache behind `window`, or over the T positions alone."""
        q, k, v = (heads.unflatten(-1, (-1, self.head_dim)) for heads in self.project_qkv(hidden))
        q, k = rotate(q, rotation), rotate(k, rotation)  # [B, T, H, D], [B, T, KV, D]; v is as k
        if window is None:
            return self.project_out(causal_attention(q, k, v))[0]
        return self.project_out(window.attend(self.layer, q, k, v, self.attend))[0]


class FeedForward(nn.Module):
    """SwiGLU: down(silu(gate(x)) up(x)).

    Source:
        "GLU Variants Improve Transformer", arXiv:2002.05202.
    """

    def __init__(self, config: LlamaConfig) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(config.hidden_size, config.intermediate_size, bias=False)
        self.up_proj = nn.Linear(config.hidden_size, config.intermediate_size, bias=False)
        self.down_proj = nn.Linear(config.intermediate_size, config.hidden_size, bias=False)
        self.project_gate_up = Projection(self.gate_proj, self.up_proj, form=call_modules)
        self.project_down = Projection(self.down_proj, form=call_modules)

    def forward(self, hidden: Tensor) -> Tensor:
        """[B, T, hidden_size] to the same."""
        gate, up = self.project_gate_up(hidden)
        return self.project_down(F.silu(gate) * up)[0]


class Block(nn.Module):
    """Attention, then feed-forward; each over the norm of what it is added to."""

    def __init__(self, config: LlamaConfig, layer: int) -> None:
        super().__init__()
        self.input_layernorm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.self_attn = Attention(config, layer)
        self.post_attention_layernorm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.mlp = FeedForward(config)

    def forward(self, hidden: Tensor, rotation: tuple[Tensor, Tensor], window: WritePlan | None) -> Tensor:
        """[B, T, hidden_size] to the same."""
        hidden = hidden + self.self_attn(self.input_layernorm(hidden), rotation, window)
        return hidden + self.mlp(self.post_attention_layernorm(hidden))


class Llama(nn.Module):
    """A Llama-3 language model.

    Parameters are named as in Hugging Face's files, without the leading "model." (see `tensor_name`).

    With a cache, the T tokens of a row stand after the positions that the row already holds. `counts` says
    how many of the T are real; what follows is padding on the right, may be any integer, influences nothing,
    and has logits that mean nothing. Gradients do not flow into a cache.

    What is checked where: shapes and types, always; token ids on the CPU, and rows that outgrow the cache as
    far as the host knows their lengths, in eager mode, before anything is computed (`KeyValueCache.reserve`).
    Nothing waits for the device: a row that outgrew the cache unknown to the host has NaN logits. A compiled
    step can have the check too, by calling `reserve` before it.

    Args:
        config: The model's shape.

    Example:
        >>> _ = torch.manual_seed(0)
        >>> config = LlamaConfig(
        ...     vocab_size=64, hidden_size=32, intermediate_size=48, num_hidden_layers=2,
        ...     num_attention_heads=4, num_key_value_heads=2, head_dim=8, max_position_embeddings=128,
        ... )
        >>> model = Llama(config)
        >>> model(torch.tensor([[1, 2, 3]])).shape
        torch.Size([1, 3, 64])
        >>> cache = model.new_cache(rows=2, capacity=16)
        >>> model.next_logits(torch.tensor([[1, 2, 3], [4, 0, 0]]), cache, torch.tensor([3, 1])).shape
        torch.Size([2, 64])
        >>> cache.lengths
        tensor([3, 1])
    """

    def __init__(self, config: LlamaConfig) -> None:
        super().__init__()
        self.config = config
        table = torch.empty(config.vocab_size, config.hidden_size)
        if not table.is_meta:  # chance on the device "meta" imports the compiler: a second of every start
            table.normal_()
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size, _weight=table)
        self.layers = nn.ModuleList(Block(config, layer) for layer in range(config.num_hidden_layers))
        self.norm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.rotary = Rotary(config)
        self.lm_head: nn.Linear | None = None
        if not config.tie_word_embeddings:
            self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.project_logits = Projection(self.lm_head or self.embed_tokens, form=linear_products)

    def forward(self, token_ids: Tensor, cache: Cache | None = None, counts: Tensor | None = None) -> Tensor:
        """Logits at every position.

        Args:
            token_ids: [B, T] int64, ids from 0 to V - 1 where they are real.
            cache: Where the rows' earlier positions are and the new ones go; None for texts without a past.
            counts: [B] int64, 0 to T: how many of the T are real; all of them by default. On the CPU they
                tell the host how long the rows are; on the device they save a copy.

        Returns:
            [B, T, V] float32.

        Raises:
            InvalidArgument: A shape, a type or an id is not allowed.
            CacheFull: A row outgrows the cache.
        """
        return self._head(self._hidden(token_ids, cache, counts))

    def next_logits(
        self, token_ids: Tensor, cache: Cache | None = None, counts: Tensor | None = None
    ) -> Tensor:
        """Logits at each row's last real position: those of its next token.

        The same as `forward`, but that the head is applied to one position a row. A row with count 0 has no
        last position: its logits mean nothing.

        Args:
            token_ids: [B, T] int64.
            cache: As in `forward`.
            counts: As in `forward`.

        Returns:
            [B, V] float32.

        Raises:
            InvalidArgument: A shape, a type or an id is not allowed.
            CacheFull: A row outgrows the cache.
        """
        hidden = self._hidden(token_ids, cache, counts)
        if counts is None:
            return self._head(hidden[:, -1])
        last = (counts.to(hidden.device, non_blocking=True) - 1).clamp(min=0)
        return self._head(hidden[torch.arange(len(hidden), device=hidden.device), last])

    def all_logits(
        self, token_ids: Tensor, cache: Cache | None, at_once: int
    ) -> tuple[Tensor, Iterator[Tensor]]:
        """Logits of the next token, to the bit as `next_logits` has them, and beside them those at every position.

        Args:
            token_ids: [B, T] int64.
            cache: As in `forward`.
            at_once: At how many positions the logits are computed together.

        Returns:
            [B, V] float32; and [B, at_once, V] float32, one after the other as they are asked for, the last one perhaps of
            fewer positions.

        Raises:
            InvalidArgument: A shape, a type or an id is not allowed.
            CacheFull: A row outgrows the cache.
        """
        hidden = self._hidden(token_ids, cache, None)
        return self._head(hidden[:, -1]), map(self._head, hidden.split(at_once, dim=1))

    def new_cache(self, rows: int, capacity: int) -> KeyValueCache:
        """Return an empty cache of this model's shape, device and type.

        Args:
            rows: B.
            capacity: Most positions of a row, 1 to the model's context.

        Raises:
            InvalidArgument: A number is out of range.
            NotEnoughMemory: It does not fit into memory.
        """
        context = self.config.max_position_embeddings
        if not 1 <= capacity <= context:
            raise InvalidArgument("capacity", capacity, f"from 1 to {context}, the model's context")
        layers, heads, width = self.config.num_hidden_layers, self.key_value_heads, self.config.head_dim
        device, dtype = self.embed_tokens.weight.device, self.embed_tokens.weight.dtype
        make = partial(
            KeyValueCache,
            layers=layers,
            rows=rows,
            heads=heads,
            capacity=capacity,
            head_dim=width,
            device=device,
            dtype=dtype,
        )
        size = 2 * layers * rows * heads * (capacity + 1) * width * dtype.itemsize
        return allocate(make, size, device, self.from_all)

    @property
    def key_value_heads(self) -> int:
        """Key/value heads of a block that this process holds: here all of them."""
        return self.config.num_key_value_heads

    def held(self, parameter: Tensor) -> tuple[Tensor, tuple[slice, ...]]:
        """Return what this process holds of a parameter, and which part of the whole it is: here all of it."""
        return parameter, (slice(None),)

    def from_all(self, item: Item) -> list[Item]:
        """Return the item that each process with a part of the model gives: here there is one process."""
        return [item]

    def _hidden(self, token_ids: Tensor, cache: Cache | None, counts: Tensor | None) -> Tensor:
        self._check_shapes(token_ids, cache, counts)
        width = token_ids.shape[1]
        steps = torch.arange(width, device=token_ids.device)
        there = None if counts is None else counts.to(token_ids.device, non_blocking=True)
        if there is not None:
            token_ids = token_ids.where(steps < there[:, None], 0)
        if not torch.compiler.is_compiling():
            self._check_values(token_ids, cache, counts)
        if cache is None:
            return self._decode(token_ids, steps[None], None)
        window = cache.plan_write(width, there, self.config.query_groups)
        hidden = self._decode(token_ids, window.positions, window)
        cache.lengths.add_(window.counts)
        return hidden.where(window.inside[:, :, None], torch.nan)

    def _decode(self, token_ids: Tensor, positions: Tensor, window: WritePlan | None) -> Tensor:
        hidden = self.embed_tokens(token_ids)  # [B, T, hidden_size]
        rotation = self.rotary(positions)
        for block in self.layers:
            hidden = block(hidden, rotation, window)
        return self.norm(hidden)

    def _head(self, hidden: Tensor) -> Tensor:
        return self.project_logits(hidden)[0].float()

    def _check_shapes(self, token_ids: Tensor, cache: Cache | None, counts: Tensor | None) -> None:
        context = self.config.max_position_embeddings if cache is None else cache.capacity
        if token_ids.ndim != 2 or token_ids.dtype != torch.int64 or not 1 <= token_ids.shape[1] <= context:
            raise InvalidArgument(
                "token_ids", _described(token_ids), f"[B, T] int64 with T from 1 to {context}"
            )
        if cache is not None and len(token_ids) != cache.rows:
            raise InvalidArgument("token_ids", _described(token_ids), f"of {cache.rows} rows, as the cache")
        if counts is not None and (counts.shape != token_ids.shape[:1] or counts.dtype != torch.int64):
            raise InvalidArgument("counts", _described(counts), f"[{len(token_ids)}] int64, as token_ids")

    def _check_values(self, token_ids: Tensor, cache: Cache | None, counts: Tensor | None) -> None:
        width = token_ids.shape[1]
        if counts is not None and not _within(counts, width):
            raise InvalidArgument("counts", counts.tolist(), f"from 0 to {width}, the width of token_ids")
        if not _within(token_ids, self.config.vocab_size - 1):
            worst = token_ids.max() if token_ids.min() >= 0 else token_ids.min()
            raise InvalidArgument("token_ids", int(worst), f"ids from 0 to {self.config.vocab_size - 1}")
        if cache is not None:
            cache.reserve(width, counts)


def _within(numbers: Tensor, most: int) -> bool:
    """Whether all are from 0 to `most`, as far as the host can tell without waiting for the device."""
    return numbers.device.type != "cpu" or bool(((numbers >= 0) & (numbers <= most)).all())


def _described(tensor: Tensor) -> str:
    return f"{list(tensor.shape)} {str(tensor.dtype).removeprefix('torch.')}"
