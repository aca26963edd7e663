"""TopK, TopP, MinP, Intersection, ArgMax, TokenizerVocabSize: the published counts, by hand."""

from __future__ import annotations

import math
from typing import Any

import oracle
import pytest
import torch

from sampling import (
    FrequencyPenalty,
    History,
    LogitBias,
    MinP,
    PresencePenalty,
    RepetitionPenalty,
    Temperature,
    TopK,
    TopP,
    chain,
)
from sampling.core.errors import InvalidArgument
from sampling.processors import ArgMax, Intersection, Processor, TokenizerVocabSize

INF = math.inf


def kept(processor: Processor, row: list[float]) -> list[int]:
    out = processor(torch.tensor([row]), History.start([[]]))[0]
    return [i for i, x in enumerate(out.tolist()) if x > -INF]


def test_ten_equal_logits_and_nine_tenths_keep_nine() -> None:
    assert kept(TopP(0.9), [1.5] * 10) == list(range(9))


@pytest.mark.parametrize(
    ("p", "hit_stops", "count"), [(0.75, True, 6), (0.75, False, 7), (0.5, True, 4), (0.5, False, 5)]
)
def test_eight_equal_logits(p: float, hit_stops: bool, count: int) -> None:
    assert kept(TopP(p, stops_at_equality=hit_stops), [0.0] * 8) == list(range(count))
    highest_first = TopP(p, stops_at_equality=hit_stops, tie_break="highest_id")
    assert kept(highest_first, [0.0] * 8) == list(range(8 - count, 8))


def test_four_quarters_and_a_half() -> None:
    """The second line of engines.md's table: 2 by most engines' rule, 3 by SGLang's."""
    assert len(kept(TopP(0.5), [2.0] * 4)) == 2
    assert len(kept(TopP(0.5, stops_at_equality=False), [2.0] * 4)) == 3


def test_the_crossing_token_stays() -> None:
    assert kept(TopP(0.7), [3.0, 2.0, 1.0]) == [0, 1]  # 0.665 < 0.7 <= 0.910
    assert kept(TopP(0.6), [3.0, 2.0, 1.0]) == [0]
    assert kept(TopP(0.6), [1.0, 2.0, 3.0]) == [2]


def test_ends_of_top_p() -> None:
    assert kept(TopP(0), [1.0, 1.0, 0.0]) == [0]
    assert kept(TopP(1e-30), [1.0, 1.0, 0.0]) == [0]
    assert kept(TopP(1), [1.0, -100.0, -1000.0]) == [0, 1, 2]


def test_p_is_the_decimal_that_it_prints_as() -> None:
    """A float32 0.9 and a bfloat16 0.5 are the decimals 0.9 and 0.5."""
    assert len(kept(TopP(torch.tensor([0.9])), [0.0] * 10)) == 9
    assert len(kept(TopP(torch.tensor([0.9], dtype=torch.float64)), [0.0] * 10)) == 9
    assert len(kept(TopP(torch.tensor(0.5, dtype=torch.bfloat16)), [0.0] * 10)) == 5
    assert len(kept(TopP(0.9 + 1e-16), [0.0] * 10)) == 10  # prints as 0.9000000000000001
    assert len(kept(TopP(0.3), [0.0] * 10)) == 3
    assert len(kept(TopP(0.1 + 0.2), [0.0] * 10)) == 4  # prints as 0.30000000000000004


def test_a_bfloat16_means_the_float32_of_the_same_value() -> None:
    p = torch.tensor(0.1, dtype=torch.bfloat16)
    assert torch.equal(TopP(p).p_fixed, TopP(p.float()).p_fixed)
    assert (
        oracle.share("0.100097656") == TopP(p).p_fixed.item()
    )  # the shortest decimal that float32 reads as this value


def test_top_k() -> None:
    row = [1.0, 3.0, 2.0, 2.0, -INF]
    assert kept(TopK(1), row) == [1]
    assert kept(TopK(2), row) == [1, 2]
    assert kept(TopK(2, tie_break="highest_id"), row) == [1, 3]
    assert kept(TopK(2, keep_ties=True), row) == [1, 2, 3]
    assert kept(TopK(0), row) == kept(TopK(99), row) == [0, 1, 2, 3]


