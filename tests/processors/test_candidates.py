"""Chains over leading tokens: not a bit differs from the definitions, applied to whole rows in plain Python."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

import oracle
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sampling_kernels.blocks import BlockedLogits
from sampling_kernels.candidates.blocks import CandidateBlocks
from sampling_kernels.candidates.candidates import Candidates
from sampling_kernels.candidates.constants import NUM_CANDIDATES
from sampling_kernels.gumbel import gumbel_noise, gumbel_sample
from torch import Tensor

from sampling import MinP, Temperature, TopK, TopP
from sampling.processors import ArgMax, Intersection, OrderPreservingStage, Truncation
from sampling.processors.run_stages import ReturnLogits, run, run_on_candidates, run_on_full_rows
from sampling.sampler.draw import RngKeys, SampleTokens

INF = math.inf
ROWS = 3
WIDTHS = [2, 5, 128, 129, 200, 300]
Row = list[float]
Kept = Callable[[Row], set[int]]
Plain = Callable[[Row], Row]


@dataclass(frozen=True)
class Stage:
    """A stage and, for each row, what its definition says in plain Python.

    Args:
        stage: The stage.
        plain: One function of a row for each row.
        kept: For truncations, the set that each row keeps.
    """

    stage: OrderPreservingStage
    plain: Sequence[Plain]
    kept: Sequence[Kept] = field(default=())


def truncation(stage: Truncation, kept: Sequence[Kept]) -> Stage:
    def banning(keep: Kept) -> Plain:
        return lambda row: oracle.keep(row, keep(row))

    return Stage(stage, [banning(keep) for keep in kept], kept)


def everything(row: Row) -> set[int]:
    return set(range(len(row)))


def cooling(temperatures: Sequence[float]) -> Stage:
    return Stage(Temperature(temperatures), [partial(oracle.temperature, t=t) for t in temperatures])


def top_k(ks: Sequence[int], low: str, ties: bool) -> Stage:
    rules = {"tie_break": low, "keep_ties": ties}
    return truncation(TopK(ks, **rules), [partial(oracle.top_k, k=k, **rules) for k in ks])


def top_p(ps: Sequence[float], low: str, stops: bool, ties: bool = False) -> Stage:
    rules = {"tie_break": low, "keep_ties": ties, "stops_at_equality": stops}
    return truncation(TopP(ps, **rules), [partial(oracle.nucleus, p=str(p), **rules) for p in ps])


def min_p(ps: Sequence[float], strict: bool = False) -> Stage:
    return truncation(MinP(ps, strict=strict), [partial(oracle.min_p, p=str(p), strict=strict) for p in ps])


def arg_max(marked: Sequence[bool]) -> Stage:
    return truncation(ArgMax(marked), [partial(oracle.top_k, k=1) if one else everything for one in marked])


def joint(parts: Sequence[Stage]) -> Stage:
    def common(place: int) -> Kept:
        return lambda row: set.intersection(*(part.kept[place](row) for part in parts))

    stages = [part.stage for part in parts if isinstance(part.stage, Truncation)]
    return truncation(Intersection(*stages), [common(place) for place in range(ROWS)])


def one_each(values: Sequence[float]) -> st.SearchStrategy[list[float]]:
    return st.lists(st.sampled_from(values), min_size=ROWS, max_size=ROWS)


temperatures = one_each([0.0, 1e-30, 0.01, 0.5, 1.0, 1.7, 1e12])
ks = one_each([0, 1, 2, 40, 127, 128, 129, 199, 200, 201, 2**31])
top_ps = one_each([0.0, 1e-30, 1e-12, 0.25, 0.5, 0.9, 0.999999999, 1.0])
min_ps = one_each([0.0, 1e-30, 1e-9, 0.1, 0.5, 1.0])


@st.composite
def chains(draw: st.DrawFn) -> list[Stage]:
    """Up to five stages; of equal logits, all prefer the same, since a joint could otherwise keep nothing."""
    low = draw(st.sampled_from(["lowest_id", "highest_id"]))
    parts = st.one_of(
        st.builds(top_k, ks, st.just(low), st.booleans()),
        st.builds(top_p, top_ps, st.just(low), st.booleans(), st.booleans()),
        st.builds(min_p, min_ps, st.booleans()),
    )
    joints = st.builds(joint, st.lists(parts, min_size=1, max_size=3))
    marked = st.builds(arg_max, st.lists(st.booleans(), min_size=ROWS, max_size=ROWS))
    stages = st.one_of(parts, st.builds(cooling, temperatures), joints, marked)
    return draw(st.lists(stages, min_size=1, max_size=5))


@st.composite
def batches(draw: st.DrawFn) -> Tensor:
    """Rows of one width, each peaked or flat, rounded or not, with or without bans.

    No -0.0: where a row's maximum is a zero, nothing says which of the two signs a temperature subtracts.
    """
    width = draw(st.sampled_from(WIDTHS))
    torch.manual_seed(draw(st.integers(0, 2**16)))
    return torch.stack([random_row(draw, width) for _ in range(ROWS)])


def random_row(draw: st.DrawFn, width: int) -> Tensor:
    row = torch.randn(width) * draw(st.sampled_from([0.0, 1e-3, 0.3, 1.0, 4.0, 12.0]))
    row = row.round() if draw(st.booleans()) else row
    banned = torch.rand(width) < draw(st.sampled_from([0.0, 0.0, 0.5, 0.99]))
    banned[int(torch.randint(width, (1,)))] = False
    return row.masked_fill(banned, -INF) + 0.0


def by_definition(chain: Sequence[Stage], logits: Tensor) -> Tensor:
    rows = logits.tolist()
    for stage in chain:
        rows = [plain(row) for plain, row in zip(stage.plain, rows, strict=True)]
    return torch.tensor(rows)


def keys() -> RngKeys:
    return RngKeys(torch.tensor([3, -1, 2**40]), torch.tensor([0, 7, 2**31]), torch.tensor([0, 1, 2]))


def drawn_by_definition(shaped: Tensor) -> list[int]:
    named = zip(*(part.tolist() for part in (keys().seed, keys().position, keys().choice)), strict=True)
    return [oracle.draw(row, *one) for row, one in zip(shaped.tolist(), named, strict=True)]


def drawn_by_gumbel(shaped: Tensor) -> list[int]:
    """Over whole rows: the rule's noise depends on the last bit of a logarithm, which Python's own need not share."""
    ids = torch.arange(shaped.shape[1])[None]
    noise = gumbel_noise(keys().seed, keys().position, keys().choice, ids)
    return gumbel_sample(shaped, noise).tolist()


def bits(logits: Tensor) -> list[list[int]]:
    return logits.view(torch.int32).tolist()


def check(chain: Sequence[Stage], logits: Tensor) -> tuple[int, int]:
    """All ways to shape and to draw against the definitions; rows in which leading tokens were enough, for either ending."""
    stages, expected = [one.stage for one in chain], by_definition(chain, logits)
    ending = ReturnLogits(logits.shape[1])
    assert bits(run(stages, logits, ending)) == bits(expected)
    assert bits(run_on_full_rows(stages, logits, ending)) == bits(expected)
    some, shaped = run_on_candidates(stages, CandidateBlocks.of(BlockedLogits.of(logits)), ending)
    assert bits(some[shaped]) == bits(expected[shaped])
    tokens, drawn = run_on_candidates(
        stages, CandidateBlocks.of(BlockedLogits.of(logits)), SampleTokens("integer", keys())
    )
    assert tokens[drawn].tolist() == torch.tensor(drawn_by_definition(expected))[drawn].tolist()
    assert run(stages, logits, SampleTokens("integer", keys())).tolist() == drawn_by_definition(expected)
    assert run(stages, logits, SampleTokens("gumbel", keys())).tolist() == drawn_by_gumbel(expected)
    return int(shaped.sum()), int(drawn.sum())


def usual_logits(vocabulary: int) -> Tensor:
    torch.manual_seed(vocabulary)
    return torch.randn(ROWS, vocabulary) * 4


@pytest.mark.parametrize("vocabulary", [200, 1003])
def test_leading_tokens_are_enough_for_usual_chains(vocabulary: int) -> None:
    chain = [
        cooling([0.7, 1.0, 0.9]),
        top_k([40, 50, 20], "lowest_id", False),
        top_p([0.9, 0.95, 0.5], "lowest_id", True),
    ]
    assert check(chain, usual_logits(vocabulary)) == (3, 3)
    assert check(
        [cooling([0.7, 0.3, 0.9]), top_p([0.9, 0.8, 0.5], "lowest_id", True)], usual_logits(vocabulary)
    ) == (3, 3)
    assert check([cooling([0.7, 0.0, 0.9]), min_p([0.1, 0.05, 0.5])], usual_logits(vocabulary)) == (3, 3)
    assert check([arg_max([True] * 3)], usual_logits(vocabulary)) == (3, 3)


def test_leading_tokens_are_not_enough() -> None:
    """Nothing banned, more kept than is in sight, ties with the ceiling, an exact hit, two temperatures before a nucleus."""
    usual, flat = usual_logits(300), torch.zeros(ROWS, 300)
    tied = torch.zeros(ROWS, 300).index_fill(1, torch.arange(5), 3.0)
    assert check([cooling([0.5, 1.0, 2.0])], usual) == (0, 0)
    assert check([top_k([0, 300, 301], "lowest_id", False)], usual) == (0, 0)
    assert check([top_k([129, 150, 299], "lowest_id", False)], usual) == (0, 0)
    assert check([top_p([0.9] * 3, "lowest_id", True)], flat) == (0, 0)
    assert check([min_p([0.5] * 3)], flat) == (0, 0)
    assert check([top_k([20, 5, 6], "lowest_id", False)], tied) == (1, 1)
    assert check([top_k([20, 5, 6], "lowest_id", True)], tied) == (1, 1)
    assert check([arg_max([True] * 3)], flat) == (0, 0)
    halves = torch.full((ROWS, 300), -100.0).index_fill(1, torch.arange(4), 1.0)
    assert check([top_p([0.5, 0.25, 0.6], "lowest_id", True)], halves) == (1, 1)
    assert (
        check([cooling([0.5] * 3), cooling([0.7, 1.0, 2.0]), top_p([0.9] * 3, "lowest_id", True)], usual)[0]
        == 0
    )


def test_a_nucleus_takes_a_second_look_where_the_first_does_not_tell() -> None:
    """Of mass 1 + 1 + 8190 e^-10 in sight and 4608 e^-10 out of sight, the first token holds 0.387.

    The first look knows the mass out of sight within a factor of 64: anything from 0.387 to 0.421.
    """
    row = torch.zeros(64 * 200)
    row[:2] = 10.0
    logits = row.expand(ROWS, -1).contiguous()
    assert check([top_p([0.4, 0.4, 0.4], "lowest_id", True)], logits) == (3, 3)
    assert check([top_p([0.3, 0.4, 0.2], "lowest_id", True)], logits) == (3, 3)


NOTHING_BANNED = [
    *(top_k([0, 300, 301], "lowest_id", False), top_p([1.0] * 3, "lowest_id", True), min_p([0.0] * 3)),
    *(arg_max([False] * 3), cooling([1.0] * 3)),
    joint([top_k([300, 0, 0], "lowest_id", False), top_p([1.0] * 3, "lowest_id", True), min_p([0.0] * 3)]),
]


@pytest.mark.parametrize("stage", NOTHING_BANNED, ids=lambda stage: repr(stage.stage))
def test_a_stage_that_bans_nothing_costs_no_certainty(stage: Stage) -> None:
    assert check([stage, top_p([0.9, 0.5, 0.8], "lowest_id", True)], usual_logits(300)) == (3, 3)
    assert check([stage, arg_max([True] * 3)], usual_logits(300)) == (3, 3)


SOME_BANNED = [
    *(
        top_k([150] * 3, "lowest_id", False),
        top_k([299] * 3, "lowest_id", False),
        top_p([0.93] * 3, "lowest_id", True),
    ),
    *(min_p([0.04] * 3), cooling([0.5, 2.0, 0.9])),
    joint([top_k([150] * 3, "lowest_id", False), min_p([0.0] * 3)]),
    joint([top_k([0] * 3, "lowest_id", False), min_p([0.04] * 3)]),
]


def hill_on_a_plain() -> Tensor:
    """50 tokens near 3 hold four fifths of the weight, 250 near 0 the rest: what is banned out of sight moves a nucleus."""
    row = torch.cat([torch.linspace(3, 2.9, 50), torch.linspace(0.1, 0, 250)])
    return row.expand(ROWS, -1).contiguous()


@pytest.mark.parametrize("stage", SOME_BANNED, ids=lambda stage: repr(stage.stage))
def test_a_stage_that_bans_what_is_out_of_sight_is_not_sure(stage: Stage) -> None:
    plain = hill_on_a_plain()
    expected = (3, 3) if isinstance(stage.stage, Temperature) else (0, 0)
    assert check([stage, top_p([0.5, 0.3, 0.1], "lowest_id", True)], plain) == expected


def test_where_a_stage_bans_nothing_is_a_matter_of_the_row() -> None:
    plain, nucleus = hill_on_a_plain(), top_p([0.5] * 3, "lowest_id", True)
    assert check([top_k([0, 150, 300], "lowest_id", False), nucleus], plain) == (2, 2)
    assert check([top_k([5, 0, 300], "lowest_id", False), nucleus], plain) == (3, 3)
    assert check([top_p([0.93, 1.0, 0.93], "lowest_id", True), nucleus], plain) == (1, 1)
    assert check([min_p([0.04, 0.04, 0.0]), nucleus], plain) == (1, 1)


def test_each_row_is_completed_by_itself() -> None:
    logits = torch.stack([usual_logits(300)[0], torch.zeros(300), usual_logits(300)[2]])
    assert check(
        [top_k([3, 0, 5], "lowest_id", False), top_p([0.9, 0.9, 0.5], "lowest_id", True)], logits
    ) == (2, 2)


def test_a_draw_that_is_not_sure_is_drawn_from_whole_rows() -> None:
    """Keys with the u that passes a running sum of two equal logits, one unit before it, and far from it."""
    logits = torch.full((ROWS, 300), -100.0).index_fill(1, torch.tensor([7, 9]), 1.0)
    uniform = torch.tensor([2**31, 2**31 - 1, 2**30]), torch.tensor([0, 2**32 - 1, 0])
    chosen = RngKeys(keys().seed, keys().position, keys().choice, uniform)
    stages = [TopK(2)]
    _, sure = run_on_candidates(
        stages, CandidateBlocks.of(BlockedLogits.of(logits)), SampleTokens("integer", chosen)
    )
    assert sure.tolist() == [False, False, True]
    assert run(stages, logits, SampleTokens("integer", chosen)).tolist() == [9, 7, 7]


def test_a_wide_vocabulary() -> None:
    """More chunks than are in sight: 140 whose largest token is above 8, one full of 7s, and a flat tail."""
    row = torch.zeros(64 * 160)
    row[: 64 * 140 : 64] = torch.linspace(8, 8.1, 140)
    row[-64:] = 7.0
    logits = row.expand(ROWS, -1)
    check([top_k([100, 128, 140], "lowest_id", False)], logits)
    check([cooling([0.1, 0.02, 0.01]), top_p([0.01, 0.3, 0.001], "lowest_id", True)], logits)


def test_the_remainder_bound_is_above_all_that_is_no_candidate() -> None:
    logits = usual_logits(300)
    candidates = Candidates.of(CandidateBlocks.of(BlockedLogits.of(logits)))
    left = logits.scatter(1, candidates.token_ids[:, :-1], -INF)
    assert candidates.token_ids.shape == (ROWS, NUM_CANDIDATES + 1)
    assert candidates.logits[:, -1].tolist() == left.amax(-1).tolist()
    assert candidates.certain.all()
    assert not candidates.remainder_is_masked.any()


@settings(max_examples=100)
@given(chains(), batches())
def test_any_chain(chain: list[Stage], logits: Tensor) -> None:
    check(chain, logits)


@settings(max_examples=25)
@given(temperatures, top_ps, min_ps, batches())
def test_two_temperatures(first: list[float], ps: list[float], mins: list[float], logits: Tensor) -> None:
    """In front, around and behind a truncation."""
    again = cooling([0.5, 2.0, 1.0])
    check([cooling(first), again, top_p(ps, "lowest_id", True)], logits)
    check([cooling(first), top_p(ps, "lowest_id", True), again, min_p(mins)], logits)
