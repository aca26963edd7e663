"""top_p, top_k and min_p, in both forms, against sets of Python integers and Fractions."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from itertools import product

import oracle
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sampling_kernels import reference
from sampling_kernels.fixed_point import to_fixed_point
from sampling_kernels.truncation import (
    argmax_mask,
    min_p_mask,
    top_k_mask,
    top_p_mask,
)
from sampling_kernels.weights import weights
from torch import Tensor

INF = math.inf
DECIMALS = [
    "0",
    "1e-30",
    "1e-19",
    "0.1",
    "0.25",
    "0.5",
    "0.75",
    "0.9",
    "0.95",
    "0.999999",
    "0.9999999999999999",
    "1",
]
Keep = Callable[..., Tensor]
RULES = ("tie_break", "keep_ties", "stops_at_equality")
TIE_BREAKS = ("lowest_id", "highest_id")
ORDERS = [*product(TIE_BREAKS, (True, False), (True, False))]

levels = st.sampled_from([0.0, -0.0, 1.0, -1.0, 2.5, -20.0, -31.0, -INF])
rows = st.lists(st.one_of(levels, st.floats(-40, 3, width=32)), max_size=25)
decimals = st.one_of(
    st.sampled_from(DECIMALS),
    st.floats(0, 1).map(str),
    st.fractions(0, 1, max_denominator=64).map(lambda x: str(float(x))),
)


def top_p_of_weighed(logits: Tensor, share: Tensor, **rules: bool) -> Tensor:
    return top_p_mask(logits, share, weights(logits), **rules)


def min_p_of_weighed(logits: Tensor, share: Tensor, **rules: bool) -> Tensor:
    return min_p_mask(logits, share, weights(logits), **rules)


every_top_p = pytest.mark.parametrize("keep", [reference.top_p_mask, top_p_mask, top_p_of_weighed])
every_top_k = pytest.mark.parametrize("keep", [reference.top_k_mask, top_k_mask])
every_min_p = pytest.mark.parametrize("keep", [min_p_mask, min_p_of_weighed])


def sets(kept: Tensor) -> list[set[int]]:
    return [set(row.nonzero().flatten().tolist()) for row in kept]


def column(decimals: list[str]) -> Tensor:
    return torch.tensor([[to_fixed_point(p)] for p in decimals])


def sample_rows(vocabulary: int) -> Tensor:
    """Peaked, flat, tied, and mostly banned rows."""
    torch.manual_seed(vocabulary)
    normal = torch.randn(vocabulary)
    banned = torch.where(torch.rand(vocabulary) < 0.6, -INF, normal)
    banned[-1] = 0.5
    return torch.stack(
        [normal * 6, normal * 0.1, torch.zeros(vocabulary), (normal * 2).round(), banned, normal.abs() * -40]
    )


@every_top_p
@given(rows, st.floats(-10, 10, width=32), decimals, st.sampled_from(ORDERS))
def test_top_p(keep: Keep, row: list[float], finite: float, p: str, order: tuple[bool, ...]) -> None:
    row, rule = [*row, finite], dict(zip(RULES, order, strict=True))
    kept = keep(torch.tensor([row]), column([p]), **rule)
    assert sets(kept) == [oracle.nucleus(row, p, **rule)]


@every_top_p
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("vocabulary", [2, 3, 257, 1000])
def test_top_p_of_whole_batches(keep: Keep, vocabulary: int, order: tuple[bool, ...]) -> None:
    rule = dict(zip(RULES, order, strict=True))
    logits = sample_rows(vocabulary)
    for p in ["1e-30", "0.3", "0.5", "0.9", "0.99999999", "1"]:
        expected = [oracle.nucleus(row, p, **rule) for row in logits.tolist()]
        assert sets(keep(logits, column([p] * len(logits)), **rule)) == expected


@every_top_p
def test_each_row_has_its_own_share(keep: Keep) -> None:
    logits = sample_rows(60)[[0, 1, 2, 3, 4, 5] * 2]
    kept = keep(logits, column(DECIMALS))
    assert sets(kept) == [oracle.nucleus(row, p) for row, p in zip(logits.tolist(), DECIMALS, strict=True)]


@every_top_p
@pytest.mark.parametrize("equal", [2, 3, 4, 7, 8, 10, 1000])
def test_exact_hits_among_equal_logits(keep: Keep, equal: int) -> None:
    """With n equal logits and p = k / n written exactly: k tokens, or k + 1 where an exact hit takes one more."""
    logits = torch.full((1, equal), 3.25)
    for k in range(1, equal, max(1, equal // 10)):
        share = Fraction(k, equal) * 2**62
        if share.denominator > 1:
            continue
        shares = torch.tensor([[int(share)]])
        assert sets(keep(logits, shares)) == [set(range(k))]
        assert sets(keep(logits, shares, stops_at_equality=False)) == [set(range(k + 1))]
        highest = set(range(equal - k, equal))
        assert sets(keep(logits, shares, tie_break="highest_id")) == [highest]


@every_top_p
def test_ten_equal_logits_and_nine_tenths_keep_nine(keep: Keep) -> None:
    logits = torch.full((1, 10), -7.0)
    assert sets(keep(logits, column(["0.9"]))) == [set(range(9))]
    assert sets(keep(logits, column(["0.9000000000000001"]))) == [set(range(10))]


@every_top_p
def test_one_unit_around_an_exact_hit(keep: Keep) -> None:
    logits, hit = torch.zeros(1, 8), 3 * 2**60
    counts = {
        stops: [
            int(keep(logits, torch.tensor([[hit + i]]), stops_at_equality=stops).sum()) for i in (-1, 0, 1)
        ]
        for stops in (True, False)
    }
    assert counts == {True: [6, 6, 7], False: [6, 7, 7]}


@every_top_p
def test_top_p_at_its_ends(keep: Keep) -> None:
    logits = torch.tensor([[0.0, -50.0, -INF, -20.0, 0.0]])
    assert sets(keep(logits, column(["0"]))) == [{0}]
    assert sets(keep(logits, column(["0"]), tie_break="highest_id")) == [{4}]
    assert sets(keep(logits, column(["1"]))) == [{0, 1, 2, 3, 4}]
    assert sets(keep(logits, torch.tensor([[2**62 - 1]]))) == [{0, 3, 4}]


@every_top_p
def test_the_largest_share_below_one_leaves_out_nothing_that_weighs_anything(keep: Keep) -> None:
    """2^18 tokens of weight 2^43 and one of weight 1: Z = 2^61 + 1, and ceil((2^62 - 1) Z / 2^62) = Z."""
    logits = torch.zeros(1, 2**18 + 2)
    logits[0, 1], logits[0, 2] = -30.4, -30.5
    assert oracle.weights([0.0, -30.4, -30.5]) == [2**43, 1, 0]
    kept = keep(logits, torch.tensor([[2**62 - 1]]))
    assert (~kept).nonzero().tolist() == [[0, 2]]


@given(rows, st.floats(-10, 10, width=32))
def test_first(row: list[float], finite: float) -> None:
    row = [*row, finite]
    assert sets(argmax_mask(torch.tensor([row]))) == [oracle.top_k(row, 1)]


@every_top_k
@given(rows, st.floats(-10, 10, width=32), st.integers(0, 30), st.sampled_from(TIE_BREAKS), st.booleans())
def test_top_k(keep: Keep, row: list[float], finite: float, k: int, low: str, ties: bool) -> None:
    row, rule = [*row, finite], {"tie_break": low, "keep_ties": ties}
    kept = keep(torch.tensor([row]), torch.tensor([[k]]), **rule)
    assert sets(kept) == [oracle.top_k(row, k, **rule)]


@every_top_k
def test_top_k_keeps_low_ids_and_no_ties_unless_told(keep: Keep) -> None:
    assert sets(keep(torch.tensor([[1.0, 3.0, 2.0, 2.0]]), torch.tensor([[2]]))) == [{1, 2}]


@every_top_k
@pytest.mark.parametrize("vocabulary", [2, 3, 257, 1000])
def test_top_k_of_whole_batches(keep: Keep, vocabulary: int) -> None:
    logits, ks = sample_rows(vocabulary), [0, 1, 2, vocabulary // 2, vocabulary, vocabulary + 5]
    for low in TIE_BREAKS:
        for ties in (True, False):
            rule = {"tie_break": low, "keep_ties": ties}
            expected = [oracle.top_k(row, k, **rule) for row, k in zip(logits.tolist(), ks, strict=True)]
            assert sets(keep(logits, torch.tensor(ks)[:, None], **rule)) == expected


@every_min_p
@given(rows, st.floats(-10, 10, width=32), decimals, st.booleans())
def test_min_p(keep: Keep, row: list[float], finite: float, p: str, strict: bool) -> None:
    row = [*row, finite]
    kept = keep(torch.tensor([row]), column([p]), strict=strict)
    assert sets(kept) == [oracle.min_p(row, p, strict=strict)]


@every_min_p
def test_a_token_exactly_at_min_p(keep: Keep) -> None:
    """The share is the token's own: it stays, or goes where that is not enough, a unit of float32 around it included."""
    logits = torch.tensor([[0.0, -1.0, -2.0]])
    share = weights(logits)[:, 1:2] << 19  # in units of 2^-62; weights are in units of 2^-43
    assert [sets(keep(logits, share, strict=strict)) for strict in (False, True)] == [[{0, 1}], [{0}]]
    assert [sets(keep(logits, share - (share >> n), strict=True)) for n in (22, 24)] == [[{0, 1}], [{0}]]
    assert sets(keep(logits, torch.tensor([[2**62]]), strict=True)) == [{0}]
    assert sets(keep(torch.tensor([[0.0, -90.0]]), torch.tensor([[0]]), strict=True)) == [{0, 1}]


