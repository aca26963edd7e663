"""Tokenising a text, other threads running meanwhile."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tokenizers import Encoding, Tokenizer


def ids_of(backend: Tokenizer, text: str) -> list[int]:
    """Tokenise a text as it is, without the tokens that go around it.

    `Tokenizer.encode` stops every other thread for as long as it takes, seconds for a megabyte; for a batch it does not.
    """
    return backend.encode_batch_fast([text], add_special_tokens=False)[0].ids


def encoding_of(backend: Tokenizer, text: str) -> Encoding:
    """Tokenise a text as `ids_of` does, places of the tokens included, which takes longer."""
    return backend.encode_batch([text], add_special_tokens=False)[0]