def test_min_p() -> None:
    row = [0.0, -1.0, -2.0, -3.0]  # 1, 0.368, 0.135, 0.050 of the likeliest
    assert [len(kept(MinP(p), row)) for p in (0, 0.04, 0.05, 0.13, 0.14, 0.36, 0.37, 1)] == [
        4,
        4,
        3,
        3,
        2,
        2,
        1,
        1,
    ]
    assert kept(MinP(1), [2.0, 2.0, 1.0]) == [0, 1]


def test_top_k_then_top_p_is_not_both_at_once() -> None:
    """Four equal, k = 2, p = 0.5: of the two left, one holds half; of all four, two do."""
    row = [0.0] * 4
    assert kept(chain(TopK(2), TopP(0.5)), row) == [0]
    assert kept(Intersection(TopK(2), TopP(0.5)), row) == [0, 1]
    assert kept(Intersection(TopK(3), TopP(0.5)), row) == [0, 1]
    assert kept(Intersection(TopK(1), TopP(0.5)), row) == [0]


def test_orders_alone_change_the_support() -> None:
    """engines.md's trap: T = 1.5, top_k 100, top_p 0.9, min_p 0.05; each order against the oracle's sets."""
    torch.manual_seed(4)
    row = (torch.randn(1000) * 2.5).tolist()
    t, k, p, m = Temperature(1.5), TopK(100), TopP(0.9), MinP(0.05)
    named = {"t": t, "k": k, "p": p, "m": m}
    rules = {
        "t": lambda row: oracle.temperature(row, 1.5),
        "k": lambda row: oracle.keep(row, oracle.top_k(row, 100)),
        "p": lambda row: oracle.keep(row, oracle.nucleus(row, "0.9")),
        "m": lambda row: oracle.keep(row, oracle.min_p(row, "0.05")),
    }
    counts = {}
    for order in ("tkpm", "tmkp", "kpmt", "pmkt"):
        expected = row
        for letter in order:
            expected = rules[letter](expected)
        counts[order] = [i for i, x in enumerate(expected) if x > -INF]
        assert kept(chain(*(named[letter] for letter in order)), row) == counts[order]
    assert len(set(map(len, counts.values()))) >= 3


def test_a_number_per_row() -> None:
    out = chain(TopK([1, 2, 0]), TopP([1.0, 0.5, 0.5]))(torch.zeros(3, 4), History.start([[], [], []]))
    assert [(row > -INF).nonzero().flatten().tolist() for row in out] == [[0], [0], [0, 1]]


@pytest.mark.parametrize(
    ("processor", "expected"),
    [
        (TopK(2), [[1, 2], [0, 2], [0, 1]]),
        (TopK(2, tie_break="highest_id"), [[1, 2], [0, 2], [1, 2]]),
        (TopP(0.5), [[1], [0], [0, 1]]),  # 0.665 of the first two rows, a third each of the last
        (MinP(0.3), [[1, 2], [0, 2], [0, 1, 2]]),  # 1, 0.368, 0.135 of the likeliest
        (ArgMax([True]), [[1], [0], [0]]),
        (Intersection(TopK(1), MinP(0.3)), [[1], [0], [0]]),
    ],
    ids=lambda it: it.name if isinstance(it, Processor) else "",
)
def test_one_number_for_every_row(processor: Processor, expected: list[list[int]]) -> None:
    logits = torch.tensor([[1.0, 3.0, 2.0], [3.0, 1.0, 2.0], [0.0, 0.0, 0.0]])
    out = processor(logits, History.start([[]] * 3))
    assert [(row > -INF).nonzero().flatten().tolist() for row in out] == expected


def test_arg_max_in_marked_rows() -> None:
    out = ArgMax([True, False])(torch.tensor([[1.0, 3.0, 3.0]] * 2), History.start([[], []]))
    assert out.tolist() == [[-INF, 3.0, -INF], [1.0, 3.0, 3.0]]


def test_usable_ids_bans_the_padding() -> None:
    assert kept(TokenizerVocabSize(2), [0.0, -5.0, 9.0, 9.0]) == [0, 1]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: TopP(-0.1), "top_p: got -0.1"),
        (lambda: TopP(1.1), "top_p: got 1.1"),
        (lambda: TopP(math.nan), "top_p: got nan"),
        (lambda: TopP([0.5, 2.0]), "top_p: got 2.0"),
        (lambda: MinP(-0.1), "min_p: got -0.1"),
        (lambda: MinP(1.1), "min_p: got 1.1"),
        (lambda: TopK(-1), "top_k: got -1"),
        (lambda: TopK(1.5), "top_k: got 1.5.*whole number"),
        (lambda: TopK(True), "top_k: got True"),
        (lambda: TokenizerVocabSize(0), "size: got 0"),
        (Intersection, "at least one truncation"),
    ],
)
def test_bad_numbers(make: Any, words: str) -> None:
    with pytest.raises(InvalidArgument, match=words):
        make()


