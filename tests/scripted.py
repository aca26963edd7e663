"""A stand-in for a model that says what a test wants, over a tiny byte-level tokenizer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from sampling.chat.language_model import LanguageModel
from sampling.text import chat_prompt
from sampling.text.token_bytes import byte_alphabet

TEMPLATE = "<bos>{% for m in messages %}{{ m.role }}:{{ m.content }}<eos>{% endfor %}assistant:"


def encode_chat(
    tokenizer: PreTrainedTokenizerFast, messages: Sequence[Mapping[str, str]], **options: Any
) -> list[int]:
    """The ids alone of a prompt."""
    return chat_prompt(tokenizer, messages, **options).ids


def byte_tokenizer(*merged: str) -> PreTrainedTokenizerFast:
    """A tokenizer of the 256 bytes (id = byte), the merged strings (256, 257, ...), then <bos> and <eos>."""
    characters = {byte: character for character, byte in byte_alphabet().items()}
    spelled = ["".join(characters[byte] for byte in text.encode()) for text in merged]
    vocab = {characters[byte]: byte for byte in range(256)} | {
        text: 256 + i for i, text in enumerate(spelled)
    }
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<bos>", eos_token="<eos>")
    fast.chat_template = TEMPLATE
    return fast


@dataclass
class ScriptedModel:
    """Gives, at each step, the next row of a script to every row of the batch.

    Args:
        script: Logits for each position, float32 [T, V]; the last row repeats.
        context: Tokens of prompt and completion that fit.
        end_id: The token that ends a message.
    """

    script: torch.Tensor
    context: int
    end_id: int

    def __post_init__(self) -> None:
        self.config = SimpleNamespace(
            vocab_size=self.script.shape[1],
            max_position_embeddings=self.context,
            eos_token_ids=(self.end_id,),
        )
        self.embed_tokens = SimpleNamespace(weight=torch.zeros(1))
        self.step = 0

    def named_parameters(self) -> list[tuple[str, torch.Tensor]]:
        """Something to take a fingerprint of."""
        return [("script", self.script)]

    def parameters(self) -> list[torch.Tensor]:
        """The same without its name."""
        return [self.script]

    def held(self, parameter: torch.Tensor) -> tuple[torch.Tensor, None]:
        """All of it is here."""
        return parameter, None

    def from_all(self, item: object) -> list[object]:
        """There is one process."""
        return [item]

    def new_cache(self, rows: int, capacity: int) -> ScriptedModel:
        """The model is its own cache; a new one starts the script."""
        assert rows >= 1
        assert capacity <= self.context
        self.step, self.rows, self.longest = 0, rows, 0
        return self

    def limit_read_length(self, positions: int) -> None:
        """A script has no positions."""

    def free(self, rows: Sequence[int]) -> None:
        """Nothing is held."""

    def copy_prefix(self, rows: Sequence[int], other: ScriptedModel) -> None:
        """All rows are alike."""
        assert other is self

    def next_logits(self, token_ids: torch.Tensor, cache: object, counts: object = None) -> torch.Tensor:
        """The script's next row, for every row."""
        row = self.script[min(self.step, len(self.script) - 1)]
        self.step += 1
        return row.expand(len(token_ids), -1).clone()


def saying(pieces: Sequence[str | bytes], *, end: bool = True, context: int = 200) -> LanguageModel:
    """A language model that says these pieces, one token each, with probability next to 1.

    Args:
        pieces: Text of several characters is one merged token; bytes are single bytes, one token each.
        end: Whether the end token follows.
        context: The model's context.
    """
    merged = [piece for piece in dict.fromkeys(pieces) if isinstance(piece, str) and len(piece.encode()) > 1]
    tokenizer = byte_tokenizer(*merged)
    ids: list[int] = []
    for piece in pieces:
        if isinstance(piece, bytes):
            ids += piece
        else:
            ids.append(256 + merged.index(piece) if piece in merged else piece.encode()[0])
    if end:
        ids.append(tokenizer.eos_token_id)
    script = torch.full((len(ids), len(tokenizer)), -20.0)
    script[torch.arange(len(ids)), torch.tensor(ids)] = 20.0
    return scripted(script, tokenizer, context)


def scripted(script: torch.Tensor, tokenizer: PreTrainedTokenizerFast, context: int = 200) -> LanguageModel:
    """A language model with this script."""
    model = ScriptedModel(script, context, tokenizer.eos_token_id)

    return LanguageModel(model, tokenizer, "scripted")  # type: ignore[arg-type]