@every_min_p
@pytest.mark.parametrize("vocabulary", [2, 3, 257, 1000])
def test_min_p_of_whole_batches(keep: Keep, vocabulary: int) -> None:
    logits = sample_rows(vocabulary)
    for shares in (DECIMALS[:6], DECIMALS[6:]):
        expected = [oracle.min_p(row, p) for row, p in zip(logits.tolist(), shares, strict=True)]
        assert sets(keep(logits, column(shares))) == expected


@every_min_p
def test_min_p_hand_computed(keep: Keep) -> None:
    logits = torch.tensor([[5.0, 5.0, 4.0, -INF]])
    assert sets(keep(logits, column(["1"]))) == [{0, 1}]
    assert sets(keep(logits, column(["0.36"]))) == [{0, 1, 2}]  # 1/e = 0.3679
    assert sets(keep(logits, column(["0.37"]))) == [{0, 1}]


@every_min_p
def test_min_p_one_unit_around_a_weight(keep: Keep) -> None:
    """A weight w is the share w 2^19 of the likeliest, exactly; one unit of 2^-62 more is too much."""
    logits = torch.tensor([[0.0, -1.0]])
    exact = oracle.weights([0.0, -1.0])[1] << 19
    counts = [int(keep(logits, torch.tensor([[exact + i]])).sum()) for i in (-1, 0, 1)]
    assert counts == [2, 2, 1]
