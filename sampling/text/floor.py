"""The fewest tokens that a text can have, known without tokenising it."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from sampling.text.token_bytes import steps_of

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

    from sampling.text.vocabulary import Vocabulary

ROUNDING = 1e-9  # far more than what summing 256 numbers can lose
KEEPING = ("ByteLevel", "Digits", "Punctuation", "Split")
"""Pre-tokenizers that give every byte of a text to some token, unless they are told to remove what they split at."""

Form = Literal["NFC", "NFD", "NFKC", "NFKD"]
FORMS = frozenset(get_args(Form))


class TokenFloor:
    """Bounds the number of a text's tokens from below, by the larger of two counts.

    A byte counts 1 / (length of the longest token that holds it), so that the bytes of no token count more than 1 together,
    and those of a text no more than it has tokens. And where two bytes follow each other that do so in no token, such as a
    letter and a space, a token ends between them. Added tokens, which may be long, are counted where they stand. With a
    tokenizer that could change a text, or drop parts of it, in ways not known here the bound is 0.

    Args:
        tokenizer: A fast, byte-level transformers tokenizer.
        vocabulary: Its tokens.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerFast, vocabulary: Vocabulary) -> None:
        from tokenizers.models import BPE

        backend, added = tokenizer.backend_tokenizer, tokenizer.added_tokens_decoder
        forms = normal_forms(steps_of(backend.normalizer))
        known = isinstance(backend.model, BPE) and keeps_everything(steps_of(backend.pre_tokenizer))
        self._forms = forms or ()
        self._weights, self._apart = np.zeros(256), np.zeros(2**16, dtype=bool)
        if known and forms is not None:
            ordinary = [
                vocabulary.bytes_of(index) or b"" for index in range(len(vocabulary)) if index not in added
            ]
            greedy = any(token.lstrip or token.rstrip for token in added.values())
            self._weights = byte_weights(ordinary, white_space_taken=greedy)
            self._apart = pairs_apart(ordinary, self._weights > 0)
        spelled = {text for token in added.values() for text in spellings(token.content, self._forms)}
        self._added = {text: self._counts(text) for text in spelled}

    def of(self, text: str) -> int:
        """Return the fewest tokens that a text can have; no lone surrogates may be in it."""
        if not self._unchanged(text):
            return 0
        weight, ends = self._counts(text)
        for token, (its_weight, its_ends) in self._added.items():
            if its_weight > 1 or its_ends:
                times = text.count(token)
                weight, ends = weight - times * max(its_weight - 1, 0), ends - times * its_ends
        return max(math.ceil(weight * (1 - ROUNDING)), ends)

    def _counts(self, text: str) -> tuple[float, int]:
        """Return what the bytes of a text count together, and how many of its tokens end before the last one, at least."""
        raw = np.frombuffer(text.encode(), np.uint8)
        weight = float(np.bincount(raw, minlength=256) @ self._weights)
        return weight, int(np.count_nonzero(self._apart[raw[:-1].astype(np.uint16) << 8 | raw[1:]]))

    def _unchanged(self, text: str) -> bool:
        """Whether the tokenizer is known to take a text and all of its parts as they are.

        Every part of a text in a normal form is in it. What one version of Unicode says of its characters, later ones do.
        """
        if not self._forms or text.isascii():
            return True
        return all(unicodedata.is_normalized(form, text) for form in self._forms) and all(
            unicodedata.category(character) != "Cn" for character in set(text)
        )


def byte_weights(
    tokens: Sequence[bytes], *, white_space_taken: bool
) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return what each byte counts in a vocabulary without added tokens, one of which may take any amount of white space.

    Returns:
        float64 [256]; 0 for bytes that may be lost.
    """
    sizes = np.array([len(token) for token in tokens])
    found, size = np.frombuffer(b"".join(tokens), np.uint8), np.repeat(sizes, sizes)
    longest = np.zeros(256)
    np.maximum.at(longest, found, size)
    # a model begins with single bytes, and loses those that are no tokens
    longest[np.setdiff1d(np.arange(256), found[size == 1])] = np.inf
    if white_space_taken:
        spaces = (character for character in map(chr, range(0x10000)) if character.isspace())
        longest[[*"".join(spaces).encode()]] = np.inf
    return 1 / longest


def pairs_apart(tokens: Sequence[bytes], kept: np.ndarray[Any, Any]) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Return which bytes follow each other in no token of a vocabulary without added ones; `kept`, bool [256], are never lost.

    Returns:
        bool [65536], by 256 times the first byte and the second; False where one of them may be lost.
    """
    found = np.frombuffer(b"".join(tokens), np.uint8)
    whole = np.ones(len(found), dtype=bool)
    whole[np.cumsum([len(token) for token in tokens if token]) - 1] = False  # the last byte of each
    first = np.flatnonzero(whole)
    apart = kept[:, None] & kept
    apart[found[first], found[first + 1]] = False
    return apart.reshape(-1)


def spellings(content: str, forms: Sequence[Form]) -> Iterator[str]:
    """Yield an added token as it is written, and as it may be looked for."""
    yield content
    for form in forms:
        content = unicodedata.normalize(form, content)
        yield content


def normal_forms(normalizer: Sequence[Mapping[str, Any]]) -> tuple[Form, ...] | None:
    """Return the normal forms of Unicode that a tokenizer's steps bring a text into; None where they do something else."""
    forms = [step["type"] for step in normalizer]
    return tuple(forms) if {*forms} <= FORMS else None


def keeps_everything(pre_tokenizer: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a tokenizer's model gets all of a text, as the characters that stand for its bytes."""
    kept = (step["type"] in KEEPING and step.get("behavior") != "Removed" for step in pre_tokenizer)
    return bool(pre_tokenizer) and pre_tokenizer[-1]["type"] == "ByteLevel" and all(kept)
