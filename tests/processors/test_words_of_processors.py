"""What is printed of processors, pipelines and dialects: enough to tell them apart and to make them again, and no more."""

from __future__ import annotations

import itertools
import math
from dataclasses import fields, replace
from typing import Any

import pytest
import torch
from processors.processor_table import TABLE, Entry
from torch import Tensor

import sampling
from sampling import (
    DIALECTS,
    AllowedTokens,
    ArgMax,
    FrequencyPenalty,
    History,
    Intersection,
    InvalidArgument,
    LogitBias,
    MinP,
    MinTokens,
    Pipeline,
    PresencePenalty,
    Processor,
    RepetitionPenalty,
    SamplingParams,
    Scope,
    Temperature,
    TokenizerVocabSize,
    TopK,
    TopP,
    Truncation,
    chain,
    dialect,
)

NAMES = {name: getattr(sampling, name) for name in sampling.__all__ if name != "verify"} | {"inf": math.inf}
WINDOW = Scope(prompt=True, last=2)

# One for each choice that a processor has, alone and with others.
STAGES: list[Processor] = [
    LogitBias({}), LogitBias({1: 1.5}), LogitBias({1: -1.5, 0: 2.0}), LogitBias([{1: 1.5}, {}]), LogitBias({2: -math.inf}),
    *(kind(0.5, **choice) for kind in (FrequencyPenalty, PresencePenalty)
      for choice in ({}, {"scope": Scope(prompt=True)}, {"scope": WINDOW}, {"follow_sign": True})),
    FrequencyPenalty([0.5, 1.0]),
    RepetitionPenalty(2.0), RepetitionPenalty(2.0, scope=Scope()), RepetitionPenalty(2.0, scope=WINDOW), RepetitionPenalty(3.0),
    MinTokens(3, [1]), MinTokens(3, [1, 2]), MinTokens(0, [1]), MinTokens([3, 0], [[1], [2]]),
    Temperature(0.5), Temperature(1.0), Temperature(0.0), Temperature([0.5, 1.0]),
    TopK(2), TopK(2, tie_break="highest_id"), TopK(2, keep_ties=True),
    TopK(0),
    TopP(0.5), TopP(0.6), TopP(1.0), TopP([0.5, 1.0]), TopP(0.5, tie_break="highest_id"), TopP(0.5, keep_ties=True),
    TopP(0.5, stops_at_equality=False), TopP(0.5, tie_break="highest_id", stops_at_equality=False),
    MinP(0.5), MinP(0.5, strict=True), MinP(0.0), MinP(1.0),
    Intersection(TopK(2), TopP(0.5)), Intersection(TopK(2, keep_ties=True), TopP(0.5, stops_at_equality=False)),
    Intersection(MinP(0.5)),
    ArgMax([True, False]), ArgMax([True, True]), TokenizerVocabSize(2), TokenizerVocabSize(3), AllowedTokens(None),
    chain(), chain(TopP(0.5)), chain(TopP(0.5, stops_at_equality=False)), chain(Temperature(0.5), TopP(0.5)),
    chain(TopP(0.5), Temperature(0.5)), chain(LogitBias({1: 1.0}), FrequencyPenalty(0.5, scope=WINDOW)),
]  # fmt: skip

LOGITS = torch.tensor(
    [[2.0, 1.0, 1.0, 2.0], [0.0, 0.0, 0.0, 0.0], [-1.0, -1.0, 3.0, 3.0], [0.7, 0.0, 0.0, -math.inf]]
).repeat_interleave(2, 0)


def results(stage: Processor) -> list[Tensor]:
    """What a stage does to two rows, several times."""
    history = History.start([[1, 1, 2], [3, 3]])
    found: list[Tensor] = []
    for step in range(0, len(LOGITS), 2):
        found.append(stage(LOGITS[step : step + 2], history))
        history.accept(torch.tensor([step % 4, 1]))
    return found


def alike(one: Processor, other: Processor) -> bool:
    return all(map(torch.equal, results(one), results(other)))


@pytest.mark.parametrize("stage", STAGES, ids=repr)
def test_made_again_from_what_is_printed(stage: Processor) -> None:
    again = eval(repr(stage), NAMES)
    assert again == stage
    assert hash(again) == hash(stage)
    assert repr(again) == repr(stage)
    assert alike(again, stage)


