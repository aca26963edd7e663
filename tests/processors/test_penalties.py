"""Frequency, presence and repetition penalty: hand-computed, and against doubles rounded once."""

from __future__ import annotations

import math
from typing import Any

import oracle
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sampling import FrequencyPenalty, History, LogitBias, PresencePenalty, RepetitionPenalty, chain
from sampling.core.errors import InvalidArgument
from sampling.core.history import OUTPUT, PROMPT_AND_OUTPUT, Scope

INF = math.inf
floats32 = st.floats(-1000, 1000, width=32)
rows = st.lists(floats32, min_size=6, max_size=6)
tokens = st.lists(st.integers(0, 5), max_size=6)


def history_of(prompt: list[int], output: list[int]) -> History:
    history = History.start([prompt])
    for token in output:
        history.accept(torch.tensor([token]))
    return history


def applied(processor: Any, row: list[float], prompt: list[int], output: list[int]) -> list[float]:
    return processor(torch.tensor([row]), history_of(prompt, output)).tolist()[0]


def test_frequency_counts_every_occurrence_of_sampled_tokens_only() -> None:
    assert applied(FrequencyPenalty(0.5), [1.0] * 4, [0, 0, 1], [1, 1, 2]) == [1.0, 0.0, 0.5, 1.0]


def test_presence_counts_once() -> None:
    assert applied(PresencePenalty(0.5), [1.0] * 4, [0, 0, 1], [1, 1, 2]) == [1.0, 0.5, 0.5, 1.0]


def test_negative_penalties_raise() -> None:
    assert applied(FrequencyPenalty(-2), [0.0, 0.0], [], [1, 1, 1]) == [0.0, 6.0]
    assert applied(PresencePenalty(-2), [0.0, 0.0], [], [1, 1, 1]) == [0.0, 2.0]


def test_repetition_counts_prompt_and_output_once_each() -> None:
    row = [3.0, -3.0, 3.0, 0.0, 4.0]
    assert applied(RepetitionPenalty(2.0), row, [0, 1, 0], [0, 3]) == [1.5, -6.0, 3.0, 0.0, 4.0]
    assert applied(RepetitionPenalty(0.5), row, [0, 1], []) == [6.0, -1.5, 3.0, 0.0, 4.0]


@pytest.mark.parametrize(
    ("scope", "expected"),
    [
        (OUTPUT, [0.0, 0.0, -1.0, -2.0]),
        (PROMPT_AND_OUTPUT, [-2.0, 0.0, -2.0, -2.0]),
        (Scope(prompt=True, last=2), [0.0, 0.0, -1.0, -1.0]),
        (Scope(prompt=True, last=4), [0.0, 0.0, -2.0, -2.0]),
        (Scope(prompt=False, last=2), [0.0, 0.0, -1.0, -1.0]),
        (Scope(prompt=False, last=64), [0.0, 0.0, -1.0, -2.0]),
    ],
)
def test_scopes(scope: Scope, expected: list[float]) -> None:
    """Prompt 0 0 2, output 3 2 3."""
    assert applied(FrequencyPenalty(1.0, scope=scope), [0.0] * 4, [0, 0, 2], [3, 2, 3]) == expected


def test_bias_and_repetition_do_not_commute() -> None:
    first = chain(LogitBias({0: 2.0}), RepetitionPenalty(2.0))
    second = chain(RepetitionPenalty(2.0), LogitBias({0: 2.0}))
    assert applied(first, [1.0], [0], []) == [1.5]
    assert applied(second, [1.0], [0], []) == [2.5]


def test_banned_tokens_stay_banned() -> None:
    for processor in (FrequencyPenalty(-2), PresencePenalty(-2), RepetitionPenalty(0.1)):
        assert applied(processor, [-INF, 1.0], [0], [0])[0] == -INF


def test_nothing_sampled_changes_nothing() -> None:
    for processor in (FrequencyPenalty(2), PresencePenalty(2)):
        assert applied(processor, [1.0, 2.0], [0, 1], []) == [1.0, 2.0]


def test_penalties_do_not_leak_into_other_rows() -> None:
    history = History.start([[0], [], []])
    for step in ([1, 2, -1], [1, 0, -1]):
        history.accept(torch.tensor(step))
    out = FrequencyPenalty([1.0, 0.5, 2.0])(torch.zeros(3, 3), history)
    assert out.tolist() == [[0.0, -2.0, 0.0], [-0.5, 0.0, -0.5], [0.0, 0.0, 0.0]]
    out = PresencePenalty([1.0, 0.5, 2.0])(torch.zeros(3, 3), history)
    assert out.tolist() == [[0.0, -1.0, 0.0], [-0.5, 0.0, -0.5], [0.0, 0.0, 0.0]]
    out = RepetitionPenalty([2.0, 4.0, 8.0])(torch.ones(3, 3), history)
    assert out.tolist() == [[0.5, 0.5, 1.0], [0.25, 1.0, 0.25], [1.0, 1.0, 1.0]]


