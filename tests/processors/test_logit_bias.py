"""Logit bias: literally added in float32."""

from __future__ import annotations

import math
from typing import Any

import oracle
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sampling import History, LogitBias
from sampling.core.errors import InvalidArgument

INF = math.inf
floats32 = st.floats(-1000, 1000, width=32)


def biased(row: list[float], bias: Any) -> list[float]:
    return LogitBias(bias)(torch.tensor([row]), History.start([[]])).tolist()[0]


def test_hand_computed() -> None:
    assert biased([0.0, 1.0, -1.0], {1: 2, "2": -0.5}) == [0.0, 3.0, -1.5]


def test_nothing_special_at_a_hundred() -> None:
    assert biased([0.0, 250.0, 5.0], {0: 100, 2: -100}) == [100.0, 250.0, -95.0]


def test_minus_infinity_bans_outright() -> None:
    assert biased([1.0, 2.0], {1: -INF}) == [1.0, -INF]
    assert biased([1.0, -INF], {1: 100.0}) == [1.0, -INF]


@given(st.lists(floats32, min_size=6, max_size=6), st.dictionaries(st.integers(0, 5), floats32))
def test_one_correctly_rounded_addition(row: list[float], bias: dict[int, float]) -> None:
    assert biased(row, bias) == oracle.add_bias(row, bias)


def test_the_bias_itself_is_rounded_to_float32_once() -> None:
    assert biased([0.0], {0: 0.1}) == [oracle.f32(0.1)]
    assert biased([oracle.f32(0.3)], {0: 0.1}) == [oracle.f32(oracle.f32(0.3) + oracle.f32(0.1))]


def test_rows_with_their_own_tables_of_different_lengths() -> None:
    processor = LogitBias([{0: 1.0, 2: 2.0}, {}, {1: -1.0}])
    out = processor(torch.zeros(3, 3), History.start([[], [], []]))
    assert out.tolist() == [[1.0, 0.0, 2.0], [0.0, 0.0, 0.0], [0.0, -1.0, 0.0]]


def test_a_shorter_table_is_not_mixed_up() -> None:
    """Rows of one, two, three and no biases beside each other."""
    tables = [{3: 1.0}, {0: 1.0, 2: 2.0}, {0: -1.0, 1: -2.0, 3: 4.0}, {}]
    out = LogitBias(tables)(torch.zeros(4, 4), History.start([[]] * 4))
    assert out.tolist() == [[0, 0, 0, 1], [1, 0, 2, 0], [-1, -2, 0, 4], [0, 0, 0, 0]]


def test_one_table_serves_every_row() -> None:
    logits = torch.tensor([[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]])
    for table in ({1: 1.5}, [{1: 1.5}]):
        out = LogitBias(table)(logits, History.start([[]] * 3))
        assert out.tolist() == [[0.0, 2.5], [2.0, 4.5], [4.0, 6.5]]


def test_no_table_for_no_row() -> None:
    assert LogitBias([])(torch.zeros(0, 3), History.start([])).shape == (0, 3)
    with pytest.raises(InvalidArgument, match="logit_bias: got '0 values', must be one for all rows"):
        LogitBias([])(torch.zeros(1, 3), History.start([[]]))


def test_no_bias_fits_the_narrowest_logits() -> None:
    assert biased([2.0], {}) == [2.0]
    assert biased([2.0], {0: 1.0}) == [3.0]


def test_every_id_of_a_wide_row_can_be_biased() -> None:
    row = [0.0] * 1000
    assert biased(row, {0: 1.0, 126: 2.0, 999: 3.0}) == oracle.add_bias(row, {0: 1.0, 126: 2.0, 999: 3.0})


@pytest.mark.parametrize("bias", [{}, {0: 0}, {0: 0.0}, {0: -0.0}])
def test_a_bias_of_zero_leaves_the_sign_of_a_zero(bias: Any) -> None:
    assert math.copysign(1, biased([-0.0], bias)[0]) == -1


def test_one_id_of_several_outside_the_logits_is_enough() -> None:
    for bias in ({0: 1.0, 3: 1.0}, {3: 1.0, 0: 1.0}):
        with pytest.raises(InvalidArgument, match=r"logit_bias.*3.*below 3"):
            biased([0.0, 0.0, 0.0], bias)


@pytest.mark.parametrize("token", [3, 4, 128_256, 2**31, 2**62, 2**63, 10**18, 10**19])
def test_an_id_outside_the_logits_is_named(token: int) -> None:
    with pytest.raises(InvalidArgument, match=rf"logit_bias.*{token}.*below 3"):
        biased([0.0, 0.0, 0.0], {token: 1.0})


@pytest.mark.parametrize(
    ("bias", "words"),
    [
        ({0: math.nan}, r"logit_bias\[0\]: got nan"),
        ({0: INF}, r"logit_bias\[0\]: got inf"),
        ({0: 1e39}, r"logit_bias\[0\]: got 1e\+39"),
        ({0: "1"}, r"logit_bias\[0\]: got '1'"),
        ({0: True}, r"logit_bias\[0\]: got True"),
        ({-1: 1.0}, "logit_bias: got -1, must be keyed by token ids"),
        ({"a": 1.0}, "logit_bias: got 'a', must be keyed by token ids"),
        ({1: 1.0, "1": 2.0}, "token id 1 appears twice"),
        ([[0, 1.0]], "must be an object of token ids and biases"),
    ],
)
def test_bad_tables(bias: Any, words: str) -> None:
    with pytest.raises(InvalidArgument, match=words):
        LogitBias(bias)
