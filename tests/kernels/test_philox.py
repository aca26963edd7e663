"""The generator: published known answers, and Python integers."""

from __future__ import annotations

import oracle
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sampling_kernels.philox import multiply_words, philox

words = st.integers(0, 2**32 - 1)

# kat_vectors of Random123, the authors' own library.
KNOWN_ANSWERS = [
    ("00000000 00000000 00000000 00000000", "00000000 00000000", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff", "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0", "d16cfe09 94fdcceb 5001e420 24126ea1"),
]


def parsed(text: str) -> list[int]:
    return [int(word, 16) for word in text.split()]


def by_code(counter: list[int], key: list[int]) -> list[int]:
    c = tuple(torch.tensor(word) for word in counter)
    k = tuple(torch.tensor(word) for word in key)
    return [int(word) for word in philox(c, k)]


@pytest.mark.parametrize(("counter", "key", "answer"), KNOWN_ANSWERS)
def test_published_known_answers(counter: str, key: str, answer: str) -> None:
    assert by_code(parsed(counter), parsed(key)) == parsed(answer)
    assert list(oracle.philox(parsed(counter), parsed(key))) == parsed(answer)


@given(st.lists(words, min_size=4, max_size=4), st.lists(words, min_size=2, max_size=2))
def test_equals_python_integers(counter: list[int], key: list[int]) -> None:
    assert by_code(counter, key) == list(oracle.philox(counter, key))


@given(words, words)
def test_products_of_words(a: int, b: int) -> None:
    high, low = multiply_words(a, torch.tensor(b))
    assert (int(high) << 32) + int(low) == a * b


def test_counters_broadcast_against_keys() -> None:
    zero, three = torch.tensor(0), torch.arange(3)
    out = philox((three, zero, zero, zero), (zero, zero))
    for i in range(3):
        assert [int(word[i]) for word in out] == list(oracle.philox((i, 0, 0, 0), (0, 0)))
