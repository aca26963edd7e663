"""Processors that a user writes: a chain does what each of them says, whichever way it takes."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any

import oracle
import pytest
import torch
from sampling_kernels.candidates.candidates import Candidates
from torch import Tensor

from sampling import History, LogitBias, PresencePenalty, Sampler, SamplingParams, Temperature, TopP, chain
from sampling.core.errors import InvalidArgument
from sampling.processors import Processor, SparseEdit, Truncation

NOTHING = History.start([[]])


class Epsilon(Truncation):
    """Keep what is at least one in a hundred: a prefix of the order, but one that depends on the whole row."""

    name = "epsilon"

    def keep(self, logits: Tensor, w: Tensor | None = None) -> Tensor:
        """Look at probabilities."""
        p = logits.double().softmax(-1)
        return (p >= 0.01) | (p == p.amax(-1, keepdim=True))


class Unchanged(LogitBias):
    """A bias that hands its logits on."""

    def process(self, logits: Tensor, history: History) -> Tensor:
        """Nothing."""
        return logits


class Nine(Temperature):
    """A temperature with a process of its own."""

    def process(self, logits: Tensor, history: History) -> Tensor:
        """Nine everywhere."""
        return torch.full_like(logits, 9.0)


def test_a_truncation_of_ones_own_sees_whole_rows() -> None:
    logits = torch.full((1, 20000), -6.0)
    logits[0, :40] = torch.linspace(3, 0, 40)
    probabilities = logits[0].double().softmax(-1)
    kept = chain(Epsilon())(logits, NOTHING).isfinite()[0]
    assert kept.tolist() == (probabilities >= 0.01).tolist()
    assert 0 < kept.sum() < 40


class Thirds(SparseEdit):
    """Divides the first two logits by 3 and multiplies them again."""

    name = "thirds"

    def token_ids(self, logits: Tensor, history: History) -> tuple[Tensor, ...]:
        """The first two."""
        return (torch.arange(2).expand(len(logits), 2),)

    def update(self, logits: Tensor, *known: Tensor) -> Tensor:
        """With numbers that are exact in no width."""
        return logits / 3 * 3.1


def test_an_edit_of_ones_own_is_rounded_once() -> None:
    torch.manual_seed(1)
    row = torch.randn(100, 2)
    in_doubles = [[oracle.f32(x / 3 * 3.1) for x in pair] for pair in row.tolist()]
    in_floats = [[oracle.f32(oracle.f32(x / 3) * oracle.f32(3.1)) for x in pair] for pair in row.tolist()]
    shaped = Thirds()(row, History.start([[]] * 100))
    assert shaped.tolist() == in_doubles != in_floats
    assert shaped.dtype == torch.float32


def test_the_logits_that_a_stage_hands_on_are_not_written_to() -> None:
    logits = torch.zeros(1, 4)
    biased = chain(Unchanged({0: 1.0}), LogitBias({1: 50.0}))(logits, NOTHING)
    assert logits.tolist() == [[0, 0, 0, 0]]
    assert biased.tolist() == [[0, 50, 0, 0]]


@pytest.mark.parametrize("first", [LogitBias({0: 1.0}), PresencePenalty(0.5)])
def test_a_process_of_ones_own_is_what_runs(first: Processor) -> None:
    assert chain(first, Nine(0.5), TopP(0.5))(torch.zeros(1, 2), NOTHING).tolist() == [[9, -math.inf]]
    assert chain(first, Unchanged({1: 7.0}))(torch.zeros(1, 2), NOTHING)[0, 1] == 0


class Short(Temperature):
    """A temperature that loses the last token."""

    def process(self, logits: Tensor, history: History) -> Tensor:
        """All but it."""
        return logits[:, :-1]


class Wide(Temperature):
    """A temperature that forgets to round."""

    def process(self, logits: Tensor, history: History) -> Tensor:
        """In float64."""
        return logits.double()


class Mute(Temperature):
    """A temperature that forgets to return."""

    def process(self, logits: Tensor, history: History) -> Tensor:
        """Nothing."""
        return None  # pyright: ignore[reportReturnType]


@pytest.mark.parametrize(
    ("stage", "told"),
    [
        (Short(0.5), r"got 'torch.float32 \(1, 3\)', must be torch.float32 \(1, 4\), as it was given"),
        (Wide(0.5), r"got 'torch.float64 \(1, 4\)', must be"),
        (Mute(0.5), "got None, must be a tensor"),
    ],
)
def test_a_stage_of_ones_own_that_returns_something_else_is_named(stage: Processor, told: str) -> None:
    for processor in (stage, chain(LogitBias({1: 1.0}), stage, TopP(0.9))):
        with pytest.raises(InvalidArgument, match=f"{type(stage).__name__}, returned: {told}"):
            processor(torch.zeros(1, 4), NOTHING)


class Told(SparseEdit):
    """An edit that says what a test wants."""

    name = "told"

    def __init__(self, token_ids: Any, changed: Callable[[Tensor], Any]) -> None:
        self.given, self.change = token_ids, changed

    def token_ids(self, logits: Tensor, history: History) -> tuple[Tensor, ...]:
        """These."""
        return self.given

    def update(self, logits: Tensor, *known: Tensor) -> Tensor:
        """So."""
        return self.change(logits)


TWO = (torch.arange(2).expand(3, 2),)  # the first two tokens of three rows
WRONG_EDITS: list[tuple[Any, Callable[[Tensor], Any], str]] = [
    (TWO, lambda x: x[:, :1], r"update: got 'torch.float64 \(3, 1\)', must be .*\(3, 2\)"),
    (TWO, lambda x: x[:1], r"update: got 'torch.float64 \(1, 2\)', must be"),
    (TWO, lambda x: x[0], r"update: got 'torch.float64 \(2,\)', must be"),
    (TWO, lambda x: x.sum(), r"update: got 'torch.float64 \(\)', must be"),
    (TWO, lambda x: x.mT, r"update: got 'torch.float64 \(2, 3\)', must be"),
    (TWO, lambda x: x[None], r"update: got 'torch.float64 \(1, 3, 2\)', must be"),
    (TWO, lambda x: x.long(), r"update: got 'torch.int64 \(3, 2\)', must be"),
    (TWO, lambda _: -math.inf, "update: got -inf, must be a tensor"),
    (TWO, lambda _: None, "update: got None, must be a tensor"),
    ((TWO[0][:1],), lambda x: x, r"token_ids: got 'torch.int64 \(1, 2\)', must be torch.int64 \(3, 2\)"),
    ((TWO[0][0],), lambda x: x, r"token_ids: got 'torch.int64 \(2,\)', must be"),
    ((TWO[0].double(),), lambda x: x, r"token_ids: got 'torch.float64 \(3, 2\)', must be torch.int64"),
    (([[0, 1]] * 3,), lambda x: x, r"token_ids: got \[\[0, 1\], \[0, 1\], \[0, 1\]\], must be a tensor"),
    (TWO[0], lambda x: x, "token_ids: got tensor.*, must be a tuple that begins with token ids"),
    ((), lambda x: x, r"token_ids: got \(\), must be a tuple that begins with token ids"),
    ((TWO[0] + 3,), lambda x: x, "token_ids: got 4, must be token ids from 0 to 3"),
    ((TWO[0] - 1,), lambda x: x, "token_ids: got -1, must be token ids from 0 to 3"),
]


@pytest.mark.parametrize(("token_ids", "changed", "told"), WRONG_EDITS)
def test_an_edit_of_another_form_is_named_and_not_stretched(
    token_ids: Any, changed: Callable[[Tensor], Any], told: str
) -> None:
    """Stretched by broadcasting, a row would get another's numbers."""
    logits, history, stage = (
        torch.arange(12.0).reshape(3, 4),
        History.start([[]] * 3),
        Told(token_ids, changed),
    )
    for processor in (stage, chain(LogitBias({3: 1.0}), stage), chain(stage, TopP(0.9))):
        with pytest.raises(InvalidArgument, match=f"Told, {told}"):
            processor(logits, history)
    assert torch.equal(logits, torch.arange(12.0).reshape(3, 4))