@pytest.mark.parametrize(
    ("processor", "row", "words"),
    [
        (TopK(5), 0, "top_k 5"),
        (TopK(5), 3, "top_k 5"),
        (TopK([1, 2, 3]), 0, "top_k 1"),
        (TopK([1, 2]), 1, "top_k 2"),
        (TopK([1, 2, 3]), 2, "top_k 3"),
        (Intersection(TopK([1, 2]), MinP([0.5, 0.25])), 1, "top_k 2 & min_p 0.25"),
    ],
)
def test_a_description_is_of_one_row(processor: Processor, row: int, words: str) -> None:
    assert processor.describe(row) == words


def test_descriptions_are_of_the_first_row_and_representations_of_all() -> None:
    assert TopK([1, 2]).describe() == "top_k 1"
    assert Intersection(TopK([1, 2]), MinP([0.5, 0.25])).describe() == "top_k 1 & min_p 0.5"
    assert repr(TopK(5)) == "TopK(5)"
    assert repr(TopK([1, 2])) == "TopK([1, 2])"
    assert repr(Intersection(TopK(5), MinP(0.5))) == "Intersection(TopK(5), MinP(0.5))"


TWO_ROWS = [
    LogitBias([{0: 1.0}, {1: 1.0}]),
    FrequencyPenalty([1.0, 0.5]),
    PresencePenalty([1.0, 0.5]),
    RepetitionPenalty([2.0, 3.0]),
    Temperature([0.5, 2.0]),
    TopK([1, 2]),
    TopP([0.5, 0.9]),
    MinP([0.5, 0.1]),
    ArgMax([True, False]),
]


@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize("processor", TWO_ROWS, ids=lambda processor: processor.name)
def test_two_numbers_serve_two_rows_only(processor: Processor, rows: int) -> None:
    """A processor of two rows meets a batch of another size: an error that says so, never a broadcast."""
    history = History.start([[0]] * rows)
    history.accept(torch.ones(rows, dtype=torch.int64))
    with pytest.raises(InvalidArgument, match=processor.name):
        processor(torch.zeros(rows, 4), history)


def test_joint_parts_have_one_order_of_equal_logits() -> None:
    """With two orders the parts could have no token in common."""
    with pytest.raises(InvalidArgument, match=r"truncations: .* one tie_break"):
        Intersection(TopK(1), TopP(0.1, tie_break="highest_id"))
    row = [0.0, 0.0, 0.0]
    assert kept(
        Intersection(TopK(2, tie_break="highest_id"), TopP(0.5, tie_break="highest_id"), MinP(0.5)), row
    ) == [1, 2]


def test_an_arg_max_takes_the_lowest_of_equal_ids() -> None:
    assert kept(Intersection(ArgMax([True]), TopK(2)), [0.0, 0.0, 0.0]) == [0]
    with pytest.raises(InvalidArgument, match=r"truncations: .* one tie_break"):
        Intersection(ArgMax([True]), TopK(2, tie_break="highest_id"))


@pytest.mark.parametrize("rows", [1, 3])
def test_a_joint_refuses_what_a_part_refuses(rows: int) -> None:
    for part in (Intersection(MinP(0.5), TopK([1, 2])), Intersection(TopK([1, 2]), MinP(0.5))):
        with pytest.raises(InvalidArgument, match=f"top_k: got '2 values', .* each of the {rows} rows"):
            part.check(torch.zeros(rows, 4))
        part.check(torch.zeros(2, 4))


def test_what_a_stage_does_at_ties_is_true_or_false() -> None:
    for truncation in (TopK, TopP):
        with pytest.raises(
            InvalidArgument, match="tie_break: got None, must be one of lowest_id, highest_id"
        ):
            truncation(1, tie_break=None)  # pyright: ignore[reportArgumentType]
    with pytest.raises(InvalidArgument, match="keep_ties: got 'no', must be true or false"):
        TopK(2, keep_ties="no")  # pyright: ignore[reportArgumentType]
    with pytest.raises(InvalidArgument, match="stops_at_equality: got 1, must be true or false"):
        TopP(0.5, stops_at_equality=1)  # pyright: ignore[reportArgumentType]
