"""The real Llama-3 tokenizer, made from the vocabulary file in the PyPI package `llama-models`."""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import os
from pathlib import Path
from typing import TYPE_CHECKING
from unittest import mock

if TYPE_CHECKING:
    import tiktoken
    from transformers import PreTrainedTokenizerFast

ORDINARY = 128_000
BOS, END_OF_TEXT, START_HEADER, END_HEADER, EOM, EOT, PYTHON_TAG = 128_000, 128_001, *range(128_006, 128_011)

_NAMED = {
    0: "<|begin_of_text|>",
    1: "<|end_of_text|>",
    4: "<|finetune_right_pad_id|>",
    6: "<|start_header_id|>",
    7: "<|end_header_id|>",
    8: "<|eom_id|>",
    9: "<|eot_id|>",
    10: "<|python_tag|>",
}

# What Meta-Llama-3-8B-Instruct's template does with a conversation, in other words.
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ bos_token if loop.first else '' }}"
    "{{ '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n' }}"
    "{{ message['content'] | trim }}{{ '<|eot_id|>' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"
)


def llama3_vocabulary_file() -> Path:
    """Find `llama3/tokenizer.model` without importing the package that holds it."""
    spec = importlib.util.find_spec("llama_models")
    assert spec is not None, "the test extra needs llama-models"
    assert spec.submodule_search_locations is not None
    return Path(spec.submodule_search_locations[0]) / "llama3" / "tokenizer.model"


def llama3_special_tokens() -> list[str]:
    """The 256 special tokens in the order of their ids, 128000 and up."""
    reserved = (f"<|reserved_special_token_{number}|>" for number in range(256 - len(_NAMED)))
    return [_NAMED.get(offset) or next(reserved) for offset in range(256)]


@functools.cache
def llama3_encoding() -> tiktoken.Encoding:
    """The same vocabulary in tiktoken, which shares no code with transformers: an independent reference."""
    import tiktoken
    import tiktoken.load

    with _no_copy_in_temporary_directory():
        ranks = tiktoken.load.load_tiktoken_bpe(str(llama3_vocabulary_file()))
    pattern = (
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
        r"|\s*[\r\n]+|\s+(?!\S)|\s+"
    )
    special = {token: ORDINARY + offset for offset, token in enumerate(llama3_special_tokens())}
    return tiktoken.Encoding("llama3", pat_str=pattern, mergeable_ranks=ranks, special_tokens=special)


def _no_copy_in_temporary_directory() -> contextlib.AbstractContextManager[object]:
    """Keep tiktoken from leaving a copy of the file in the temporary directory, and from reading an old one."""
    return mock.patch.dict(os.environ, TIKTOKEN_CACHE_DIR="")


def build_llama3_tokenizer() -> PreTrainedTokenizerFast:
    """Convert the vocabulary file; add special tokens, chat template and the BOS post-processor."""
    from tokenizers import processors
    from transformers import PreTrainedTokenizerFast
    from transformers.convert_slow_tokenizer import TikTokenConverter

    with _no_copy_in_temporary_directory():
        backend = TikTokenConverter(
            vocab_file=str(llama3_vocabulary_file()), extra_special_tokens=llama3_special_tokens()
        ).converted()
    bos = "<|begin_of_text|>"
    backend.post_processor = processors.Sequence(
        [
            processors.ByteLevel(trim_offsets=False),
            processors.TemplateProcessing(
                single=f"{bos} $A", pair=f"{bos} $A {bos}:1 $B:1", special_tokens=[(bos, BOS)]
            ),
        ]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        bos_token=bos,
        eos_token="<|eot_id|>",
        chat_template=CHAT_TEMPLATE,
        model_input_names=["input_ids", "attention_mask"],
    )
