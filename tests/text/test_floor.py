"""The fewest tokens of a text: never more than the tokenizer makes of it, and close to that where tokens are long."""

from __future__ import annotations

import random

import pytest
from llama3_tokenizer import build_llama3_tokenizer
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from sampling import load
from sampling.core.errors import InvalidRequest
from sampling.text import PromptLimit, TokenFloor, Vocabulary
from sampling.text.token_bytes import byte_alphabet

ALPHABET = {byte: character for character, byte in byte_alphabet().items()}
MERGED = ["ab", "abc", "abcd", "é", "中", "  ", "    ", "0" * 3, "\n\n"]


def spelled(text: str) -> str:
    """A text in the alphabet of byte-level tokenizers."""
    return "".join(ALPHABET[byte] for byte in text.encode())


def made(normalizer=None, pre_tokenizer=None, added=(), missing="", model=None) -> PreTrainedTokenizerFast:
    """A byte-level tokenizer with a few merges, and what a test wants."""
    tokens = [c for c in ALPHABET.values() if c not in spelled(missing)]
    merges: list[tuple[str, str]] = []
    for word in map(spelled, MERGED):
        for size in range(2, len(word) + 1):
            if word[:size] not in tokens:
                tokens.append(word[:size])
                merges.append((word[: size - 1], word[size - 1]))
    backend = Tokenizer(model or models.BPE({token: index for index, token in enumerate(tokens)}, merges))
    if normalizer is not None:
        backend.normalizer = normalizer
    backend.pre_tokenizer = pre_tokenizer or pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    backend.add_tokens([*added])
    return PreTrainedTokenizerFast(tokenizer_object=backend)


