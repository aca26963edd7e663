"""The vocabulary as text and bytes."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from sampling.text.token_bytes import token_bytes

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


class Vocabulary:
    """What each token id stands for.

    Args:
        tokenizer: A fast, byte-level transformers tokenizer.
        end_ids: The tokens that end a message.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerFast, end_ids: Collection[int]) -> None:
        self._bytes = token_bytes(tokenizer)
        self._special = {index: token.content for index, token in tokenizer.added_tokens_decoder.items()}
        self.end_ids = frozenset(end_ids)

    def __len__(self) -> int:
        """How many ids the tokenizer has."""
        return len(self._bytes)

    def bytes_of(self, token_id: int) -> bytes | None:
        """Return the token's bytes; None for special tokens and for ids past the tokenizer."""
        return self._bytes[token_id] if token_id < len(self._bytes) else None

    def text_of(self, token_id: int) -> str:
        """Return the token decoded by itself: U+FFFD where its bytes are no UTF-8, the name of a special token."""
        raw = self.bytes_of(token_id)
        return self._special.get(token_id, "") if raw is None else raw.decode("utf-8", errors="replace")
