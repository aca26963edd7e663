"""Pipelines: left to right, flat, and a distribution that sums to one."""

from __future__ import annotations

import math

import oracle
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sampling import (
    FrequencyPenalty,
    History,
    LogitBias,
    MinP,
    Pipeline,
    PresencePenalty,
    RepetitionPenalty,
    Temperature,
    TopK,
    TopP,
    chain,
)

INF = math.inf
NOTHING = History.start([[]])


def test_left_to_right() -> None:
    logits = torch.tensor([[1.0, 2.0]])
    assert chain(LogitBias({0: 3.0}), TopK(1))(logits, NOTHING).tolist() == [[4.0, -INF]]
    assert chain(TopK(1), LogitBias({0: 3.0}))(logits, NOTHING).tolist() == [[-INF, 2.0]]


def test_a_chain_of_chains_is_flat() -> None:
    a, b, c = Temperature(0.5), TopK(5), TopP(0.9)
    nested = chain(a, chain(b, chain(c)), chain())
    assert isinstance(nested, Pipeline)
    assert list(nested) == [a, b, c]
    assert repr(nested) == "Pipeline(Temperature(0.5), TopK(5), TopP(0.9))"


def test_no_stages_is_the_identity() -> None:
    logits = torch.tensor([[1.0, -INF]])
    assert torch.equal(chain()(logits, NOTHING), logits)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_narrow_logits_are_widened_first(dtype: torch.dtype) -> None:
    logits = torch.tensor([[1.5, 0.25]], dtype=dtype)
    out = chain(Temperature(0.7))(logits, NOTHING)
    assert out.dtype == torch.float32
    assert out.tolist() == [oracle.temperature([1.5, 0.25], 0.7)]


def test_probs_by_hand() -> None:
    probs = chain(TopK(2)).probs(torch.tensor([[0.0, 0.0, 0.0, -1.0]]), NOTHING)
    assert probs.dtype == torch.float64
    assert probs.tolist() == [[0.5, 0.5, 0.0, 0.0]]


rows = st.lists(st.one_of(st.floats(-30, 30, width=32), st.just(-INF)), min_size=11, max_size=11)


@settings(max_examples=50)
@given(rows, st.floats(0.05, 2), st.floats(0, 1))
def test_probs_are_the_weights_over_their_sum(row: list[float], t: float, p: float) -> None:
    row = [*row, 1.0]
    probs = chain(Temperature(t), TopP(p)).probs(torch.tensor([row]), NOTHING)[0]
    heated = oracle.temperature(row, t)
    w = oracle.weights(oracle.keep(heated, oracle.nucleus(heated, str(p))))
    assert probs.tolist() == [float(one) / float(sum(w)) for one in w]
    assert probs.sum().item() == pytest.approx(1.0, abs=1e-12)


tokens = st.lists(st.integers(0, 11), max_size=5)


@settings(max_examples=60)
@given(
    rows,
    tokens,
    tokens,
    st.floats(-2, 2),
    st.floats(0.5, 2),
    st.floats(0, 2),
    st.integers(0, 14),
    st.floats(0, 1),
)
def test_a_whole_pipeline_is_the_oracle_s(
    row: list[float],
    prompt: list[int],
    output: list[int],
    penalty: float,
    repetition: float,
    t: float,
    k: int,
    p: float,
) -> None:
    row, history = [*row, 1.0], History.start([prompt])
    for token in output:
        history.accept(torch.tensor([token]))
    request = {
        "logit_bias": {0: penalty, 5: -penalty},
        "repetition_penalty": repetition,
        "frequency_penalty": penalty,
        "presence_penalty": -penalty,
        "temperature": t,
        "top_k": k,
        "top_p": p,
        "min_p": p / 2,
    }
    pipeline = chain(
        LogitBias({0: penalty, 5: -penalty}),
        RepetitionPenalty(repetition),
        FrequencyPenalty(penalty),
        PresencePenalty(-penalty),
        Temperature(t),
        TopK(k),
        TopP(p),
        MinP(p / 2),
    )
    expected = oracle.by_qstash(row, request, prompt, output, repetition_sees_prompt=True)
    assert pipeline(torch.tensor([row]), history).tolist() == [expected]


@pytest.mark.parametrize("rows", [torch.tensor([2, 0]), torch.tensor([True, False, True]), slice(1, None)])
def test_rows_are_chosen_in_every_stage(rows: torch.Tensor | slice) -> None:
    """The biases are those that the temperatures make equal."""
    logits, history = torch.zeros(3, 3), History.start([[], [], []])
    pipeline = chain(LogitBias([{0: 4.0}, {0: 8.0}, {0: 16.0}]), Temperature([1.0, 2.0, 4.0]))
    some = pipeline.select(rows)
    numbers = torch.arange(3)[rows]
    found = some(logits[rows], history.select(numbers))
    assert (found[:, 0] - found[:, 1]).tolist() == [4.0] * len(numbers)
    first = int(numbers[0])
    assert some.describe(0).endswith(f"temperature {[1.0, 2.0, 4.0][first]}")
