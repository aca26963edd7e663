"""What a stage that shapes a distribution need not say itself: which way it is run, weights, rows that are broken."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import oracle
import pytest
import torch
from sampling_kernels.blocks import BlockedLogits
from sampling_kernels.candidates.blocks import CandidateBlocks
from sampling_kernels.candidates.float_filters import exp_logits
from sampling_kernels.candidates.normalizer_bounds import float32_bounds
from sampling_kernels.truncation import top_k_mask
from sampling_kernels.weights import weights
from torch import Tensor

from sampling import History, InvalidArgument, MinP, Temperature, TopK, TopP, chain
from sampling.processors import ArgMax, Intersection, OrderPreservingStage, Truncation
from sampling.processors.run_stages import (
    ReturnLogits,
    process_logits,
    run,
    run_on_candidates,
    run_on_full_rows,
)
from sampling.sampler.draw import RngKeys, SampleTokens

INF = math.inf


def usual_logits() -> Tensor:
    torch.manual_seed(300)
    return torch.randn(3, 300) * 4


def hill_on_a_plain() -> Tensor:
    """50 tokens near 3 and 250 near 0."""
    return torch.cat([torch.linspace(3, 2.9, 50), torch.linspace(0.1, 0, 250)])


def bits(logits: Tensor) -> list[list[int]]:
    return logits.view(torch.int32).tolist()


def count_calls(monkeypatch: pytest.MonkeyPatch, function: Callable[..., Any], *modules: str) -> list[Any]:
    """Replace a function of some modules by one that notes its last argument."""
    calls: list[Any] = []

    def noted(*given: Any) -> Any:
        calls.append(given[-1])
        return function(*given)

    for module in modules:
        monkeypatch.setattr(f"{module}.{function.__name__}", noted)
    return calls


@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize("stage", [Temperature([0.5, 2.0]), TopK([1, 2]), MinP([0.5, 0.1])], ids=repr)
def test_numbers_of_another_batch_are_refused_whichever_way(stage: OrderPreservingStage, rows: int) -> None:
    with pytest.raises(InvalidArgument, match=f"{stage.name}: got '2 values', .* each of the {rows} rows"):
        stage.check(torch.zeros(rows, 4))
    with pytest.raises(InvalidArgument, match=stage.name):
        run([stage], torch.zeros(rows, 4), ReturnLogits(4))


def test_whole_rows_are_not_looked_at_in_vain(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor are candidates, where no stage bans what is behind them, or where a look at values would cost something."""
    whole = count_calls(monkeypatch, run_on_full_rows, "sampling.processors.run_stages")
    candidates = count_calls(monkeypatch, run_on_candidates, "sampling.processors.run_stages")
    run([TopK(5)], usual_logits(), ReturnLogits(300))
    run([Temperature(0.5), TopK(5)], usual_logits(), ReturnLogits(300))
    run([Temperature(0.5)], usual_logits(), ReturnLogits(300))
    run([], usual_logits(), ReturnLogits(300))
    assert (len(candidates), len(whole)) == (2, 2)
    monkeypatch.setattr("sampling.processors.run_stages.can_sync", lambda _: False)  # as on a GPU
    run([TopK(5)], usual_logits(), ReturnLogits(300))
    run([Temperature(0.5)], usual_logits(), ReturnLogits(300))
    assert (len(candidates), len(whole)) == (2, 4)


ALL = [
    (Temperature(0.5), TopK(5), TopP(0.9)),
    (Temperature([0.0, 0.5, 1.0]), TopP(0.9), MinP(0.1)),
    (Intersection(TopK(20), TopP(0.9), MinP(0.1)), ArgMax([True, False, True])),
]


def test_every_token_is_looked_at_in_doubtful_rows_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """For row 1 it takes the total to a factor of 1.1 to tell whether the first token holds p = 0.4 of it."""
    logits = torch.zeros(3, 64 * 200)
    logits[:, :2] = 10.0
    bounds = count_calls(monkeypatch, float32_bounds, "sampling_kernels.candidates.candidates")
    sums = count_calls(monkeypatch, exp_logits, "sampling_kernels.candidates.candidates")
    for ps, left, looks in (([0.3] * 3, [1, 1, 1], []), ([0.3, 0.4, 0.2], [1, 2, 1], [1])):
        kept = run([TopP(ps)], logits, ReturnLogits(64 * 200)) > -INF
        assert kept.sum(-1).tolist() == left
        assert [len(temperatures) for temperatures in bounds] == looks
    assert len(sums) == 2  # once in each run


@pytest.mark.parametrize("stages", ALL, ids=repr)
def test_nothing_looks_at_values_where_that_would_cost_something(
    stages: Sequence[OrderPreservingStage],
) -> None:
    """A tensor on the device "meta" has no values: a look at one is an error, as a compiled graph or a GPU has it."""
    logits = usual_logits().to("meta")
    assert run(stages, logits, ReturnLogits(300)).shape == (3, 300)
    result, sure = run_on_candidates(stages, CandidateBlocks.of(BlockedLogits.of(logits)), ReturnLogits(300))
    assert result.shape == (3, 300)
    assert sure.shape == (3,)


