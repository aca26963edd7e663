"""Temperature: (l - max) / T, its two ends, and numbers that overflow elsewhere."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import oracle
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sampling_kernels.weights import weights

from sampling import History, Temperature, TopP, chain
from sampling.core.errors import InvalidArgument

INF = math.inf
rows = st.lists(st.one_of(st.floats(-1000, 1000, width=32), st.just(-INF)), min_size=5, max_size=5)
temperatures = st.one_of(st.sampled_from([0.0, 1e-45, 1e-38, 1.0]), st.floats(0, 2), st.floats(1e-6, 100))


def heated(row: list[float], t: Any) -> list[float]:
    return Temperature(t)(torch.tensor([row]), History.start([[]])).tolist()[0]


def test_hand_computed() -> None:
    assert heated([1.0, 3.0, 2.5], 0.5) == [-4.0, 0.0, -1.0]
    assert heated([1.0, 3.0, -INF], 2) == [-1.0, 0.0, -INF]


def test_one_leaves_the_row_as_it_is() -> None:
    assert heated([1.0, 3.0, -INF], 1.0) == [1.0, 3.0, -INF]


def test_zero_keeps_the_arg_max_and_its_logit() -> None:
    assert heated([1.0, 3.0, 2.5, 3.0], 0) == [-INF, 3.0, -INF, -INF]  # ties go to the lower id
    assert heated([-0.0, 0.0, -1.0], 0)[1:] == [-INF, -INF]


@pytest.mark.parametrize("t", [1e-38, 1e-45, 5e-324])
def test_tiny_temperatures_converge_without_overflow(t: float) -> None:
    row = torch.tensor([heated([1e-3, 3.0, 2.999999, -3e38], t)])
    assert weights(row).tolist() == [[0, 2**43, 0, 0]]
    assert heated([3e38, -3e38], t) == [0.0, -INF]


def test_exact_ties_survive_every_temperature_but_zero() -> None:
    assert heated([2.0, 2.0, 1.0], 1e-45) == [0.0, 0.0, -INF]


def test_a_gap_of_the_smallest_floats() -> None:
    assert heated([1e-45, 0.0], 1e-45) == [0.0, -1.0]
    assert heated([1e-45, 0.0], 1e-38)[1] == oracle.f32(-oracle.f32(1e-45) / oracle.f32(1e-38))


@given(rows, st.floats(-10, 10, width=32), temperatures)
def test_divided_in_double_precision_and_rounded_once(row: list[float], finite: float, t: float) -> None:
    row = [*row, finite]
    assert heated(row, t) == oracle.temperature(row, t)


def test_the_reciprocal_would_differ() -> None:
    """Where l / T and l (1 / T) differ in the last bit, the quotient is right."""
    torch.manual_seed(1)
    row = [0.0, *(-torch.rand(400)).tolist()]
    quotients = [oracle.f32(x / oracle.f32(0.7)) for x in row]
    products = [oracle.f32(x * oracle.f32(1 / oracle.f32(0.7))) for x in row]
    assert heated(row, 0.7) == quotients != products


def test_a_temperature_per_row() -> None:
    out = Temperature([0.0, 0.5, 1.0])(torch.tensor([[1.0, 2.0]] * 3), History.start([[], [], []]))
    assert out.tolist() == [[-INF, 2.0], [-2.0, 0.0], [1.0, 2.0]]
    tensor = Temperature(torch.tensor([0.0, 0.5, 1.0]))(
        torch.tensor([[1.0, 2.0]] * 3), History.start([[], [], []])
    )
    assert torch.equal(out, tensor)


@pytest.mark.parametrize("row", [[-0.0, 0.0, -1.0], [0.0, -0.0, -1.0], [-0.0, -1.0, -0.0]])
def test_a_zero_keeps_its_sign_whichever_is_the_largest(row: list[float]) -> None:
    """0 is subtracted, not -0, which would make 0 of every -0."""
    assert heated(row, 0.5) == [2 * x for x in row]
    assert [math.copysign(1, x) for x in heated(row, 0.5)] == [math.copysign(1, x) for x in row]


def test_one_temperature_serves_a_row_that_is_looked_at_again() -> None:
    """Row 2 holds four equal tokens, of which p = 0.5 keeps two by an exact hit: no bound of the total tells."""
    torch.manual_seed(3)
    logits = torch.randn(3, 300) * 6
    logits[2] = torch.full((300,), -100.0).index_fill(0, torch.arange(4), 1.0)
    expected = [oracle.temperature(row, 2.0) for row in logits.tolist()]
    expected = [oracle.keep(row, oracle.nucleus(row, "0.5")) for row in expected]
    assert chain(Temperature(2.0), TopP(0.5))(logits, History.start([[]] * 3)).tolist() == expected
    assert [x for x in expected[2] if x > -INF] == [0.0, 0.0]


def test_before_or_after_top_p_changes_what_is_left() -> None:
    """Logits 3 2 1: p = 0.665 0.245 0.090; at T = 0.5: 0.867 0.117 0.016. So p = 0.8 keeps one or two."""
    logits, history = torch.tensor([[3.0, 2.0, 1.0]]), History.start([[]])
    before = chain(Temperature(0.5), TopP(0.8))(logits, history)
    after = chain(TopP(0.8), Temperature(0.5))(logits, history)
    assert [(x > -INF).sum().item() for x in (before, after)] == [1, 2]


@pytest.mark.parametrize("bad", [-0.1, math.nan, INF, True, "1", None])
def test_bad_temperatures(bad: Any) -> None:
    with pytest.raises(InvalidArgument, match="temperature"):
        Temperature(bad)
    with pytest.raises(InvalidArgument, match="temperature"):
        Temperature([1.0, bad])


@pytest.mark.parametrize(
    "bad",
    [np.bool_(True), torch.tensor(True), torch.ones(1, 1), torch.ones(2, 2), [], torch.ones(0)],
    ids=lambda bad: str(getattr(bad, "shape", bad)),
)
def test_what_is_neither_a_number_nor_one_per_row(bad: Any) -> None:
    with pytest.raises(InvalidArgument, match="temperature"):
        Temperature(bad)


def test_the_number_of_a_row_goes_with_it() -> None:
    two = Temperature([0.5, 0.6])
    assert two.select(torch.tensor([1])).describe() == "temperature 0.6"
    assert repr(two.select(torch.tensor([1, 0]))) == "Temperature([0.6, 0.5])"
