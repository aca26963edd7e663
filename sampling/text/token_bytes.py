"""The bytes of every token, from the vocabulary and never from decoded text."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from sampling.core.errors import CheckpointError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


def token_bytes(tokenizer: PreTrainedTokenizerFast) -> list[bytes | None]:
    """Give the bytes of every token id of a byte-level BPE tokenizer.

    A byte-level vocabulary writes each byte as one printable character; this reads it back. Joined over a
    sequence of tokens the bytes are exactly the sequence's text in UTF-8, also where a single token holds
    only a part of a character.

    Args:
        tokenizer: A fast transformers tokenizer.

    Returns:
        One entry per id, `len(tokenizer)` of them when the ids have no gaps: the bytes of an ordinary token,
        the UTF-8 text of an added token that is not special, None for a special token (it has no text) and
        for an id that the tokenizer leaves out.

    Raises:
        CheckpointError: The tokenizer is not byte-level, or a token is not in the byte-level alphabet.

    Source: the alphabet of GPT-2 (Radford et al., 2019), which Llama-3's tokenizer.json uses too.
    """
    _require_byte_level(tokenizer)
    added = tokenizer.added_tokens_decoder
    vocabulary = tokenizer.get_vocab()
    table: list[bytes | None] = [None] * (1 + max(vocabulary.values()))
    for token, index in vocabulary.items():
        if index not in added:
            table[index] = _bytes_of(token, index)
        elif not added[index].special:
            table[index] = added[index].content.encode()
    return table


def byte_alphabet() -> dict[str, int]:
    """Map each of the 256 characters of the byte-level alphabet to its byte.

    Printable Latin-1 characters stand for themselves; the other bytes, in order, are U+0100 and up.

    Example:
        >>> from sampling.text.token_bytes import byte_alphabet
        >>> [byte_alphabet()[character] for character in "aĠĊ"]
        [97, 32, 10]
    """
    visible = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    hidden = [byte for byte in range(256) if byte not in visible]
    return {chr(byte): byte for byte in visible} | {chr(256 + n): byte for n, byte in enumerate(hidden)}


_ALPHABET = byte_alphabet()


def _bytes_of(token: str, index: int) -> bytes:
    try:
        return bytes(map(_ALPHABET.__getitem__, token))
    except KeyError as error:
        raise CheckpointError(
            f"tokenizer: token {index} is {token!r}, and {error.args[0]!r} is not in the byte-level alphabet"
        ) from None


def _require_byte_level(tokenizer: PreTrainedTokenizerFast) -> None:
    backend = getattr(tokenizer, "backend_tokenizer", None)
    found = [step["type"] for step in steps_of(backend and backend.decoder)]
    if found != ["ByteLevel"]:
        raise CheckpointError(
            f"tokenizer: {type(tokenizer).__name__} decodes with {' + '.join(found) or 'nothing'}, "
            "must be byte-level BPE (decoder ByteLevel, as in Llama-3)"
        )


def steps_of(part: Any) -> list[dict[str, Any]]:
    """Return the single steps of a part of a tokenizer, as `tokenizer.json` has them; none of a part that is None."""
    return [] if part is None else [*_single(json.loads(part.__getstate__()))]


def _single(step: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if step["type"] != "Sequence":
        yield step
        return
    for steps in step.values():
        for one in steps if isinstance(steps, list) else ():
            yield from _single(one)
