"""A tokenizer that the user names: of its tokens a probe uses those that are one letter, whatever stands beside it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from sampling.core.errors import CheckpointError
from sampling.probe.alphabet import TEMPLATE, Alphabet

NEIGHBOURS = 32  # tokens before it in the vocabulary that a token must not join with


def open_tokenizer(folder: str | Path) -> Any:
    """Return a tokenizer whose chat template adds nothing.

    Raises:
        CheckpointError: There is none that transformers can read.
    """
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{folder}: no tokenizer that transformers reads ({error})") from error
    tokenizer.chat_template = TEMPLATE if tokenizer.bos_token else TEMPLATE.replace("{{ bos_token }}", "")
    return tokenizer


def vocabulary_of(tokenizer: Any) -> Alphabet:
    """Return the tokens of a tokenizer; merges only where it is a byte-level BPE, as GGUF wants it."""
    vocabulary: dict[str, int] = tokenizer.get_vocab()
    pieces = [f"<unused {token}>" for token in range(1 + max(vocabulary.values()))]
    for piece, token in vocabulary.items():
        pieces[token] = piece
    reader: dict[str, Any] = json.loads(tokenizer.backend_tokenizer.to_str())
    byte_level = "ByteLevel" in str(reader["pre_tokenizer"]) and reader["model"]["type"] == "BPE"
    pairs = [pair.split(" ") if isinstance(pair, str) else pair for pair in reader["model"].get("merges", ())]
    merges = [(first, second) for first, second in pairs] if byte_level else []
    return Alphabet(pieces, merges, apart(tokenizer, letters(tokenizer, range(len(pieces)))))


def letters(tokenizer: Any, ids: range) -> dict[int, str]:
    """Return the tokens that are one letter, and that this letter is."""
    found: dict[int, str] = {}
    texts = tokenizer.batch_decode([[token, token] for token in ids])
    alone = {token: text[0] for token, text in zip(ids, texts, strict=True) if is_letter(text)}
    read = tokenizer([*alone.values()], add_special_tokens=False)["input_ids"] if alone else []
    for (token, text), told in zip(alone.items(), read, strict=True):
        if list(told) == [token]:
            found[token] = text
    return found


def is_letter(text: str) -> bool:
    """Whether a text is one letter, twice."""
    return len(text) == 2 and text[0] == text[1] and text[0].isalpha() and text.isprintable()


def apart(tokenizer: Any, found: dict[int, str]) -> dict[int, str]:
    """Leave out tokens that join with one of those before them."""
    kept: dict[int, str] = {}
    for token, text in found.items():
        near = [*kept.items()][-NEIGHBOURS:]
        pairs = [
            pair
            for other, told in near
            for pair in (((other, token), told + text), ((token, other), text + told))
        ]
        read = tokenizer([text for _, text in pairs], add_special_tokens=False)["input_ids"] if pairs else []
        if all(tuple(ids) == wanted for (wanted, _), ids in zip(pairs, read, strict=True)):
            kept[token] = text
    return kept
