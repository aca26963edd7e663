"""Our weights as a GGUF file, for llama.cpp: the names and the layout that it expects, no vocabulary.

Source: llama.cpp's `conversion/llama.py` for what the architecture "llama" wants; the package `gguf` writes the file.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch
from torch import Tensor

from sampling.model import Llama, LlamaConfig, tensor_name
from sampling.model.rotary import rotary_frequencies

TYPES: dict[str, tuple[torch.dtype, Any]] = {
    "float32": (torch.float32, gguf.GGMLQuantizationType.F32),
    "bfloat16": (torch.bfloat16, gguf.GGMLQuantizationType.BF16),
    "float16": (torch.float16, gguf.GGMLQuantizationType.F16),
}


def write_gguf(model: Llama, path: Path, dtype: str) -> None:
    """Write a model's weights, its matrices in the type given and its norms in float32.

    Args:
        model: The model.
        path: The file to write.
        dtype: A key of TYPES.
    """
    config = model.config
    writer = gguf.GGUFWriter(path, gguf.MODEL_ARCH_NAMES[gguf.MODEL_ARCH.LLAMA])
    add_shape(writer, config)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, config.num_hidden_layers)
    for parameter, weight in model.named_parameters():
        name = names.get_name(tensor_name(parameter), try_suffixes=(".weight",))
        add_tensor(writer, str(name), in_pairs(parameter, weight.detach().cpu(), config), dtype)
    if config.rope_scaling is not None:
        add_tensor(writer, "rope_freqs.weight", stretching(config), "float32")
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def add_shape(writer: gguf.GGUFWriter, config: LlamaConfig) -> None:
    """What config.json says, under GGUF's names."""
    writer.add_tokenizer_model("no_vocab")
    writer.add_vocab_size(config.vocab_size)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_key_length(config.head_dim)
    writer.add_value_length(config.head_dim)
    writer.add_rope_dimension_count(config.head_dim)
    writer.add_rope_freq_base(config.rope_theta)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)


def add_tensor(writer: gguf.GGUFWriter, name: str, weight: Tensor, dtype: str) -> None:
    """One tensor; numpy has no bfloat16, so all go as bytes."""
    kind, raw = TYPES["float32" if weight.ndim == 1 else dtype]
    raw_bytes = weight.to(kind).contiguous().view(torch.uint8)
    writer.add_tensor(name, raw_bytes.numpy(), raw_dtype=raw)


def in_pairs(parameter: str, weight: Tensor, config: LlamaConfig) -> Tensor:
    """The channels of queries and keys as llama.cpp turns them: neighbours in pairs, not halves.

    [heads * (2, D / 2), hidden] -> [heads * (D / 2, 2), hidden]
    """
    if not parameter.endswith(("q_proj.weight", "k_proj.weight")):
        return weight
    return weight.unflatten(0, (-1, 2, config.head_dim // 2)).transpose(1, 2).flatten(0, 2)


def stretching(config: LlamaConfig) -> Tensor:
    """What Llama-3.1's scaling divides each frequency by, float32 [D / 2]."""
    exponents = np.arange(0, config.head_dim, 2) / config.head_dim
    plain = torch.from_numpy(config.rope_theta**-exponents)
    return (plain / rotary_frequencies(config)).float()