class Kept(Truncation):
    """A truncation that says what a test wants."""

    name = "kept"

    def __init__(self, keep: Callable[[Tensor], Any], neutral: Any = None, sure: Any = None) -> None:
        self.rule, self.never, self.sure = keep, neutral, sure

    def keep(self, logits: Tensor, w: Tensor | None = None) -> Tensor:
        """So."""
        return self.rule(logits)

    def keep_candidates(self, candidates: Candidates) -> tuple[Tensor, Tensor | None]:
        """The same, sure or not."""
        return self.rule(candidates.logits), self.sure

    def neutral(self, logits: Tensor, width: int) -> Tensor:
        """This."""
        return super().neutral(logits, width) if self.never is None else self.never


def positive(logits: Tensor) -> Tensor:
    return logits > 0


@pytest.mark.parametrize(
    ("stage", "told"),
    [
        (
            Kept(lambda x: positive(x)[:1]),
            r"keep_candidates: got 'torch.bool \(1, (\d+)\)', must be torch.bool \(3, \1\)",
        ),
        (Kept(lambda x: positive(x)[0]), r"keep_candidates: got 'torch.bool \(\d+,\)', must be"),
        (
            Kept(lambda x: positive(x).long()),
            r"keep_candidates: got 'torch.int64 \(3, \d+\)', must be torch.bool",
        ),
        (
            Kept(positive, sure=torch.tensor(True)),
            r"keep_candidates: got 'torch.bool \(\)', must be torch.bool \(3,\)",
        ),
        (
            Kept(positive, torch.tensor([True])),
            r"neutral: got 'torch.bool \(1,\)', must be .*\(3, 1\) or \(1, 1\)",
        ),
    ],
)
def test_a_truncation_of_another_form_is_named(stage: Kept, told: str) -> None:
    with pytest.raises(InvalidArgument, match=f"Kept, {told}"):
        chain(Temperature(0.5), stage)(torch.ones(3, 4), History.start([[]] * 3))