def test_what_differs_is_printed_differently() -> None:
    told = {repr(stage) for stage in STAGES}
    assert len(told) == len(STAGES)
    for one, other in itertools.combinations(STAGES, 2):
        assert one != other


def drawn(entry: Entry, count: int) -> list[Any]:
    """Parameters of a processor, the same in every run."""
    from hypothesis import given, settings

    values: list[Any] = []

    @settings(max_examples=count, database=None, derandomize=True)
    @given(entry.values)
    def collect(value: Any) -> None:
        values.append(value)

    collect()
    return values


@pytest.mark.parametrize("entry", TABLE, ids=lambda entry: entry.name)
def test_entries_of_the_table(entry: Entry) -> None:
    """Whatever the parameters: equal words for equal results only, and made again where constraints have words, too."""
    logits, history = torch.randn(1, 23, generator=torch.Generator().manual_seed(1)), History.start([[1]])
    history.accept(torch.tensor([2]))
    stages = [entry.scalar(value) for value in drawn(entry, 25)]
    by_words: dict[str, Processor] = {}
    for stage in stages:
        known = by_words.setdefault(repr(stage), stage)
        assert torch.equal(known(logits, history), stage(logits, history))
        if entry.kind is not AllowedTokens:
            assert eval(repr(stage), NAMES) == stage


def test_short_where_all_is_default() -> None:
    assert [repr(stage) for stage in (TopP(0.9), TopK(5), MinP(0.1), FrequencyPenalty(0.5), RepetitionPenalty(1.2))] == [
        "TopP(0.9)", "TopK(5)", "MinP(0.1)", "FrequencyPenalty(0.5)", "RepetitionPenalty(1.2)",
    ]  # fmt: skip
    assert repr(TopP(0.5, stops_at_equality=False)) == "TopP(0.5, stops_at_equality=False)"
    assert repr(PresencePenalty([0.5, 1], scope=WINDOW)) == (
        "PresencePenalty([0.5, 1.0], scope=Scope(prompt=True, last=2))"
    )


class Within(Truncation):
    """A truncation whose author has not said what is shown."""

    name = "within"
    row_fields = ("distance",)

    def __init__(self, distance: float, *, wide: bool = False) -> None:
        self.distance = torch.tensor([[distance]])
        self.wide = wide


def test_stages_of_ones_own_that_show_nothing() -> None:
    assert repr(Within(1.5)) == "Within(distance=[1.5])"
    assert repr(Within(2.5, wide=True)) == "Within(distance=[2.5], wide=True)"
    assert Within(1.5) == Within(1.5) != Within(2.5)
    assert Within(1.5) != TopP(0.5)


@pytest.mark.parametrize("name", DIALECTS)
def test_dialects(name: Any) -> None:
    rules = dialect(name)
    assert eval(repr(rules), NAMES) == rules
    left_out = [field.name for field in fields(rules) if f"{field.name}=" not in repr(rules)]
    assert len(left_out) > 5


def test_dialects_that_differ_are_printed_differently() -> None:
    vllm = dialect("vllm")
    others = [
        replace(vllm, top_p_ties="all"),
        replace(vllm, top_p_stops_at_equality=False),
        replace(vllm, penalty_scope=Scope(last=64)),
        *DIALECTS.values(),
    ]
    assert len({repr(one) for one in others}) == len(others)
    assert "top_p_ties='all'" in repr(others[0])
    assert "penalty_scope=Scope(last=64)" in repr(others[2])


def test_the_pipelines_of_two_engines_do_not_look_alike() -> None:
    params = SamplingParams(top_p=0.9, top_k=40, temperature=0.7)
    names = [name for name, rules in DIALECTS.items() if "top_k" in rules.stages]
    told = {name: repr(Pipeline.from_params(params, name)) for name in names}  # pyright: ignore[reportArgumentType]
    assert told["vllm-v1"] == "Pipeline(Temperature(0.7), TopK(40, keep_ties=True), TopP(0.9))"
    assert told["vllm"] == "Pipeline(Temperature(0.7), TopK(40), TopP(0.9))"
    assert len(set(told.values())) >= 4


def test_a_class_with_no_name_can_be_printed_by_its_error() -> None:
    class Nameless(Processor):
        pass

    with pytest.raises(InvalidArgument, match="Nameless"):
        chain(Nameless())
