"""Text that is token ids: one token for each byte, and one for each of many characters.

A token of its own for a character needs the tokens of its first bytes, too: byte-level BPE joins two at a time.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Any, NamedTuple

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

from sampling.text.token_bytes import byte_alphabet

SHOWN = {byte: shown for shown, byte in byte_alphabet().items()}
BYTES = sorted(SHOWN.values())  # by id
BEGIN, END = len(BYTES), len(BYTES) + 1
SPECIAL = ("<s>", "</s>")
# Ideographs, syllables of Hangul, rarer ideographs, and a plane that is nobody's: none of them is white space, combines, or
# changes when text is normalised.
CHARACTERS = (
    range(0x4E00, 0x9FA6),
    range(0xAC00, 0xD7A4),
    range(0x20000, 0x2A6D7),
    range(0xF0000, 0xFFFFE),
)
TEMPLATE = "{{ bos_token }}{% for message in messages %}{{ message['content'] }}{% endfor %}"


def byte_id(value: int) -> int:
    """Return the id of a byte."""
    return BYTES.index(SHOWN[value])


class Alphabet(NamedTuple):
    """The vocabulary of a byte tokenizer.

    Args:
        pieces: By id the token as the byte-level alphabet writes it; special tokens by their names.
        merges: The pairs that join, as the same.
        texts: By id the character that a token is.
    """

    pieces: list[str]
    merges: list[tuple[str, str]]
    texts: dict[int, str]


def alphabet(width: int) -> Alphabet:
    """Return the vocabulary with as many characters as fit into so many ids."""
    starts, characters = fitting(width)
    pieces = [*BYTES, *SPECIAL, *map(written, starts), *map(written, characters)]
    joined = [(written(whole[:-1]), written(whole[-1:])) for whole in (*starts, *characters)]
    first = len(pieces) - len(characters)
    return Alphabet(pieces, joined, {first + n: whole.decode() for n, whole in enumerate(characters)})


def fitting(width: int) -> tuple[list[bytes], list[bytes]]:
    """Return as many characters as there is room for, in UTF-8, and before them what they begin with."""
    room = width - len(BYTES) - len(SPECIAL)
    starts: dict[bytes, None] = {}
    characters: list[bytes] = []
    for character in map(chr, chain(*CHARACTERS)):
        whole = character.encode()
        new = [start for start in beginnings(whole) if start not in starts]
        if len(starts) + len(new) + len(characters) + 1 > room:
            break
        starts |= dict.fromkeys(new)
        characters.append(whole)
    return sorted(starts, key=len), characters


def beginnings(whole: bytes) -> Iterator[bytes]:
    """Yield what a character begins with: two bytes and more."""
    return (whole[:count] for count in range(2, len(whole)))


def written(raw: bytes) -> str:
    """Return bytes as the byte-level alphabet writes them."""
    return "".join(SHOWN[byte] for byte in raw)


def tokenizer_of(found: Alphabet) -> Tokenizer:
    """Return the tokenizer."""
    vocabulary = {piece: token for token, piece in enumerate(found.pieces)}
    made = Tokenizer(models.BPE(vocab=vocabulary, merges=found.merges))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    made.decoder = decoders.ByteLevel()
    made.add_special_tokens([AddedToken(name, special=True) for name in SPECIAL])
    return made


def tokenizer_config(longest: int) -> dict[str, Any]:
    """Return what tokenizer_config.json says."""
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": SPECIAL[0],
        "eos_token": SPECIAL[1],
        "pad_token": SPECIAL[1],
        "model_max_length": longest,
        "chat_template": TEMPLATE,
    }
