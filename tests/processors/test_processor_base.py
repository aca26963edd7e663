"""What the base classes give to every processor: numbers for its rows, its device, its words, edits in groups."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from sampling import (
    FrequencyPenalty,
    History,
    InvalidArgument,
    LogitBias,
    PresencePenalty,
    RepetitionPenalty,
    Temperature,
    TopP,
    chain,
)
from sampling.processors import Processor, SparseEdit
from sampling.processors.base import check_same_rows, group_by_index_key


class Scale(Processor):
    """Multiply by a number per row."""

    name = "scale"
    row_fields = ("factor",)

    def __init__(self, *factor: float) -> None:
        self.params = factor
        self.factor = torch.tensor(factor)[:, None]
        self.table = torch.tensor([3.0, 4.0, 5.0])  # not one per row
        self.word = "a word"

    def process(self, logits: Tensor, history: History) -> Tensor:
        """Multiply."""
        return logits * self.broadcast_to(self.factor, logits)


class Third(SparseEdit):
    """Divides the logits of some tokens by 3."""

    name = "third"

    def __init__(self, ids: Sequence[Sequence[int]], index_key: object = None) -> None:
        self.ids, self.found_by = torch.tensor(ids), index_key

    @property
    def index_key(self) -> object:
        """As it was made."""
        return self.found_by

    def token_ids(self, logits: Tensor, history: History) -> tuple[Tensor, ...]:
        """These tokens, and 3."""
        return self.ids, torch.tensor(3.0).double()

    def update(self, logits: Tensor, *known: Tensor) -> Tensor:
        """Divide."""
        assert logits.dtype == torch.float64
        return logits / known[0]


def nothing(rows: int) -> History:
    return History.start([[]] * rows)


def test_attributes_are_set_once() -> None:
    scale = Scale(2.0)
    with pytest.raises(AttributeError, match=r"Scale\.factor is frozen"):
        scale.factor = torch.tensor([[3.0]])
    assert scale.factor.tolist() == [[2]]


@pytest.mark.parametrize("rows", [1, 2, 3, 4])
def test_one_number_serves_any_batch(rows: int) -> None:
    assert Scale(2.0)(torch.ones(rows, 3), nothing(rows)).tolist() == [[2, 2, 2]] * rows


def test_a_number_per_row_serves_its_batch_alone() -> None:
    assert Scale(2.0, 3.0)(torch.ones(2, 3), nothing(2)).tolist() == [[2, 2, 2], [3, 3, 3]]
    assert Scale(2.0, 3.0, 4.0)(torch.ones(3, 1), nothing(3)).tolist() == [[2], [3], [4]]
    for rows, width in ((1, 3), (3, 2), (3, 3), (4, 2)):
        with pytest.raises(
            InvalidArgument,
            match=f"scale: got '2 values', must be one for all rows, or one for each of the {rows}",
        ):
            Scale(2.0, 3.0)(torch.ones(rows, width), nothing(rows))


@pytest.mark.parametrize(("rows", "factors"), [([1], [3]), ([1, 0, 1], [3, 2, 3]), ([], [])])
def test_the_numbers_of_some_rows(rows: list[int], factors: list[float]) -> None:
    index = torch.tensor(rows, dtype=torch.int64)
    part = Scale(2.0, 3.0).select(index)
    assert part.factor.flatten().tolist() == factors
    assert part.table.tolist() == [3, 4, 5]
    assert Scale(2.0, 3.0, 4.0).select(slice(1, 3)).factor.tolist() == [[3], [4]]


def test_a_single_number_serves_whichever_rows() -> None:
    assert Scale(2.0).select(torch.tensor([4, 7])).factor.tolist() == [[2]]
    assert Scale(2.0).select(slice(4, 7)).factor.tolist() == [[2]]


def test_a_selection_leaves_the_processor_as_it_is() -> None:
    scale = Scale(2.0, 3.0)
    scale.select(torch.tensor([1]))
    scale.to("meta")
    assert scale.factor.tolist() == [[2], [3]]


def test_every_tensor_moves_and_nothing_else() -> None:
    moved = Scale(2.0, 3.0).to("meta")
    assert moved.factor.device == moved.table.device == torch.device("meta")
    assert (moved.word, moved.params) == ("a word", (2.0, 3.0))


@pytest.mark.parametrize(
    ("processor", "first", "second", "shown"),
    [
        (Scale(2.0), "scale 2.0", "scale 2.0", "Scale(2.0)"),
        (Scale(2.0, 3.0), "scale 2.0", "scale 3.0", "Scale([2.0, 3.0])"),
        (Third([[0]]), "third", "third", "Third()"),
    ],
)
def test_words_for_people(processor: Processor, first: str, second: str, shown: str) -> None:
    assert (processor.describe(), processor.describe(0), processor.describe(1)) == (first, first, second)
    assert repr(processor) == shown


def test_an_edit_changes_its_tokens_and_no_others() -> None:
    logits = torch.tensor([[9.0, 1.0, -6.0], [-math.inf, 3.0, 2.0]])
    ids, before, after = Third([[2, 0], [0, 0]]).edits(logits, nothing(2))
    assert ids.tolist() == [[2, 0], [0, 0]]
    assert before.tolist() == [[-6, 9], [-math.inf, -math.inf]]
    assert after.tolist() == [[-2, 3], [-math.inf, -math.inf]]
    assert before.dtype == after.dtype == torch.float32
    assert Third([[2, 0], [0, 0]])(logits, nothing(2)).tolist() == [[3, 1, -2], [-math.inf, 3, 2]]
    assert logits.tolist() == [[9, 1, -6], [-math.inf, 3, 2]]


@pytest.mark.parametrize("rows", [0, 1, 3])
def test_a_history_of_another_batch(rows: int) -> None:
    words = f"history: got '{rows} rows', must be of the 2 rows of the logits"
    with pytest.raises(InvalidArgument, match=words):
        check_same_rows(nothing(rows), torch.zeros(2, 3))
    check_same_rows(nothing(2), torch.zeros(2, 3))


def test_edits_in_groups() -> None:
    """Neighbours of equal index_key are together; None equals nothing, not even None."""
    a, b, c, d = (Third([[0]], index_key) for index_key in ("x", "x", "y", "x"))
    lone, lonely = Third([[0]]), Third([[0]])
    assert group_by_index_key([]) == ()
    assert group_by_index_key([a, b, c, d]) == ((a, b), (c,), (d,))
    assert group_by_index_key([lone, lonely, a, b, d, lone]) == ((lone,), (lonely,), (a, b, d), (lone,))
    assert group_by_index_key([a, lone, b]) == ((a,), (lone,), (b,))


def test_what_penalties_reach() -> None:
    bias, frequency, presence, repetition = (
        *(LogitBias({0: 1.0}), FrequencyPenalty(1.0), PresencePenalty(1.0), RepetitionPenalty(2.0)),
    )
    assert group_by_index_key([bias, bias, frequency, presence, repetition]) == (
        *((bias,), (bias,), (frequency, presence), (repetition,)),
    )


def test_rows_that_are_not_there_are_refused() -> None:
    pipeline = chain(Temperature([1.0, 2.0]), TopP(0.5))
    assert repr(pipeline.select([1, 1, 0])) == "Pipeline(Temperature([2.0, 2.0, 1.0]), TopP(0.5))"
    for rows, got in (([2], "2"), ([-1], "-1"), ([True, False], "True"), (["0"], "'0'")):
        with pytest.raises(InvalidArgument, match=f"^rows: got {got}, must be an integer from 0 to 1$"):
            pipeline.select(rows)  # pyright: ignore[reportArgumentType]
