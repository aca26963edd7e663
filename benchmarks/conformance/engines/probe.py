"""A Llama checkpoint whose logits are chosen numbers: python -m benchmarks.conformance.engines.probe FOLDER.

Attention and feed-forward layers add nothing (their last matrices are zero), so the embedding of the last token goes straight
to the head. The embedding is 1024 times the unit vector of the token's state, the last norm's weight is 1/8, the square root of
1/64: what reaches the head is the unit vector, exactly. Column s of the head holds the logits in state s. So every engine that
loads the checkpoint samples from known logits, whatever the prompt's length, the batch and the kernels; they are multiples of
1/8 below 32, which bfloat16 and float16 hold as well.

A token is a byte, and the chat template adds nothing but the token that begins a text: the text is the ids, and the last
message's last character chooses the state.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from torch import Tensor

ALPHABET = sorted(pre_tokenizers.ByteLevel.alphabet())
BEGIN, END = 256, 257
WIDTH, HIDDEN, LAYERS, HEADS, FEED_FORWARD = 320, 64, 2, 2, 128
SCALE = 1024.0
OTHERS, CERTAIN, SECOND = -30.0, 16.0, -8.0

Row = Mapping[int, float]
"""Logits by id; what is not named has OTHERS."""


def byte(value: int) -> int:
    """The id of a byte: the byte-level alphabet shows those that are not printable ASCII as other characters."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    shown = (
        chr(value)
        if value in printable
        else chr(256 + [b for b in range(256) if b not in printable].index(value))
    )
    return ALPHABET.index(shown)


def letter(character: str) -> int:
    """The id of an ASCII character."""
    return byte(ord(character))


WORD = "blacksmith"  # no letter comes twice: each has a state of its own
LETTERS: Row = {
    **{letter(c): 2.0 - 0.375 * place for place, c in enumerate("ABCDEFGHIJ")},
    **{letter(c): -1.75 for c in "KLM"},  # equal ones, as rounded weights have them
    **{letter(c): -2.0 - 0.25 * place for place, c in enumerate("NOPQRS")},
    byte(0xC3): -1.0,  # the first half of a character
    END: -3.5,
}
STATES: dict[int, Row] = {
    letter("?"): {letter(WORD[0]): CERTAIN, letter("{"): SECOND},
    **{letter(c): {letter(after): CERTAIN} for c, after in pairwise(WORD)},
    letter(WORD[-1]): {END: CERTAIN},
    letter("{"): {letter("}"): CERTAIN},
    letter("}"): {END: CERTAIN},
    byte(0xC3): {byte(0xA9): 1.0, byte(0xBC): 0.0},
}
"""Logits behind a token; behind all others, those of LETTERS."""


def logits_behind(token: int) -> Tensor:
    """The logits behind a token, float32 [WIDTH]."""
    row = torch.full((WIDTH,), OTHERS)
    for other, value in STATES.get(token, LETTERS).items():
        row[other] = value
    return row


def weights() -> dict[str, Tensor]:
    """All tensors of the checkpoint."""
    state = {token: place for place, token in enumerate(STATES, start=1)}
    embedding, head = torch.zeros(WIDTH, HIDDEN), torch.zeros(WIDTH, HIDDEN)
    for token in range(WIDTH):
        embedding[token, state.get(token, 0)] = SCALE
    head[:, 0] = logits_behind(letter("."))
    for token, place in state.items():
        head[:, place] = logits_behind(token)
    made = {
        "model.embed_tokens.weight": embedding,
        "lm_head.weight": head,
        "model.norm.weight": torch.full((HIDDEN,), HIDDEN**-0.5),
    }
    for layer in range(LAYERS):
        at = f"model.layers.{layer}"
        made |= {f"{at}.self_attn.{name}_proj.weight": torch.zeros(HIDDEN, HIDDEN) for name in "qkvo"}
        made |= {f"{at}.mlp.{name}_proj.weight": torch.zeros(FEED_FORWARD, HIDDEN) for name in ("gate", "up")}
        made[f"{at}.mlp.down_proj.weight"] = torch.zeros(HIDDEN, FEED_FORWARD)
        made |= {f"{at}.{name}_layernorm.weight": torch.ones(HIDDEN) for name in ("input", "post_attention")}
    return made


def tokenizer() -> Tokenizer:
    """One token for each byte, and two special ones."""
    made = Tokenizer(models.BPE(vocab={c: i for i, c in enumerate(ALPHABET)}, merges=[]))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    made.add_special_tokens([AddedToken(name, special=True) for name in ("<s>", "</s>")])
    return made


def write(folder: Path, defaults: Mapping[str, Any] | None = None) -> Path:
    """Write the checkpoint.

    Args:
        folder: A new folder.
        defaults: What generation_config.json says besides the special tokens.
    """
    special = {"bos_token_id": BEGIN, "eos_token_id": END, "pad_token_id": END}
    shape = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": WIDTH,
        "hidden_size": HIDDEN,
        "intermediate_size": FEED_FORWARD,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "num_key_value_heads": HEADS,
        "head_dim": HIDDEN // HEADS,
        "max_position_embeddings": 512,
        "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0,
        "hidden_act": "silu",
        "attention_bias": False,
        "mlp_bias": False,
        "tie_word_embeddings": False,
        "dtype": "float32",
    }
    names = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": "<s>",
        "eos_token": "</s>",
        "pad_token": "</s>",
        "model_max_length": 512,
        "chat_template": "{{ bos_token }}{% for message in messages %}{{ message['content'] }}{% endfor %}",
    }
    folder.mkdir(parents=True)
    for name, content in (
        ("config", {**shape, **special}),
        ("tokenizer_config", names),
        ("generation_config", {**special, **(defaults or {})}),
    ):
        (folder / f"{name}.json").write_text(json.dumps(content, indent=1) + "\n")
    tokenizer().save(str(folder / "tokenizer.json"))
    save_file(weights(), folder / "model.safetensors", metadata={"format": "pt"})
    return folder


if __name__ == "__main__":
    write(Path(sys.argv[1]))
