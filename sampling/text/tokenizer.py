"""The tokenizer of a checkpoint, through transformers, with the token ids that tokenizer.json says."""

from __future__ import annotations

import hashlib
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sampling.core.errors import CheckpointError, shown
from sampling.model.config import LlamaConfig
from sampling.model.files import is_there
from sampling.model.json_object import JsonObject, refuse_code
from sampling.text.tokenizer_file import failures_as_errors, read_tokenizer_file

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

SETTINGS = "tokenizer_config.json"
OTHER_SETTINGS = ("special_tokens_map.json", "added_tokens.json")

# Texts that tokenizers read differently.
TELLING = {
    "digits": "0 7 42 123 1234567890 3.14159 1,000,000 2026-11-30 v1.2.3 x86_64 ²³ ٣٤",
    "spaces": " a  b   c\t\td\n\n  e \r\n f\u00a0g\u3000h\n \n",
    "line feeds": "a?\n\nb.\n \nc)\n\n\n\td\r\n\r\ne",
    "accents": "Élève naïve Ångström Ærøskøbing ñandú İı ẞß e\u0301 a\u0308",
    "contractions": "I'm you're we'd she'll they've DON'T o'clock it’s",  # noqa: RUF001
    "capitals": "McDonald iPhone HTTPServer snake_case",
    "signs": '!!! ??? ... --- $5 50% @a #b <b>&amp;</b> https://x.y/z?q=1&r=2 "q" `c`',
    "code": "def f(x):\n\treturn x**2  # {'k': [1, 2]}\n\n    if a != b && c <= d: print(\"\\n\");\n",
    "scripts": "Привет 你好，世界 こんにちは 안녕하세요 שלום مرحبا नमस्ते สวัสดี",  # noqa: RUF001
    "emoji": "👍🏽 👨‍👩‍👧 🇹🇷 ❤️ \u200b\ufeff",
    "compatibility characters": "ﬁ ① Ⅷ ｆｕｌｌ ℌ ™",  # noqa: RUF001
}


def load_tokenizer(directory: str | Path) -> PreTrainedTokenizerFast:
    """Load the tokenizer of a checkpoint, and check that its token ids are those of tokenizer.json.

    The file itself is loaded, whatever class tokenizer_config.json names: `AutoTokenizer` would make some classes anew from the
    vocabulary, with rules of their own for digits and spaces. All other settings are read as transformers reads them.

    Args:
        directory: A model directory in Hugging Face's format, config.json included.

    Returns:
        The tokenizer, with the chat template and special tokens that its files name.

    Raises:
        CheckpointError: A file is missing or malformed, names code to run, or makes transformers give other token ids than
            tokenizer.json says; the message names the file and what differs.
    """
    from transformers import PreTrainedTokenizerFast

    folder = Path(directory)
    expected = read_tokenizer_file(folder, LlamaConfig.read(folder).vocab_size)
    _check_settings(folder, expected)
    with failures_as_errors(f"{folder}: transformers cannot load the tokenizer"):
        tokenizer = PreTrainedTokenizerFast.from_pretrained(str(folder), local_files_only=True)
        _check_vocabulary(folder, tokenizer, expected)
        _check_token_ids(folder, tokenizer, expected)
    return tokenizer


def _check_settings(folder: Path, expected: Tokenizer) -> None:
    for path in (folder / "chat_template.jinja", *folder.glob("additional_chat_templates/*.jinja")):
        is_there(path)
    for name in OTHER_SETTINGS:
        if is_there(folder / name):
            JsonObject.read(folder / name)
    if is_there(folder / SETTINGS):
        settings = JsonObject.read(folder / SETTINGS)
        refuse_code(settings)
        _check_added_tokens(settings.section("added_tokens_decoder", {}), expected)


def _check_added_tokens(section: JsonObject, expected: Tokenizer) -> None:
    for index, token in section.members.items():
        content = token.get("content") if isinstance(token, dict) else None
        given = expected.token_to_id(content) if isinstance(content, str) else None
        if str(given) != index:
            words = (
                "absent: tokenizer.json has no such token"
                if given is None
                else f"under {given}, as in tokenizer.json"
            )
            raise section.error(index, content, words)


def _check_vocabulary(folder: Path, tokenizer: PreTrainedTokenizerFast, expected: Tokenizer) -> None:
    """Refuse special tokens that tokenizer.json lacks: transformers adds them under ids that the model does not know."""
    for token in sorted(tokenizer.get_vocab().items() - expected.get_vocab().items()):
        names = [name for name, special in tokenizer.special_tokens_map.items() if special == token[0]]
        raise CheckpointError(
            f"{folder / SETTINGS}: {names[0] if names else 'a special token'}: got {shown(token[0])}, "
            "must be a token that tokenizer.json has"
        )


def _check_token_ids(folder: Path, tokenizer: PreTrainedTokenizerFast, expected: Tokenizer) -> None:
    decoders = (expected.get_added_tokens_decoder(), tokenizer.added_tokens_decoder)
    added = dict.fromkeys(token.content for decoder in decoders for token in decoder.values())
    around = {f"the added token {shown(token)}": f"a {token} b{token}c\n{token}" for token in added}
    for kind, text in {**TELLING, **around, "no text": ""}.items():
        for special in (False, True):
            made: list[int] = tokenizer(text, add_special_tokens=special, verbose=False)["input_ids"]
            told = expected.encode(text, add_special_tokens=special).ids
            if made != told:
                place = next(i for i, (m, t) in enumerate(zip_longest(made, told)) if m != t)
                raise CheckpointError(
                    f"{folder}: transformers reads {kind} otherwise than tokenizer.json says: the token ids of {shown(text)} "
                    f"from place {place} on are {shown(made[place:])}, must be {shown(told[place:])}"
                )
    for part in ("normalizer", "pre_tokenizer", "model"):  # what the texts above may not tell
        if state_of(getattr(tokenizer.backend_tokenizer, part)) != state_of(getattr(expected, part)):
            raise CheckpointError(f"{folder}: transformers has another {part} than tokenizer.json")


def state_of(part: Any) -> bytes | None:
    """All that a part of a tokenizer consists of."""
    return None if part is None else part.__getstate__()


def tokenizer_digest(tokenizer: PreTrainedTokenizerFast) -> str:
    """Return a digest of all by which a tokenizer makes ids of text."""
    backend = tokenizer.backend_tokenizer
    states = (state_of(part) for part in (backend.model, backend.normalizer, backend.pre_tokenizer))
    added = sorted(backend.get_added_tokens_decoder().items(), key=lambda entry: entry[0])
    return hashlib.sha256(repr((*states, added)).encode()).hexdigest()