@pytest.mark.parametrize("kind", [FrequencyPenalty, PresencePenalty, RepetitionPenalty])
@pytest.mark.parametrize("token", [2, 3, 2**40])
def test_a_prompt_past_the_logits_matters_where_it_counts(kind: Any, token: int) -> None:
    assert applied(kind(2.0, scope=OUTPUT), [0.0, 0.0], [token], []) == [0.0, 0.0]
    with pytest.raises(InvalidArgument, match=rf"prompt_ids: got {token}, .*below 2"):
        applied(kind(2.0, scope=PROMPT_AND_OUTPUT), [0.0, 0.0], [token], [])


def test_a_penalty_times_a_count_is_not_rounded() -> None:
    """Where the product of the two in float32 would lead to another logit."""
    torch.manual_seed(1)
    penalties, row, count = torch.rand(50), torch.randn(50).tolist(), 7
    exact = [oracle.frequency([x], f, [0] * count) for x, f in zip(row, penalties.tolist(), strict=True)]
    rounded = [[oracle.f32(x - oracle.f32(f * count))] for x, f in zip(row, penalties.tolist(), strict=True)]
    history = History.start([[]] * 50)
    for _ in range(count):
        history.accept(torch.zeros(50, dtype=torch.int64))
    assert FrequencyPenalty(penalties)(torch.tensor(row)[:, None], history).tolist() == exact != rounded


@given(rows, st.floats(-2, 2), tokens, tokens)
def test_frequency_and_presence_round_once(
    row: list[float], penalty: float, prompt: list[int], output: list[int]
) -> None:
    assert applied(FrequencyPenalty(penalty), row, prompt, output) == oracle.frequency(row, penalty, output)
    assert applied(PresencePenalty(penalty), row, prompt, output) == oracle.presence(row, penalty, output)


@given(rows, st.floats(0.01, 100), tokens, tokens)
def test_repetition_rounds_once(
    row: list[float], penalty: float, prompt: list[int], output: list[int]
) -> None:
    expected = oracle.repetition(row, penalty, prompt + output)
    assert applied(RepetitionPenalty(penalty), row, prompt, output) == expected


@pytest.mark.parametrize("bad", [0, -1.0, math.nan, INF, True, "2", 1e-60, 10**400])
def test_bad_repetition_penalties(bad: Any) -> None:
    """1e-60 is 0 as a float32: dividing by it means nothing."""
    with pytest.raises(InvalidArgument, match="repetition_penalty"):
        RepetitionPenalty(bad)


@pytest.mark.parametrize("kind", [FrequencyPenalty, PresencePenalty])
@pytest.mark.parametrize("bad", [math.nan, INF, -INF, True, None])
def test_bad_penalties(kind: Any, bad: Any) -> None:
    with pytest.raises(InvalidArgument, match=kind.name):
        kind(bad)


@pytest.mark.parametrize("penalty", [FrequencyPenalty(1.0), PresencePenalty(1.0), RepetitionPenalty(2.0)])
@pytest.mark.parametrize("rows", [0, 1, 3])
def test_a_history_of_another_batch_is_refused(penalty: Any, rows: int) -> None:
    with pytest.raises(InvalidArgument, match=f"history: got '{rows} rows', must be of the 2 rows"):
        penalty(torch.zeros(2, 3), History.start([[0]] * rows))


@pytest.mark.parametrize(
    "penalty", [FrequencyPenalty(0.5), PresencePenalty(0.5), RepetitionPenalty(1.5)], ids=repr
)
@pytest.mark.parametrize("scope", [OUTPUT, PROMPT_AND_OUTPUT, Scope(last=2)], ids=["output", "both", "last"])
def test_sampled_ids_beyond_the_logits_are_refused_by_name(penalty: Any, scope: Scope) -> None:
    processor = type(penalty)(penalty.params[0], scope=scope)
    history = history_of([1], [2, 6])
    for stage in (processor, chain(LogitBias({0: 1.0}), processor)):
        with pytest.raises(
            InvalidArgument, match="output_ids: got 6, must be token ids below 6, the width of the"
        ):
            stage(torch.zeros(1, 6), history)
    assert processor(torch.zeros(1, 7), history).shape == (1, 7)
