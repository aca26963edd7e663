"""Checkpoints whose answers go on to max_tokens, so that every request of a benchmark gets the same number of tokens.

What could end an answer, the end token or, in JSON mode, a closing brace, has weights of zero in the head: its logit is
always 0, where the likeliest tokens have 20. Where one comes all the same, the answer is shorter, and its `usage` says so.
"""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors.torch import save_file

from benchmarks.harness import shapes
from sampling.model import LlamaConfig, tensor_name
from sampling.text import Vocabulary, load_tokenizer
from sampling.toy import CHECKPOINT

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


def write(shape: str, dtype: str, folder: Path) -> dict[str, Any]:
    """Write a model of a shape in Hugging Face's format.

    Args:
        shape: A key of `shapes.SHAPES`.
        dtype: A key of `shapes.DTYPES`.
        folder: Where to; it is there and empty.

    Returns:
        What it is, for the result.
    """
    model = shapes.build(shape, dtype)
    tokenizer, name = tokenizer_for(model.config)
    head = model.embed_tokens if model.lm_head is None else model.lm_head
    head.weight[ending(tokenizer)] = 0
    tensors = {tensor_name(key): parameter for key, parameter in model.state_dict().items()}
    save_file(tensors, folder / "model.safetensors")
    config = replace(model.config, dtype=shapes.DTYPES[dtype], eos_token_ids=(tokenizer.eos_token_id,))
    (folder / "config.json").write_text(json.dumps(fields_of(config)))
    tokenizer.save_pretrained(folder)
    return {
        "shape": shape,
        "dtype": dtype,
        "V": config.vocab_size,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "weights": "its own" if shape == shapes.TOY else f"random, logits about N(0, {shapes.LOGITS:g})",
        "but": "tokens that could end an answer have logits of 0",
        "tokenizer": name,
    }


def tokenizer_for(config: LlamaConfig) -> tuple[PreTrainedTokenizerFast, str]:
    """The tokenizer of Llama-3 where the model has room for it and the tests' helper is to be found, else the toy's."""
    if config.vocab_size < 128256:
        return load_tokenizer(CHECKPOINT), "the toy's"
    try:
        from llama3_tokenizer import build_llama3_tokenizer  # PYTHONPATH=tests, package llama-models
    except ImportError:
        return load_tokenizer(CHECKPOINT), "the toy's: Llama-3's was not at hand"
    return build_llama3_tokenizer(), "Llama-3's"


def ending(tokenizer: PreTrainedTokenizerFast) -> list[int]:
    """The end token, and every token with a closing brace."""
    vocabulary = Vocabulary(tokenizer, ())
    braces = [token for token in range(len(vocabulary)) if b"}" in (vocabulary.bytes_of(token) or b"")]
    return [tokenizer.eos_token_id, *braces]


def fields_of(config: LlamaConfig) -> dict[str, Any]:
    """A config.json."""
    fields = asdict(config)
    scaling = fields["rope_scaling"] and {"rope_type": "llama3", **fields["rope_scaling"]}
    ends = list(fields.pop("eos_token_ids"))
    dtype = str(config.dtype).removeprefix("torch.")
    return {**fields, "model_type": "llama", "dtype": dtype, "rope_scaling": scaling, "eos_token_id": ends}
