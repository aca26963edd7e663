"""tokenizer.json by itself: what says which token ids a text has."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sampling.core.errors import CheckpointError
from sampling.model.json_object import JsonObject

if TYPE_CHECKING:
    from tokenizers import Tokenizer

NAME = "tokenizer.json"


@contextmanager
def failures_as_errors(what: str) -> Generator[None]:
    """Put whatever other libraries make of a broken file into one error, which says what failed.

    A panic of the tokenizers library, which is in Rust, is no Exception.

    Raises:
        CheckpointError: Something did.
    """
    try:
        yield
    except (CheckpointError, KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:
        raise CheckpointError(f"{what} ({error!r})") from error


def read_tokenizer_file(folder: Path, vocab_size: int) -> Tokenizer:
    """Read the tokenizer.json in the folder of a checkpoint whose model has V ids.

    Returns:
        The tokenizer as the file says it, but that it neither cuts nor pads a text: a prompt is taken whole.

    Raises:
        CheckpointError: The file is missing or no tokenizer, names a key twice, draws lots (dropout), or has an id that is not
            one of the model's, not one token's alone, or not the one that the tokenizers library gives the token.
    """
    from tokenizers import Tokenizer

    path = folder / NAME
    file = JsonObject.read(path)
    with failures_as_errors(f"{path}: cannot be read as a tokenizer"):
        tokenizer = Tokenizer.from_file(str(path))
        tokenizer.encode("")  # a special token that is missing shows only here
    if getattr(tokenizer.model, "dropout", None):
        model = file.section("model")
        raise model.error("dropout", model.get("dropout"), "absent: it draws lots")
    _check_ids(path, tokenizer.get_vocab(), vocab_size)
    _check_added_tokens(file, tokenizer)
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def _check_added_tokens(file: JsonObject, tokenizer: Tokenizer) -> None:
    """Refuse added tokens that the library numbers itself, whatever their `id` says."""
    added: list[dict[str, Any]] = file.get("added_tokens", [])
    for place, token in enumerate(added):
        given = tokenizer.token_to_id(token["content"])
        if given != token["id"]:
            allowed = f"{given}, which the tokenizers library gives {token['content']!r}"
            raise file.error(f"added_tokens[{place}].id", token["id"], allowed)


def _check_ids(path: Path, vocabulary: dict[str, int], vocab_size: int) -> None:
    token, highest = max(vocabulary.items(), key=lambda item: item[1], default=("", -1))
    if highest >= vocab_size:
        raise CheckpointError(
            f"{path}: the id of {token!r} is {highest}, must be at most {vocab_size - 1}: vocab_size in config.json"
            f" is {vocab_size}"
        )
    [(shared, times)] = Counter(vocabulary.values()).most_common(1) or [(0, 1)]
    if times > 1:
        names = sorted(token for token, index in vocabulary.items() if index == shared)
        raise CheckpointError(
            f"{path}: the id {shared} is that of {times} tokens, {names[0]!r} and {names[1]!r}"
        )