def test_the_total_of_a_row_that_is_all_there_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside a row that is not, and where no second look is taken, as on a GPU: 5 of 300 tokens are left in row 0."""
    for module in ("sampling_kernels.candidates.candidates", "sampling.processors.truncation"):
        monkeypatch.setattr(f"{module}.can_sync", lambda _: False)
    logits = hill_on_a_plain().expand(3, -1)
    result, sure = run_on_candidates(
        [TopK([5, 0, 300]), TopP(0.5)], CandidateBlocks.of(BlockedLogits.of(logits)), ReturnLogits(300)
    )
    assert sure.all()
    assert (result > -INF).sum(-1).tolist() == [3, 32, 32]


ALL_WEIGH = [
    *((TopP(0.9), MinP(0.1)), (MinP(0.1), TopP(0.9)), (Intersection(TopK(20), TopP(0.9)), MinP(0.1))),
    (Intersection(MinP(0.1), TopK(20)), TopP(0.5), Intersection(TopP(0.5), MinP(0.1))),
]


def to_tokens() -> SampleTokens:
    one = torch.tensor([1, 2, 3])
    return SampleTokens("integer", RngKeys(one, one, one))


@pytest.mark.parametrize("stages", ALL_WEIGH, ids=repr)
def test_weights_are_computed_once_for_all_stages_and_the_draw(
    stages: Sequence[Truncation], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = count_calls(
        monkeypatch, weights, "sampling_kernels.weighted_logits", "sampling_kernels.truncation"
    )
    run_on_full_rows(stages, usual_logits(), to_tokens())
    assert len(calls) == 1


@pytest.mark.parametrize("stages", ALL_WEIGH, ids=repr)
def test_so_are_the_exponentials_of_candidates(
    stages: Sequence[Truncation], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = count_calls(monkeypatch, exp_logits, "sampling_kernels.candidates.candidates")
    run_on_candidates(stages, CandidateBlocks.of(BlockedLogits.of(usual_logits())), to_tokens())
    assert len(calls) == 1


class AboveTheMean(Truncation):
    """Keep what is above the mean of the whole row: nothing but `keep` is written."""

    name = "above_the_mean"

    def __init__(self) -> None:
        self.given: list[Tensor | None] = []

    def keep(self, logits: Tensor, w: Tensor | None = None) -> Tensor:
        """Note the weights."""
        self.given.append(w)
        return logits.double() >= logits.double().mean(-1, keepdim=True)


class First150(Truncation):
    """Sure of the candidates, but does not say where it bans nothing."""

    name = "first_150"

    def keep(self, logits: Tensor, w: Tensor | None = None) -> Tensor:
        """Keep 150."""
        return top_k_mask(logits, torch.full((len(logits), 1), 150))

    def keep_candidates(self, candidates: Any) -> tuple[Tensor, Tensor | None]:
        """The same."""
        return self.keep(candidates.logits), None


def test_a_truncation_is_not_certain_of_candidates_unless_it_says_so() -> None:
    logits = usual_logits()
    expected = [[x if x >= sum(row) / len(row) else -INF for x in row] for row in logits.tolist()]
    assert run([AboveTheMean()], logits, ReturnLogits(300)).tolist() == expected


def test_a_truncation_is_given_no_weights_unless_it_asks() -> None:
    stage = AboveTheMean()
    run_on_full_rows([stage, TopP(0.9), stage], usual_logits(), ReturnLogits(300))
    assert stage.given[0] is None
    assert isinstance(stage.given[1], Tensor)


def test_a_truncation_may_ban_anywhere_unless_it_says_so() -> None:
    """Whether the last 150 are banned moves the nucleus from 32 tokens to 28."""
    row = hill_on_a_plain()
    first = oracle.keep(row.tolist(), oracle.top_k(row.tolist(), 150))
    expected = oracle.keep(first, oracle.nucleus(first, "0.5"))
    assert sum(x > -INF for x in expected) == 28
    assert run([First150(), TopP(0.5)], row.expand(3, -1), ReturnLogits(300)).tolist() == [expected] * 3


def test_rows_that_can_not_be_sampled_stay_as_they_are() -> None:
    broken = [[math.nan, 0.0, 1.0], [INF, 0.0, 1.0], [-INF, -INF, -INF], [INF, -INF, math.nan]]
    logits = torch.tensor([[0.0, 2.0, 1.0], *broken])
    for stages, first in (((TopK(1),), [-INF, 2, -INF]), ((Temperature(0.5),), [-4, 0, -2])):
        result = process_logits(stages, logits)
        assert result[0].tolist() == first
        assert bits(result[1:]) == bits(logits[1:])
        assert chain(*stages)(logits, History.start([[]] * 5))[0].tolist() == first
