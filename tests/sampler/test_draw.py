"""The public draw against Python integers: keys, batches, and rows that cannot be drawn from."""

from __future__ import annotations

import math
from typing import Any

import oracle
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from sampling import draw
from sampling.core.errors import InvalidArgument

INF, NAN = math.inf, math.nan
seeds = st.one_of(
    st.sampled_from([0, 1, -1, 2**63, 2**64 - 1, -(2**63), 2**32]), st.integers(-(2**63), 2**64 - 1)
)
words = st.integers(0, 2**32 - 1)
rows = st.lists(st.one_of(st.floats(-20, 20, width=32), st.just(-INF)), max_size=30)


@settings(max_examples=60)
@given(rows, seeds, words, words)
def test_equals_the_oracle(row: list[float], seed: int, position: int, choice: int) -> None:
    row = [*row, 0.0]
    got = draw(torch.tensor([row]), seed=seed, position=position, choice=choice)
    assert got.tolist() == [oracle.draw(row, seed, position, choice)]
    assert got.dtype == torch.int64


def test_negative_seeds_are_taken_mod_two_to_the_64() -> None:
    logits = torch.zeros(1, 5000)
    for seed in (-1, -5, -(2**63)):
        assert torch.equal(draw(logits, seed=seed, position=0), draw(logits, seed=seed + 2**64, position=0))


def test_seeds_as_integers_lists_and_tensors() -> None:
    logits = torch.zeros(3, 5000)
    numbers = [7, -1, 2**63 - 1]
    expected = [oracle.draw([0.0] * 5000, seed, 4, 2) for seed in numbers]
    assert draw(logits, seed=numbers, position=4, choice=2).tolist() == expected
    assert draw(logits, seed=torch.tensor(numbers), position=4, choice=2).tolist() == expected
    assert (
        draw(logits, seed=7, position=torch.tensor([4, 4, 4]), choice=[2, 2, 2]).tolist() == [expected[0]] * 3
    )
    assert draw(logits, seed=[7, 2**64 - 1, 2**63 - 1], position=4, choice=2).tolist() == expected
    unsigned = torch.tensor([7, 2**64 - 1, 2**63 - 1], dtype=torch.uint64)
    assert draw(logits, seed=unsigned, position=4, choice=2).tolist() == expected


def test_every_part_of_the_key_counts() -> None:
    logits = torch.zeros(1, 2**15)
    keys = [(s, p, c) for s in (0, 1, 2**32, 2**63) for p in (0, 1, 2) for c in (0, 1, 2)]
    tokens = [draw(logits, seed=s, position=p, choice=c).item() for s, p, c in keys]
    assert len(set(tokens)) == len(keys)


def test_the_batch_around_a_row_does_not_matter() -> None:
    torch.manual_seed(1)
    logits = torch.randn(9, 300) * 3
    keys = {"seed": list(range(9)), "position": list(range(9, 0, -1)), "choice": [0, 1, 2] * 3}
    together = draw(logits, **keys)
    alone = [
        draw(logits[i : i + 1], **{name: values[i] for name, values in keys.items()}).item() for i in range(9)
    ]
    assert together.tolist() == alone
    order = torch.randperm(9)
    permuted = {name: [values[i] for i in order] for name, values in keys.items()}
    assert draw(logits[order], **permuted).tolist() == together[order].tolist()
    noise = logits.clone()
    noise[1:] = NAN
    assert draw(noise, **keys).tolist() == [alone[0], *[-1] * 8]


def test_no_global_generator_is_used_or_touched() -> None:
    logits, state = torch.zeros(1, 1000), torch.get_rng_state()
    first = draw(logits, seed=3, position=0)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(99)
    assert torch.equal(draw(logits, seed=3, position=0), first)


def test_shifted_logits_draw_the_same() -> None:
    torch.manual_seed(2)
    logits = torch.randint(-500, 500, (20, 100)) / 64
    seeds = list(range(20))
    assert torch.equal(draw(logits, seed=seeds, position=0), draw(logits + 37.5, seed=seeds, position=0))


def test_rows_that_can_not_be_drawn_from() -> None:
    logits = torch.tensor([[0.0, NAN], [INF, 0.0], [-INF, -INF], [-INF, 5.0], [INF, -INF]])
    assert draw(logits, seed=1, position=0).tolist() == [-1, -1, -1, 1, -1]


def test_banned_tokens_are_never_drawn() -> None:
    logits = torch.full((4000, 50), -INF)
    logits[:, 10:13] = 0.0
    tokens = draw(logits, seed=5, position=list(range(4000)))
    assert set(tokens.tolist()) == {10, 11, 12}


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_narrower_float_types(dtype: torch.dtype) -> None:
    row = [0.5, -1.25, 3.0, 2.0]
    got = draw(torch.tensor([row], dtype=dtype), seed=11, position=3)
    assert got.tolist() == [oracle.draw(row, 11, 3)]


def test_unknown_rules_are_named() -> None:
    with pytest.raises(InvalidArgument, match=r"rule: got 'exponential', must be one of .*integer"):
        draw(torch.zeros(1, 2), seed=0, position=0, rule="exponential")


@pytest.mark.parametrize(
    "logits",
    [
        torch.zeros(1, 2, dtype=torch.float64),  # would have to be rounded first
        torch.zeros(1, 2, dtype=torch.int64),
        torch.zeros(2),
        torch.zeros(1, 2, 2),
        torch.zeros(1, 0),
        torch.zeros(1, 1).expand(1, 2**19),
    ],
)
def test_what_are_no_logits(logits: Tensor) -> None:
    with pytest.raises(InvalidArgument, match=r"logits: got (torch|\()"):
        draw(logits, seed=0, position=0)


@pytest.mark.parametrize("field", ["seed", "position", "choice"])
@pytest.mark.parametrize(
    "value",
    [
        *([1, 2], [1, 2, 3, 4], [], torch.tensor([1, 2]), torch.tensor([], dtype=torch.int64)),
        *(torch.tensor([[1], [2], [3]]), torch.tensor([[1, 2, 3]]), torch.tensor([[1]])),
        *(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([1j, 2j, 3j]), torch.tensor([True] * 3)),
    ],
)
def test_one_number_for_all_rows_or_one_for_each(field: str, value: Any) -> None:
    with pytest.raises(InvalidArgument, match=rf"{field}: got "):
        draw(torch.zeros(3, 5), **{"seed": 0, "position": 0, field: value})


@pytest.mark.parametrize("seed", [2**64, -(2**63) - 1, True, 1.5, "1", [0, 2**64], [None, 1]])
def test_bad_seeds(seed: Any) -> None:
    with pytest.raises(InvalidArgument, match="seed"):
        draw(torch.zeros(2, 2), seed=seed, position=0)


@pytest.mark.parametrize("field", ["position", "choice"])
@pytest.mark.parametrize("value", [-1, 2**32, [0, -1]])
def test_bad_positions_and_choices(field: str, value: Any) -> None:
    """They fill one word of the counter each."""
    with pytest.raises(InvalidArgument, match=field):
        draw(torch.zeros(2, 2), **{"seed": 0, "position": 0, field: value})
