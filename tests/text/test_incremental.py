"""Incremental decoding against decoding the whole at once."""

from __future__ import annotations

import codecs
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampling.chat.choice import Choice, StopRules
from sampling.generate.sampled_token import SampledToken
from sampling.text.incremental import prefix_bytes
from sampling.text.vocabulary import Vocabulary

# Whole characters, parts of characters and bytes that occur in no UTF-8 text, so that every case is met often.
FRAGMENTS = [
    b"a",
    "é".encode(),
    "€".encode(),
    "🙂".encode(),
    "\ufffd".encode(),
    b"\x00",
    b"\xff",
    b"\xc0\x80",
]
FRAGMENTS += [
    b"\xc3",
    b"\xe2\x82",
    b"\xf0\x9f",
    b"\xf0\x9f\x99",
    b"\x82",
    b"\xed\xa0\x80",
    b"\xf5",
    b"\xe0\x80",
]
raw = st.one_of(st.binary(max_size=40), st.lists(st.sampled_from(FRAGMENTS), max_size=12).map(b"".join))


@st.composite
def split(draw: st.DrawFn) -> tuple[bytes, list[bytes]]:
    data = draw(raw)
    cuts = draw(st.lists(st.integers(0, len(data)), max_size=20))
    return data, [data[a:b] for a, b in pairwise([0, *sorted(cuts), len(data)])]


class Pieces(Vocabulary):
    """A vocabulary of which token i has the bytes of piece i."""

    def __init__(self, pieces: Sequence[bytes | None]) -> None:
        self._bytes, self.end_ids = [*pieces], frozenset()


def texts_of(pieces: Sequence[bytes | None]) -> list[str]:
    """What a choice gives out for each of its tokens; at the last one also what was held back."""
    choice = Choice(Pieces(pieces), StopRules(max_tokens=len(pieces)))
    return [choice.accept(SampledToken(token, 0.0, 1, ())).text for token in range(len(pieces))]


@given(split())
def test_joined_pieces_are_the_text_of_the_whole(case: tuple[bytes, list[bytes]]) -> None:
    data, pieces = case
    assert "".join(texts_of(pieces)) == data.decode("utf-8", errors="replace")


@given(st.text(max_size=20))
def test_byte_by_byte_a_character_comes_with_its_last_byte(text: str) -> None:
    texts = texts_of([bytes([byte]) for byte in text.encode()])
    assert texts == [part for c in text for part in [""] * (len(c.encode()) - 1) + [c]]


@pytest.mark.parametrize(
    ("pieces", "texts"),
    [
        ([b"\xf0\x9f", b"\x99", b"\x82!"], ["", "", "🙂!"]),
        ([b"caf\xc3"], ["caf\ufffd"]),
        ([b"\xf0\x9f\x99"], ["\ufffd"]),
        ([b"\xe2\x82", b"a"], ["", "\ufffda"]),
        ([b"\xc3", None, b"\xa9"], ["", "", "é"]),
    ],
)
def test_hand_made_cases(pieces: list[bytes | None], texts: list[str]) -> None:
    assert texts_of(pieces) == texts


def character_ends(data: bytes) -> list[int]:
    """Where each character of the decoded text ends in the data, told by Python's own error callback."""
    errors: list[tuple[int, int]] = []

    def note(error: UnicodeError) -> tuple[str, int]:
        assert isinstance(error, UnicodeDecodeError)
        errors.append((error.start, error.end))
        return "\ufffd", error.end

    codecs.register_error("tests.note", note)
    data.decode("utf-8", errors="tests.note")
    starts = {start for start, _ in errors}
    ends = [end for _, end in errors]
    for start, end in pairwise([0, *(place for error in errors for place in error), len(data)]):
        if start not in starts:
            for character in data[start:end].decode():
                start += len(character.encode())
                ends.append(start)
    return sorted(ends)


@given(raw)
def test_prefix_bytes_are_the_bytes_of_every_prefix(data: bytes) -> None:
    ends = character_ends(data)
    assert len(ends) == len(data.decode("utf-8", errors="replace"))
    assert [prefix_bytes(data, n) for n in range(len(ends) + 1)] == [0, *ends]