def test_a_truncation_of_whole_rows_of_another_form_is_named() -> None:
    class Whole(Kept):
        def keep_candidates(self, candidates: Candidates) -> tuple[Tensor, Tensor | None]:
            return Truncation.keep_candidates(Kept(positive), candidates)

    with pytest.raises(
        InvalidArgument, match=r"Whole, keep: got 'torch.bool \(1, 4\)', must be torch.bool \(3, 4\)"
    ):
        Whole(lambda x: positive(x)[:1])(torch.ones(3, 4), History.start([[]] * 3))


class CalledBias(LogitBias):
    """A bias with a call of its own."""

    def __call__(self, logits: Tensor, history: History) -> Tensor:
        """Seven everywhere."""
        return torch.full_like(logits, 7.0)


class CalledTopP(TopP):
    """A truncation with a call of its own."""

    def __call__(self, logits: Tensor, history: History) -> Tensor:
        """What the class says, and seven for the first token."""
        result = super().__call__(logits, history)
        result[:, 0] = 7.0
        return result


def test_a_call_of_ones_own_is_what_runs_in_a_chain() -> None:
    logits = torch.tensor([[0.0, 1.0, 2.0]])
    seven = [[7.0, 7.0, 7.0]]
    assert chain(LogitBias({0: 1.0}), CalledBias({1: 2.0}))(logits, NOTHING).tolist() == seven
    assert chain(CalledBias({1: 2.0}), Temperature(1))(logits, NOTHING).tolist() == seven
    told = chain(LogitBias({1: -1.0}), Temperature(1), CalledTopP(0.5))
    assert told(logits, NOTHING).tolist() == [[7.0, -math.inf, 2.0]]
    assert told.trace(logits, NOTHING)[-1].after.top_ids[0, 0] == 0


