"""Token bytes, and the Llama-3 tokenizer of the tests, against tiktoken on the same vocabulary file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from llama3_tokenizer import ORDINARY, llama3_encoding
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from sampling.core.errors import CheckpointError
from sampling.text.token_bytes import byte_alphabet, token_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence

    import tiktoken

TEXTS = [
    "",
    "What is the capital of Turkey?",
    "I'll don't WE'VE  two  spaces\n\n\n three\r\n\ttabs   ",
    "1234567890 3.14159 x=2**10",
    "Muğla, İzmir, Český Krumlov, 北京, Αθήνα, नई दिल्ली, القاهرة",
    "🙂 👩‍👩‍👧‍👦 🇹🇷 e\u0301 \u00a0\u2003\u200b",
    "def f(x):\n    return {'a': [x, None]}  # comment\n",
]


def is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


@pytest.fixture(scope="module")
def reference() -> tiktoken.Encoding:
    return llama3_encoding()


@pytest.fixture(scope="module")
def table(llama3_tokenizer: PreTrainedTokenizerFast) -> list[bytes | None]:
    return token_bytes(llama3_tokenizer)


def test_every_ordinary_token_has_the_bytes_of_the_vocabulary_file(
    table: Sequence[bytes | None], reference: tiktoken.Encoding
) -> None:
    assert table[:ORDINARY] == [reference.decode_single_token_bytes(token) for token in range(ORDINARY)]


def test_every_special_token_has_none(table: Sequence[bytes | None]) -> None:
    assert table[ORDINARY:] == [None] * 256


def test_1352_ordinary_tokens_are_not_text_by_themselves(table: Sequence[bytes | None]) -> None:
    assert sum(not is_utf8(data) for data in table if data is not None) == 1352


def test_the_llama3_tokenizer_is_the_released_one(llama3_tokenizer: PreTrainedTokenizerFast) -> None:
    released = {
        "<|begin_of_text|>": 128000,
        "<|end_of_text|>": 128001,
        "<|reserved_special_token_0|>": 128002,
        "<|reserved_special_token_1|>": 128003,
        "<|finetune_right_pad_id|>": 128004,
        "<|reserved_special_token_2|>": 128005,
        "<|start_header_id|>": 128006,
        "<|end_header_id|>": 128007,
        "<|eom_id|>": 128008,
        "<|eot_id|>": 128009,
        "<|python_tag|>": 128010,
        "<|reserved_special_token_3|>": 128011,
        "<|reserved_special_token_247|>": 128255,
    }
    assert len(llama3_tokenizer) == 128256
    assert llama3_tokenizer.convert_tokens_to_ids(list(released)) == list(released.values())
    assert sorted(llama3_tokenizer.added_tokens_decoder) == list(range(128000, 128256))
    assert all(token.special for token in llama3_tokenizer.added_tokens_decoder.values())


@pytest.mark.parametrize("text", TEXTS)
def test_the_llama3_tokenizer_encodes_as_tiktoken(
    llama3_tokenizer: PreTrainedTokenizerFast, reference: tiktoken.Encoding, text: str
) -> None:
    assert llama3_tokenizer(text).input_ids == [128000, *reference.encode_ordinary(text)]


@settings(deadline=None)
@given(text=st.text(max_size=60))
def test_joined_bytes_are_the_text(
    llama3_tokenizer: PreTrainedTokenizerFast,
    reference: tiktoken.Encoding,
    table: Sequence[bytes | None],
    text: str,
) -> None:
    ids = llama3_tokenizer(text, add_special_tokens=False).input_ids
    assert ids == reference.encode_ordinary(text)
    assert b"".join(table[token] or b"" for token in ids) == text.encode()


def byte_level(vocabulary: dict[str, int], decoder: object) -> PreTrainedTokenizerFast:
    backend = Tokenizer(models.BPE(vocabulary, []))
    if decoder is not None:
        backend.decoder = decoder
    return PreTrainedTokenizerFast(tokenizer_object=backend)


def test_added_tokens_are_text_unless_special() -> None:
    tokenizer = byte_level({"Ġ": 0, "Ã©": 1}, decoders.ByteLevel())
    tokenizer.add_tokens([AddedToken("<think> é", special=False), AddedToken("<end>", special=True)])
    assert token_bytes(tokenizer) == [b" ", "é".encode(), "<think> é".encode(), None]


def test_ids_that_are_left_out_have_none() -> None:
    assert token_bytes(byte_level({"a": 0, "b": 2}, decoders.ByteLevel())) == [b"a", None, b"b"]


def test_a_sequence_of_one_decoder_is_that_decoder() -> None:
    assert token_bytes(byte_level({"a": 0}, decoders.Sequence([decoders.ByteLevel()]))) == [b"a"]


@pytest.mark.parametrize(
    ("decoder", "found"),
    [
        (
            decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]),
            r"Replace \+ ByteFallback \+ Fuse",
        ),
        (decoders.WordPiece(), "WordPiece"),
        (None, "nothing"),
    ],
)
def test_other_kinds_are_refused_by_name(decoder: object, found: str) -> None:
    with pytest.raises(CheckpointError, match=f"decodes with {found}, must be byte-l"):
        token_bytes(byte_level({"▁a": 0, "<0x0A>": 1}, decoder))


def test_a_token_outside_the_alphabet_is_named() -> None:
    with pytest.raises(CheckpointError, match="token 1 is '▁a', and '▁' is not in the byte-level alphabet"):
        token_bytes(byte_level({"a": 0, "▁a": 1}, decoders.ByteLevel()))


def test_the_alphabet_is_that_of_the_tokenizers_library() -> None:
    assert set(byte_alphabet()) == set(pre_tokenizers.ByteLevel.alphabet())
    assert sorted(byte_alphabet().values()) == list(range(256))