def by_level(*first):
    return pre_tokenizers.Sequence(
        [*first, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )


LONG = AddedToken("<|a rather long token|>", special=True, normalized=False)
PLAIN = AddedToken("<tool_call>", special=False, normalized=False)
GREEDY = AddedToken("<mask>", special=True, lstrip=True, rstrip=True, normalized=False)
COMPOSED = AddedToken("e\u0301x", special=False, normalized=True)

TOKENIZERS = {
    "llama-3": build_llama3_tokenizer,
    "toy": lambda: load(None).tokenizer,
    "plain": made,
    "prefix-space": lambda: made(pre_tokenizer=pre_tokenizers.ByteLevel(add_prefix_space=True)),
    "digits": lambda: made(pre_tokenizer=by_level(pre_tokenizers.Digits(individual_digits=True))),
    "split": lambda: made(pre_tokenizer=by_level(pre_tokenizers.Split(Regex(r"\s+"), "merged_with_next"))),
    "removing": lambda: made(pre_tokenizer=by_level(pre_tokenizers.Split(Regex(r"\s+"), "removed"))),
    "removing-punctuation": lambda: made(pre_tokenizer=by_level(pre_tokenizers.Punctuation("removed"))),
    "white-space": lambda: made(pre_tokenizer=by_level(pre_tokenizers.WhitespaceSplit())),
    "nfc": lambda: made(normalizers.NFC(), added=[LONG, PLAIN]),
    "nfc-added": lambda: made(normalizers.NFC(), added=[COMPOSED]),
    "nfd": lambda: made(normalizers.NFD()),
    "nfkc": lambda: made(normalizers.Sequence([normalizers.NFKC()])),
    "lowercase": lambda: made(normalizers.Lowercase()),
    "strip": lambda: made(normalizers.Strip()),
    "replace": lambda: made(normalizers.Replace("abcd", "a")),
    "byte-level-normalizer": lambda: made(normalizers.ByteLevel()),
    "added": lambda: made(added=[LONG, PLAIN]),
    "greedy": lambda: made(added=[GREEDY]),
    "without-e": lambda: made(missing="e"),
}

PIECES = [
    *("a", "b", "abc", "abcd", "e", "x", "0", "000", " ", "    ", "\n\n", "\u00a0", "\u3000", "<", ">"),
    *(
        "é",
        "e\u0301",
        "\u0301",
        "\u0338",
        "\u212b",
        "\ufb01",
        "中",
        "ｱ",
        "\U0001f600",
        "\u1100\u1161\u11a8",
        "İ",
    ),
    *("<|a rather long token|>", "<tool_call>", "<mask>", "<|eot_id|>", "e\u0301x", "éx"),
]


def texts() -> list[str]:
    """Texts of the pieces, of any order and of one of them alone, and texts of tokens."""
    chance = random.Random(0)
    mixed = ["".join(chance.choices(PIECES, k=chance.randrange(1, 60))) for _ in range(300)]
    return [*(piece * 40 for piece in PIECES), *mixed, " <mask>".join("    " * 20 for _ in range(3)), ""]


@pytest.mark.parametrize("name", TOKENIZERS)
def test_it_is_never_more_than_the_tokenizer_makes(name):
    tokenizer = TOKENIZERS[name]()
    floor = TokenFloor(tokenizer, Vocabulary(tokenizer, ()))
    backend = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    for plain in (False, True):
        backend.encode_special_tokens = plain
        for text in texts():
            assert floor.of(text) <= len(backend.encode(text, add_special_tokens=False).ids), text


@pytest.mark.parametrize("name", ["llama-3", "toy", "plain", "split"])
def test_it_is_as_many_as_the_longest_tokens_of_a_byte_would_be(name):
    tokenizer = TOKENIZERS[name]()
    vocabulary = Vocabulary(tokenizer, ())
    floor = TokenFloor(tokenizer, vocabulary)
    tokens = {vocabulary.bytes_of(index) for index in range(len(vocabulary))} - {None}
    longest = {byte: max(len(token) for token in tokens if byte in token) for byte in b"abc019 "}
    for byte, length in longest.items():
        text = chr(byte) * 1000
        assert floor.of(text) >= -(-1000 // length)
    assert floor.of("a" * 1_000_000) > 8192


def test_words_count_one_each(llama3_tokenizer):
    """No token of Llama-3 has a letter and then a space."""
    words = "The library was tried with files, clients and engines as people have them. Most of it held: see below.\n"
    floor = TokenFloor(llama3_tokenizer, Vocabulary(llama3_tokenizer, ()))
    exact = len(llama3_tokenizer(words * 1000).input_ids)
    assert 0.8 * exact < floor.of(words * 1000) <= exact


def test_a_text_of_the_longest_tokens_has_as_many():
    tokenizer = made(added=[])
    floor = TokenFloor(tokenizer, Vocabulary(tokenizer, ()))
    assert floor.of("abcd" * 500) == 500 == len(tokenizer("abcd" * 500).input_ids)
    assert floor.of("000" * 7) == 7
    assert floor.of("é" * 9) == 9


def test_added_tokens_count_one_each():
    tokenizer = made(added=[LONG, PLAIN])
    floor = TokenFloor(tokenizer, Vocabulary(tokenizer, ()))
    assert floor.of(LONG.content * 50 + "abcd" * 50 + PLAIN.content * 50) == 150
    assert floor.of(LONG.content[1:] * 50) > 500


def test_a_prompt_is_refused_only_if_nothing_could_make_it_fit():
    tokenizer = made()
    limit = PromptLimit(TokenFloor(tokenizer, Vocabulary(tokenizer, ())), context=9000)
    limit.check_text("abcd" * 8999)
    assert limit.room(8999) == 1
    words = "tokens', must be shorter: the context of 9000 tokens must leave room for at least one more"
    with pytest.raises(InvalidRequest, match=f"messages: got 'a prompt of at least 9000 {words}"):
        limit.check_text("abcd" * 9000)
    with pytest.raises(InvalidRequest, match=f"messages: got 'a prompt of 9000 {words}"):
        limit.room(9000)


@pytest.mark.parametrize("name", ["removing", "white-space", "lowercase", "replace", "byte-level-normalizer"])
def test_with_a_tokenizer_that_is_not_known_to_keep_everything_nothing_is_said(name):
    tokenizer = TOKENIZERS[name]()
    assert TokenFloor(tokenizer, Vocabulary(tokenizer, ())).of("abcd" * 1000) == 0
