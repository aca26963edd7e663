"""Plain functions as stages, stages without a history, and stages that lack something."""

from __future__ import annotations

import functools
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

import sampling
from sampling import (
    AllowedTokens,
    FrequencyPenalty,
    History,
    InvalidArgument,
    LogitBias,
    MinP,
    MinTokens,
    PresencePenalty,
    Processor,
    RepetitionPenalty,
    Temperature,
    TokenizerVocabSize,
    TopK,
    TopP,
    Truncation,
    chain,
)

LOGITS = torch.tensor([[3.0, 1.0, 2.0], [0.0, 0.0, 4.0]])


def doubled(logits: Tensor) -> Tensor:
    return logits * 2


def plus_sampled(logits: Tensor, history: History) -> Tensor:
    return logits + history.sampled[:, None]


@sampling.stage
def negated(logits: Tensor) -> Tensor:
    return -logits


def test_a_function_is_a_stage_by_its_name() -> None:
    stages = chain(doubled, plus_sampled, negated, lambda logits: logits + 1, functools.partial(doubled))
    assert [stage.name for stage in stages] == ["doubled", "plus_sampled", "negated", "lambda", "doubled"]
    assert repr(chain(doubled, TopP(0.5))) == "Pipeline(stage(doubled), TopP(0.5))"
    history = History.start([[7], []])
    history.accept(torch.tensor([0, -1]))
    expected = [[-6.0, -2.0, -4.0], [1.0, 1.0, -7.0]]  # 2 (-(2 x + n) + 1), by hand
    assert stages(LOGITS, history).tolist() == [[2 * x for x in row] for row in expected]
    steps = stages.trace(LOGITS, history)
    assert [step.name for step in steps] == [stage.name for stage in stages]


def test_what_the_decorator_returns_is_a_processor() -> None:
    assert isinstance(negated, Processor)
    assert negated(LOGITS).tolist() == [[-3, -1, -2], [0, 0, -4]]
    assert negated(LOGITS.to(torch.bfloat16)).dtype == torch.float32
    assert chain(negated).select(torch.tensor([1]))(LOGITS[1:]).tolist() == [[0, 0, -4]]
    assert negated.describe() == "negated"


def test_a_function_among_stages_of_the_library_runs_where_it_stands() -> None:
    bias = LogitBias({0: -10.0})
    assert chain(bias, doubled)(LOGITS).tolist() == [[-14, 2, 4], [-20, 0, 8]]
    assert chain(doubled, bias)(LOGITS).tolist() == [[-4, 2, 4], [-10, 0, 8]]
    assert chain(TopK(1), doubled)(LOGITS).tolist() == [
        [6, -torch.inf, -torch.inf],
        [-torch.inf, -torch.inf, 8],
    ]


class Nameless(Processor):
    def process(self, logits: Tensor, history: History) -> Tensor:
        return logits


class Numberless(Truncation):
    name = "numberless"
    row_fields = ("cap",)


class Misspelt(Truncation):
    name = "misspelt"
    row_fields = "cap"  # pyright: ignore[reportAssignmentType]


WRONG: dict[str, tuple[Callable[[], object], str]] = {
    "no arguments": (lambda: chain(lambda: LOGITS), r"stage: got 'lambda\(\)', must be a function of logits"),
    "three arguments": (lambda: chain(lambda a, b, c: a), r"stage: got 'lambda\(a, b, c\)', must be"),
    "keywords": (lambda: sampling.stage(lambda *, logits: logits), r"stage: got 'lambda\(logits\)', must be"),
    "a class": (lambda: chain(TopP), r"stage: got 'TopP', must be made first: TopP\(\.\.\.\)"),
    "a number": (lambda: chain(3), "stage: got 3, must be a processor, or a function"),  # pyright: ignore[reportArgumentType]
    "a tensor": (lambda: chain(LOGITS), "stage: got tensor"),  # pyright: ignore[reportArgumentType]
    "no name in a chain": (
        lambda: chain(Nameless()),
        r"Nameless\.name: got None, must be a string in the class",
    ),
    "no name alone": (lambda: Nameless()(LOGITS), r"Nameless\.name: got None"),
    "no name in words": (lambda: Nameless().describe(), r"Nameless\.name: got None"),
    "no numbers": (
        lambda: chain(Numberless()),
        r"Numberless\.row_fields: got 'cap', must be names of tensors",
    ),
    "no numbers for rows": (lambda: Numberless().select(slice(1)), r"Numberless\.row_fields: got 'cap'"),
    "no tuple": (lambda: chain(Misspelt()), r"Misspelt\.row_fields: got 'c'"),
    "nothing returned": (lambda: chain(lambda logits: None)(LOGITS), r"stage\(lambda\), returned: got None"),  # pyright: ignore
    "another shape": (lambda: chain(lambda logits: logits[:1])(LOGITS), r"got 'torch.float32 \(1, 3\)'"),
    "a list for a history": (lambda: TopP(0.5)(LOGITS, [[]]), r"history: got \[\[\]\], must be a History"),  # pyright: ignore
}


@pytest.mark.parametrize(("call", "told"), WRONG.values(), ids=WRONG)
def test_what_is_missing_is_one_error_that_says_so(call: Callable[[], object], told: str) -> None:
    with pytest.raises(InvalidArgument, match=told):
        call()


WITHOUT = [
    LogitBias({1: 1.0}), Temperature(0.5), TopK(2), TopP(0.5), MinP(0.5), TokenizerVocabSize(2),
    chain(Temperature(0.5), TopP(0.9)), chain(),
]  # fmt: skip


@pytest.mark.parametrize("stage", WITHOUT, ids=repr)
def test_a_stage_that_needs_no_history(stage: Processor) -> None:
    assert torch.equal(stage(LOGITS), stage(LOGITS, History.start([[1], [2]])))


class Everything:
    def allowed(self, sampled: object) -> Tensor:
        return torch.ones(3, dtype=torch.bool)


READERS = [
    FrequencyPenalty(1), PresencePenalty(1), RepetitionPenalty(2), MinTokens(1, [0]), AllowedTokens(Everything()),
    sampling.stage(plus_sampled),
]  # fmt: skip


@pytest.mark.parametrize("stage", READERS, ids=lambda stage: stage.name)
def test_a_stage_that_needs_one_says_so(stage: Processor) -> None:
    for processor in (stage, chain(Temperature(0.5), stage)):
        with pytest.raises(
            InvalidArgument, match=f"^history: got None, must be given: {stage.name} depends on"
        ):
            processor(LOGITS)
    for call in (chain(stage).probs, chain(stage).trace):
        with pytest.raises(InvalidArgument, match=r"^history: got None"):
            call(LOGITS)


def test_probabilities_and_traces_need_none_either() -> None:
    stages, history = chain(Temperature(0.5), TopP(0.9)), History.start([[], []])
    assert torch.equal(stages.probs(LOGITS), stages.probs(LOGITS, history))
    assert str(stages.trace(LOGITS)) == str(stages.trace(LOGITS, history))
