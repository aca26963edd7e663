"""The trace: what is left, the mass removed, the entropy, the top tokens, on any logits."""

from __future__ import annotations

import math

import oracle
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sampling import FrequencyPenalty, History, InvalidArgument, LogitBias, Temperature, TopK, TopP, chain

INF, NAN = math.inf, math.nan
NOTHING = History.start([[]])
LN2 = math.log(2)


def test_hand_computed() -> None:
    """Four equal logits: ln 4 nats; half the mass goes with two of them, half of that with one more."""
    trace = chain(TopK(2), Temperature(0.0)).trace(torch.zeros(1, 4), NOTHING, top=3)
    first, second = trace
    assert [first.name, second.name] == ["top_k", "temperature"]
    assert [s.left.tolist() for s in (first.before, first.after, second.after)] == [[4], [2], [1]]
    assert [s.entropy.item() for s in (first.before, first, second)] == pytest.approx(
        [2 * LN2, LN2, 0], abs=1e-9
    )
    assert [s.removed.item() for s in trace] == [0.5, 0.5]
    assert first.before.top_ids.tolist() == [[0, 1, 2]]
    assert first.before.top_probs.tolist() == [[0.25, 0.25, 0.25]]
    assert first.after.top_probs.tolist() == [[0.5, 0.5, 0.0]]
    assert (first.left.tolist(), second.left.tolist()) == ([2], [1])


def test_stages_that_ban_nothing_remove_nothing() -> None:
    history = History.start([[]])
    history.accept(torch.tensor([1]))
    logits = torch.tensor([[0.0, 3.0, 1.0]])
    for step in chain(LogitBias({0: -100.0}), FrequencyPenalty(2.0), Temperature(0.1)).trace(logits, history):
        assert step.removed.tolist() == [0.0]
        assert step.left.tolist() == [3]


def test_penalties_change_who_leads() -> None:
    history = History.start([[]])
    history.accept(torch.tensor([1]))
    (step,) = chain(FrequencyPenalty(2.0)).trace(torch.tensor([[0.0, 1.5, 1.0]]), history, top=2)
    assert step.before.top_ids.tolist() == [[1, 2]]
    assert step.after.top_ids.tolist() == [[2, 0]]


rows = st.lists(st.one_of(st.floats(-20, 20, width=32), st.just(-INF)), min_size=8, max_size=8)


@settings(max_examples=40)
@given(rows, st.floats(0.1, 1))
def test_entropy_and_mass_against_the_real_softmax(row: list[float], p: float) -> None:
    row = [*row, 0.0]
    (step,) = chain(TopP(p)).trace(torch.tensor([row]), NOTHING, top=9)
    kept = oracle.nucleus(row, str(p))
    probs = oracle.softmax(row)
    assert step.before.entropy.item() == pytest.approx(float(oracle.entropy(probs)), abs=1e-7)
    assert step.removed.item() == pytest.approx(float(1 - sum(probs[i] for i in kept)), abs=1e-7)
    after = oracle.softmax(oracle.keep(row, kept))
    assert step.after.entropy.item() == pytest.approx(float(oracle.entropy(after)), abs=1e-7)
    assert step.before.top_ids.tolist() == [oracle.order(row)]
    expected = [float(probs[i]) for i in oracle.order(row)]
    assert step.before.top_probs[0].tolist() == pytest.approx(expected, abs=1e-8)
    assert step.before.top_probs.sum().item() == pytest.approx(1, abs=1e-12)


def test_rows_that_can_not_be_sampled() -> None:
    logits = torch.tensor([[-INF, -INF], [NAN, 0.0], [INF, 0.0], [0.0, 0.0]])
    history = History.start([[]] * 4)
    (step,) = chain(TopK(1)).trace(logits, history)
    assert step.before.left[0].item() == 0
    assert step.before.entropy.tolist() == pytest.approx([0, 0, 0, LN2])
    assert step.removed.tolist() == [0, 0, 0, 0.5]
    for tensor in (step.entropy, step.removed, step.after.top_probs):
        assert tensor.isfinite().all()


def test_each_row_is_its_own() -> None:
    logits = torch.tensor([[0.0, 0.0, 0.0, 0.0], [5.0, 0.0, 0.0, -INF]])
    (step,) = chain(TopK([2, 0])).trace(logits, History.start([[], []]))
    assert step.left.tolist() == [2, 3]
    assert step.removed.tolist() == [0.5, 0.0]


def test_the_last_step_is_the_pipeline_s_distribution() -> None:
    pipeline = chain(Temperature(0.5), TopP(0.8))
    logits = torch.tensor([[3.0, 2.0, 1.0]])
    last = pipeline.trace(logits, NOTHING, top=3)[-1].after
    assert torch.equal(last.top_probs, pipeline.probs(logits, NOTHING))


def test_printed_it_is_a_table_of_the_first_row() -> None:
    text = str(chain(TopK(2), Temperature(0.0)).trace(torch.zeros(1, 4), NOTHING, top=3))
    lines = [line.split() for line in text.splitlines()]
    assert lines[0][:4] == ["stage", "left", "removed", "entropy"]
    assert lines[1] == ["logits", "4", "1.3863", "0:0.2500", "1:0.2500", "2:0.2500"]
    assert lines[2] == ["top_k", "2", "2", "0.5000", "0.6931", "0:0.5000", "1:0.5000"]
    assert lines[3] == ["temperature", "0.0", "1", "0.5000", "0.0000", "0:1.0000"]


def test_a_pipeline_without_stages_still_shows_the_logits() -> None:
    trace = chain().trace(torch.zeros(1, 4), NOTHING)
    assert len(trace) == 0
    assert "1.3863" in str(trace)


def test_no_rows_have_a_trace_too() -> None:
    stages = chain(LogitBias([]), FrequencyPenalty(0.5), Temperature(0.5), TopK(2))
    trace = stages.trace(torch.zeros(0, 4), History.start([]), top=3)
    assert [step.name for step in trace] == ["logit_bias", "frequency_penalty", "temperature", "top_k"]
    for step in trace:
        assert step.left.shape == step.entropy.shape == step.removed.shape == (0,)
        assert step.after.top_ids.shape == step.after.top_probs.shape == (0, 3)
    lines = [line.split()[0] for line in str(trace).splitlines()]
    assert lines == ["stage", "logits", "logit_bias", "frequency_penalty", "temperature", "top_k"]


@pytest.mark.parametrize("top", [-1, 1.5, True, None])
def test_how_many_to_show_is_checked(top: object) -> None:
    with pytest.raises(InvalidArgument, match=f"top: got {top!r}, must be an integer of at least 0"):
        chain(TopK(1)).trace(torch.zeros(1, 4), NOTHING, top=top)  # pyright: ignore[reportArgumentType]