@pytest.mark.parametrize("method", ["process", "__call__"])
@pytest.mark.parametrize("stage", [LogitBias({1: 2.0}), Temperature(0.5), TopP(0.5)], ids=repr)
def test_what_one_stage_has_of_its_own_is_what_runs(stage: Processor, method: str) -> None:
    """An attribute named like a method; Python takes it for `process`, and never for `__call__`."""
    own = copy.copy(stage)
    own.__dict__[method] = lambda logits, _: torch.full_like(logits, 7.0)
    logits = torch.tensor([[0.0, 1.0, 2.0]])
    alone = own(logits, NOTHING)
    assert (alone == 7).all() == (method == "process")
    for processor in (
        chain(LogitBias({0: -0.0}), own),
        chain(own),
        chain(LogitBias({2: 0.0}), own, Temperature(1)),
    ):
        assert torch.equal(processor(logits, NOTHING), alone)


@pytest.mark.parametrize("rule", ["integer", "gumbel"])
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_broken_row_leaves_the_others_alone(rule: str, bad: float) -> None:
    params = [SamplingParams(seed=seed, top_p=0.9) for seed in (1, 2)]
    logits = torch.tensor([[0.0, 1.0, 2.0], [0.0, 1.0, 2.0]])
    alone = Sampler(params[1:], vocab_size=3, rule=rule).step(logits[1:])
    logits[0] = bad
    both = Sampler(params, vocab_size=3, rule=rule).step(logits)
    assert both.token_ids.tolist() == [-1, *alone.token_ids.tolist()]
    assert both.status.tolist() == [2 if bad == -math.inf else 1, 0]


@pytest.mark.parametrize("rule", ["integer", "gumbel"])
def test_an_edit_that_overflows_breaks_its_own_row(rule: str) -> None:
    params = [SamplingParams(seed=1, top_p=0.9, repetition_penalty=1e-3), SamplingParams(seed=2)]
    sampler = Sampler(params, vocab_size=6, prompt_ids=[[0], []], rule=rule, dialect="vllm")
    logits = torch.zeros(2, 6)
    logits[0, 0] = 3e37
    out = sampler.step(logits)
    assert out.token_ids[0] == -1
    assert "repetition_penalty" in sampler.explain(int(out.status[0]))
    assert out.status[1] == 0


def test_a_truncation_that_says_nothing_of_candidates_is_asked_about_whole_rows_alone() -> None:
    class AboveTheMean(Truncation):
        """The tokens whose weight is at least the mean of the row's."""

        name, uses_weights = "above_the_mean", True

        def keep(self, logits: Tensor, w: Tensor | None = None) -> Tensor:
            assert w is not None
            assert logits.shape[1] == w.shape[1] == 1000
            return w * logits.shape[1] >= w.sum(-1, keepdim=True)

    logits = torch.randn(3, 1000, generator=torch.Generator().manual_seed(4)) * 3
    exact = torch.softmax(logits.double(), -1)
    kept = chain(Temperature(1.0), AboveTheMean())(logits).isfinite()
    assert torch.equal(kept, exact >= 1 / 1000)


def test_a_truncation_that_keeps_nothing_is_refused() -> None:
    stage = Kept(positive)
    logits = torch.tensor([[1.0, -1.0], [-1.0, -2.0], [2.0, 1.0]])
    words = "got 'no token of a row', must be at least one True in each row"
    history = History.start([[]] * 3)
    with pytest.raises(InvalidArgument, match=f"Kept, keep_candidates: {words}"):
        chain(Temperature(0.5), stage)(logits, history)
    unsure = Kept(positive, sure=torch.zeros(3, dtype=torch.bool))
    with pytest.raises(
        InvalidArgument, match=f"Kept, keep: {words}"
    ):  # whole rows, which are positive or not
        chain(Temperature(0.5), unsure)(logits, history)
