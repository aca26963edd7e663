"""The search for a truncation's last token: the same set as its twin and as a prefix taken in plain Python."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from itertools import accumulate
from typing import Any

import oracle
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sampling_kernels import reference
from sampling_kernels.fixed_point import to_fixed_point
from sampling_kernels.radix_select import narrow_to_bin, prefix_mask, select_digit, select_threshold
from sampling_kernels.truncation import (
    min_p_mask,
    top_k_mask,
    top_p_mask,
)
from sampling_kernels.weights import weights
from torch import Tensor

WIDTHS = [2, 3, 63, 64, 65, 127, 1000, 1003, 8199]
SHARES = [to_fixed_point(p) for p in ("0", "1e-12", "0.5", "0.9", "0.999999999", "1")]
ORDERS = [(low, stops) for low in ("lowest_id", "highest_id") for stops in (True, False)]
HardRows = Callable[[int], Tensor]


class Prefixes:
    """One row's prefixes in one order, summed once."""

    def __init__(self, row: list[float], tie_break: str) -> None:
        self.row, self.ids = row, oracle.order(row, tie_break)
        w = oracle.weights(row)
        self.running = list(accumulate(w[i] for i in self.ids))

    def nucleus(self, share: int, stops_at_equality: bool) -> list[bool]:
        total = self.running[-1]
        if share == 2**62:
            return [True] * len(self.row)
        needed = -(-share * total // 2**62) if stops_at_equality else share * total // 2**62 + 1
        return self.first(1 + bisect_left(self.running, max(1, needed)))

    def top_k(self, k: int, keep_ties: bool) -> list[bool]:
        count = k if 0 < k < len(self.row) else len(self.row)
        last = self.row[self.ids[count - 1]]
        return [x >= last for x in self.row] if keep_ties else self.first(count)

    def first(self, count: int) -> list[bool]:
        kept = set(self.ids[:count])
        return [i in kept for i in range(len(self.row))]


def column(numbers: list[int]) -> Tensor:
    return torch.tensor(numbers)[:, None]


def alone_and_together(keep: Callable[..., Tensor], logits: Tensor, numbers: Tensor, **rules: Any) -> Tensor:
    """The rows as a batch, after a check that each gives the same alone."""
    together = keep(logits, numbers, **rules)
    alone = [keep(logits[i : i + 1], numbers[i : i + 1], **rules) for i in range(len(logits))]
    assert torch.equal(together, torch.cat(alone))
    return together


@pytest.mark.parametrize(("tie_break", "stops_at_equality"), ORDERS)
@pytest.mark.parametrize("vocabulary", WIDTHS)
def test_top_p(hard_rows: HardRows, vocabulary: int, tie_break: str, stops_at_equality: bool) -> None:
    logits, rules = (
        hard_rows(vocabulary),
        {"tie_break": tie_break, "stops_at_equality": stops_at_equality},
    )
    prefixes = [Prefixes(row, tie_break) for row in logits.tolist()]
    for share in SHARES:
        shares = torch.full((len(logits), 1), share)
        expected = [row.nucleus(share, stops_at_equality) for row in prefixes]
        assert alone_and_together(top_p_mask, logits, shares, **rules).tolist() == expected
        assert reference.top_p_mask(logits, shares, **rules).tolist() == expected


@pytest.mark.parametrize("keep_ties", [True, False])
@pytest.mark.parametrize("tie_break", ["lowest_id", "highest_id"])
@pytest.mark.parametrize("vocabulary", WIDTHS)
def test_top_k(hard_rows: HardRows, vocabulary: int, tie_break: str, keep_ties: bool) -> None:
    logits, rules = hard_rows(vocabulary), {"tie_break": tie_break, "keep_ties": keep_ties}
    prefixes = [Prefixes(row, tie_break) for row in logits.tolist()]
    for k in (0, 1, 2, vocabulary - 1, vocabulary, vocabulary + 1):
        ks = torch.full((len(logits), 1), k)
        expected = [row.top_k(k, keep_ties) for row in prefixes]
        assert alone_and_together(top_k_mask, logits, ks, **rules).tolist() == expected
        assert reference.top_k_mask(logits, ks, **rules).tolist() == expected


@pytest.mark.parametrize("vocabulary", WIDTHS)
def test_min_p(hard_rows: HardRows, vocabulary: int) -> None:
    logits = hard_rows(vocabulary)
    for share in [*SHARES, 1, 2**19, 2**19 + 1]:  # one unit of weight is 2^19 units of share
        shares = torch.full((len(logits), 1), share)
        expected = [[w * 2**62 >= share * 2**43 for w in oracle.weights(row)] for row in logits.tolist()]
        assert alone_and_together(min_p_mask, logits, shares).tolist() == expected


@pytest.mark.parametrize("tie_break", ["lowest_id", "highest_id"])
@pytest.mark.parametrize("equal", [2, 3, 4, 64, 100, 128, 1000])
def test_shares_at_and_beside_every_prefix_of_equal_logits(equal: int, tie_break: str) -> None:
    """P = j / n as close as a share comes, one unit below and one above; other tokens lie below, with no weight."""
    counts = sorted({1, 2, equal // 3, equal // 2, equal - 1} - {0})
    shares = [min(j * 2**62 // equal + off, 2**62 - 1) for j in counts for off in (-1, 0, 1)]
    row = [-100.0, *[1.5] * equal, -100.0]
    logits, prefix = torch.tensor([row]).expand(len(shares), -1), Prefixes(row, tie_break)
    for stops in (True, False):
        rules = {"tie_break": tie_break, "stops_at_equality": stops}
        expected = [prefix.nucleus(share, stops) for share in shares]
        assert alone_and_together(top_p_mask, logits, column(shares), **rules).tolist() == expected
        assert reference.top_p_mask(logits, column(shares), **rules).tolist() == expected


@pytest.mark.parametrize("tie_break", ["lowest_id", "highest_id"])
@pytest.mark.parametrize("vocabulary", [3, 65, 300])
def test_shares_at_and_beside_every_prefix(hard_rows: HardRows, vocabulary: int, tie_break: str) -> None:
    """Of each row, the least share that needs one token more than a prefix, and its neighbours."""
    for row in hard_rows(vocabulary).tolist():
        prefix = Prefixes(row, tie_break)
        hits = [w * 2**62 // prefix.running[-1] for w in prefix.running[:: max(1, vocabulary // 20)]]
        shares = [min(hit + off, 2**62 - 1) for hit in hits for off in (-1, 0, 1)]
        logits = torch.tensor([row]).expand(len(shares), -1)
        for stops in (True, False):
            rules = {"tie_break": tie_break, "stops_at_equality": stops}
            got = alone_and_together(top_p_mask, logits, column(shares), **rules)
            assert got.tolist() == [prefix.nucleus(share, stops) for share in shares]


def test_rows_with_different_numbers(hard_rows: HardRows) -> None:
    logits = hard_rows(1003)
    shares = [SHARES[i % len(SHARES)] for i in range(15)]
    ks = [(0, 1, 2, 40, 1002, 1003, 1004)[i % 7] for i in range(15)]
    rows = [Prefixes(row, "lowest_id") for row in logits.tolist()]
    top_p = [row.nucleus(share, True) for row, share in zip(rows, shares, strict=True)]
    assert top_p_mask(logits, column(shares)).tolist() == top_p
    top_k = [row.top_k(k, False) for row, k in zip(rows, ks, strict=True)]
    assert top_k_mask(logits, column(ks)).tolist() == top_k


digits = st.integers(0, 2**11 - 1)


@given(
    st.lists(st.tuples(digits, st.integers(0, 2**43)), max_size=20), digits, st.integers(1, 2**43), st.data()
)
def test_largest_digit(tokens: list[tuple[int, int]], digit: int, positive: int, data: st.DataObject) -> None:
    tokens = [*tokens, (digit, positive)]
    needed = data.draw(st.integers(1, sum(w for _, w in tokens)))

    def weight_from(lowest: int) -> int:
        return sum(w for digit, w in tokens if digit >= lowest)

    expected = max(d for d, _ in tokens if weight_from(d) >= needed)
    ids, w = (torch.tensor([[token[i] for token in tokens]]) for i in (0, 1))
    got, rest = select_digit(ids, w, torch.tensor([[needed]]), 11)
    assert (int(got), int(rest)) == (expected, needed - weight_from(expected + 1))


@pytest.mark.parametrize("vocabulary", [2, 65, 1003])
def test_near_the_end_holds_all_that_decides(hard_rows: HardRows, vocabulary: int) -> None:
    """What it leaves out is all above or all below what it takes, and what is above counts as done."""
    for row in hard_rows(vocabulary):
        w = weights(row[None])
        for part in (0.0, 0.5, 0.9, 0.999999999):
            needed = 1 + int(part * (int(w.sum()) - 1))
            near, own, rest = narrow_to_bin(row[None], w, torch.tensor([[needed]]))
            last = oracle.order(row.tolist())[bisect_left(Prefixes(row.tolist(), True).running, needed)]
            assert row[last] in near[0]
            above, below = row > near.amax(), row < near.amin()
            assert int((~above & ~below).sum()) == near.shape[1]
            assert int(own.sum()) == int(w[0][~above & ~below].sum())
            assert int(rest) == needed - int(w[0][above].sum())


def test_near_the_end_is_within_a_64th(hard_rows: HardRows) -> None:
    """Of the tokens that weigh anything, it takes those in one bin, however many there are."""
    for row in [*hard_rows(1003), torch.linspace(5, -25, 1003)]:
        w = weights(row[None])
        for part in (0.1, 0.5, 0.9, 0.99):
            near, own, _ = narrow_to_bin(row[None], w, torch.tensor([[1 + int(part * (int(w.sum()) - 1))]]))
            if own.amin() > 0:
                assert near.amax() - near.amin() <= 1 / 64


def test_no_digit_is_large_enough_in_a_row_without_weight() -> None:
    zeros, needed = torch.zeros(2, 3, dtype=torch.int64), torch.tensor([[1], [2]])
    digit, rest = select_digit(zeros, torch.stack([zeros[0], zeros[0] + 1]), needed, 4)
    assert digit.tolist() == [[0], [0]]
    assert rest[1].tolist() == [2]


def test_no_rows() -> None:
    none = torch.zeros(0, 1, dtype=torch.int64)
    assert top_p_mask(torch.zeros(0, 5), none).shape == (0, 5)
    assert top_k_mask(torch.zeros(0, 5), none).shape == (0, 5)


def test_two_rows(hard_rows: HardRows) -> None:
    """Each with its nucleus elsewhere."""
    rows = hard_rows(300)
    for first in range(0, 14, 2):
        logits = rows[[first, first + 1]]
        expected = [Prefixes(row, "lowest_id").nucleus(SHARES[3], True) for row in logits.tolist()]
        assert top_p_mask(logits, column([SHARES[3]] * 2)).tolist() == expected


def test_low_ids_unless_told() -> None:
    kept = prefix_mask(torch.zeros(1, 4), torch.ones(1, 4, dtype=torch.int64), torch.tensor([[3]]))
    assert kept.tolist() == [[True, True, True, False]]


def test_lowest_kept_counts_equal_logits() -> None:
    """Three tokens at 5, one of them -0.0 and 0.0 alike; each of the ties weighs 2."""
    logits, w = torch.tensor([[5.0, 7.0, 5.0, 5.0, 0.0, -0.0]]), torch.tensor([[2, 9, 2, 2, 1, 1]])
    expected = {1: (7.0, 1, 1), 9: (7.0, 1, 1), 10: (5.0, 3, 1), 12: (5.0, 3, 2), 15: (5.0, 3, 3)}
    expected |= {16: (0.0, 2, 1), 17: (0.0, 2, 2)}
    needed = column(list(expected))
    several = select_threshold(logits.expand(7, -1), w.expand(7, -1), needed)
    assert list(zip(*(part[:, 0].tolist() for part in several), strict=True)) == list(expected.values())
    for one, answer in expected.items():
        assert tuple(part.item() for part in select_threshold(logits, w, torch.tensor([[one]]))) == answer


def test_all_ties_keeps_them_whatever_the_order() -> None:
    logits, w = torch.tensor([[1.0, 2.0, 1.0, 0.0]]), torch.ones(1, 4, dtype=torch.int64)
    for low in ("lowest_id", "highest_id"):
        kept = prefix_mask(logits, w, torch.tensor([[2]]), tie_break=low, keep_ties=True)
        assert kept.tolist() == [[True, True, True, False]]


@pytest.mark.compiled
def test_compiled_equals_eager(
    compiled: Callable[..., Callable[..., list[Tensor]]], hard_rows: HardRows
) -> None:
    """One row, which eager code narrows first; the compiled kernels have tests of several elsewhere."""

    def found(logits: Tensor, w: Tensor, needed: Tensor) -> list[Tensor]:
        return [prefix_mask(logits, w, needed)]

    logits = hard_rows(1003)[3:4]
    args = logits, weights(logits), weights(logits).sum(-1, keepdim=True) * 9 // 10
    assert torch.equal(compiled(found)(*args)[0], found(*args)[0])
