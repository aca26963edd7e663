"""A chain as files: a directory as Hugging Face has them, and GGUF."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from sampling.core.errors import InvalidArgument
from sampling.probe.alphabet import BEGIN, END, Alphabet, tokenizer_config, tokenizer_of
from sampling.probe.chain import HEAD_SIZE, LAYERS, LONGEST, Chain, dtype_named

SPECIAL_IDS = {"bos_token_id": BEGIN, "eos_token_id": END, "pad_token_id": END}
# Nothing that changes what is sampled: an engine that reads this file samples as the request says.
NEUTRAL = {
    "do_sample": True,
    "temperature": 1.0,
    "top_p": 1.0,
    "top_k": 0,
    "min_p": 0.0,
    "repetition_penalty": 1.0,
}
GGUF = "checkpoint.gguf"


def write_checkpoint(
    folder: Path,
    chain: Chain,
    vocabulary: Alphabet,
    *,
    defaults: Mapping[str, Any] = NEUTRAL,
    special: Mapping[str, Any] = SPECIAL_IDS,
    dtype: str = "float32",
) -> Path:
    """Write a checkpoint with a byte tokenizer.

    Args:
        folder: A folder; what is in it stays.
        chain: The logits.
        vocabulary: The tokens.
        defaults: What generation_config.json says besides the special tokens.
        special: The ids of the special tokens.
        dtype: "float32", "bfloat16" or "float16".

    Returns:
        The folder.

    Raises:
        InvalidArgument: No such type, or a logit that it does not hold.
    """
    write_weights(folder, chain, defaults=defaults, special=special, dtype=dtype)
    tokenizer_of(vocabulary).save(str(folder / "tokenizer.json"))
    write_json(folder / "tokenizer_config.json", tokenizer_config(LONGEST))
    return folder


def write_weights(
    folder: Path, chain: Chain, *, defaults: Mapping[str, Any], special: Mapping[str, Any], dtype: str
) -> None:
    """Write everything but the tokenizer; arguments and errors are those of `write_checkpoint`."""
    weights = chain.weights(dtype_named(dtype))
    check_exact(chain, weights["lm_head.weight"], dtype)
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "config.json", {**chain.config(dtype), **special})
    write_json(folder / "generation_config.json", {**special, **defaults})
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def check_exact(chain: Chain, head: Tensor, dtype: str) -> None:
    """Refuse logits that a type of weights does not hold."""
    held = head[:, : len(chain.logits)].T.float()
    wrong = (held != chain.logits).nonzero()
    if len(wrong):
        state, token = wrong[0].tolist()
        words = f"numbers that {dtype} holds"
        raise InvalidArgument(f"rows, state {state}, token {token}", float(chain.logits[state, token]), words)


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON file."""
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def write_gguf(
    path: Path,
    chain: Chain,
    vocabulary: Alphabet,
    *,
    special: Mapping[str, Any] = SPECIAL_IDS,
    dtype: str = "float32",
) -> Path:
    """Write a checkpoint as a GGUF file; the package `gguf` is an extra.

    Source: llama.cpp's `conversion/llama.py` for what the architecture "llama" wants.
    """
    import gguf

    types = {
        "float32": gguf.GGMLQuantizationType.F32,
        "bfloat16": gguf.GGMLQuantizationType.BF16,
        "float16": gguf.GGMLQuantizationType.F16,
    }
    writer = gguf.GGUFWriter(path, gguf.MODEL_ARCH_NAMES[gguf.MODEL_ARCH.LLAMA])
    add_shape(writer, chain)
    add_vocabulary(writer, gguf.TokenType, vocabulary, chain.logits.shape[1], special)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, LAYERS)
    for name, weight in chain.weights().items():
        kind = "float32" if weight.ndim == 1 else dtype
        raw = weight.to(dtype_named(kind)).contiguous().view(torch.uint8).numpy()  # numpy has no bfloat16
        writer.add_tensor(str(names.get_name(name, try_suffixes=(".weight",))), raw, raw_dtype=types[kind])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def add_shape(writer: Any, chain: Chain) -> None:
    """Add what config.json says, under GGUF's names."""
    heads = chain.hidden // HEAD_SIZE
    writer.add_vocab_size(chain.logits.shape[1])
    writer.add_context_length(LONGEST)
    writer.add_embedding_length(chain.hidden)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(2 * chain.hidden)
    writer.add_head_count(heads)
    writer.add_head_count_kv(heads)
    writer.add_key_length(HEAD_SIZE)
    writer.add_value_length(HEAD_SIZE)
    writer.add_rope_dimension_count(HEAD_SIZE)
    writer.add_rope_freq_base(10000.0)
    writer.add_layer_norm_rms_eps(1e-5)


def add_vocabulary(
    writer: Any, kinds: Any, vocabulary: Alphabet, vocab: int, special: Mapping[str, Any]
) -> None:
    """Add the tokenizer: byte-level BPE, and a chat template that adds nothing."""
    known = len(vocabulary.pieces)
    types = [kinds.CONTROL if token in special.values() else kinds.NORMAL for token in range(known)]
    spare = range(known, vocab)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("llama-bpe")
    writer.add_token_list([*vocabulary.pieces, *(f"<unused {token}>" for token in spare)])
    writer.add_token_types([*types, *(kinds.UNUSED for _ in spare)])
    # the format wants a merge; this one makes no token that there is
    writer.add_token_merges([" ".join(pair) for pair in vocabulary.merges] or ["Ġ Ġ"])
    for name, add in (
        ("bos_token_id", writer.add_bos_token_id),
        ("eos_token_id", writer.add_eos_token_id),
        ("pad_token_id", writer.add_pad_token_id),
    ):
        if name in special:
            add(special[name])
    writer.add_add_bos_token("bos_token_id" in special)
    writer.add_chat_template(tokenizer_config(LONGEST)["chat_template"])
