from __future__ import annotations

import pytest
import torch

from sampling.core.errors import CacheFull, InvalidArgument
from sampling.model import KeyValueCache


def new(rows: int = 3, capacity: int = 6, **others) -> KeyValueCache:
    return KeyValueCache(layers=2, rows=rows, heads=2, capacity=capacity, head_dim=4, **others)


def append(cache: KeyValueCache, marks: list[list[float]], width: int) -> None:
    """Append to each row one position per mark, whose key is the mark (its value, the mark negated)."""
    counts = torch.tensor([len(row) for row in marks])
    cache.reserve(width, counts)
    window = cache.plan_write(width, counts, groups=1)
    keys = torch.tensor([row + [-999.0] * (width - len(row)) for row in marks])[:, :, None, None].expand(
        -1, -1, 2, 4
    )
    for layer in range(2):
        marks_here = (keys + layer / 4).to(cache.keys(layer).dtype)
        window.store(layer, marks_here, -marks_here)
    cache.lengths += counts


def held(cache: KeyValueCache, layer: int = 0) -> list[list[float]]:
    """What each row holds, read back position by position."""
    keys, values = cache.keys(layer), cache.values(layer)
    assert torch.equal(keys, -values)
    assert torch.equal(keys, keys[:, :1, :, :1].expand_as(keys))
    rows = zip(keys[:, 0, :, 0], cache.lengths.tolist(), strict=True)
    return [(row[:length] - layer / 4).tolist() for row, length in rows]


def test_rows_grow_at_their_own_pace():
    cache = new()
    append(cache, [[1, 2], [3], []], width=2)
    append(cache, [[4], [5, 6, 7], [8, 9]], width=3)
    for layer in range(2):
        assert held(cache, layer) == [[1, 2, 4], [3, 5, 6, 7], [8, 9]]


def test_shapes_types_and_addresses_stay():
    cache = new(dtype=torch.bfloat16)
    addresses = [tensor.data_ptr() for tensor in (*cache.stored_keys, *cache.stored_values, cache.lengths)]
    append(cache, [[1], [2], [3]], width=1)
    cache.reset([1])
    assert addresses == [
        tensor.data_ptr() for tensor in (*cache.stored_keys, *cache.stored_values, cache.lengths)
    ]
    assert cache.keys(1).shape == cache.values(0).shape == (3, 2, 6, 4)
    assert cache.keys(0).dtype == torch.bfloat16
    assert cache.lengths.dtype == torch.int64


def test_what_a_position_sees():
    cache = new(rows=2, capacity=5)
    append(cache, [[1, 2], []], width=2)
    window = cache.plan_write(2, None, groups=1)
    assert window.positions.tolist() == [[2, 3], [0, 1]]
    assert window.visible.int().tolist() == [
        [[[1, 1, 1, 0, 0], [1, 1, 1, 1, 0]]],
        [[[1, 0, 0, 0, 0], [1, 1, 0, 0, 0]]],
    ]
    grouped = cache.plan_write(2, None, groups=3).visible
    assert grouped.shape == (2, 1, 6, 5)
    assert torch.equal(grouped[:, :, 2], window.visible[:, :, 0])
    assert torch.equal(grouped[:, :, 3], window.visible[:, :, 1])


def test_padding_and_overflow_go_past_the_end():
    cache = new(rows=3, capacity=4)
    append(cache, [[1, 2, 3], [4], []], width=3)
    window = cache.plan_write(3, torch.tensor([1, 3, 0]), groups=1)
    assert window.slots.tolist() == [[3, 4, 4], [1, 2, 3], [4, 4, 4]]
    assert window.inside.tolist() == [[True, False, False], [True, True, True], [True, True, True]]
    append(cache, [[5], [6, 7, 8], []], width=3)
    assert held(cache) == [[1, 2, 3, 5], [4, 6, 7, 8], []]


def test_one_row_becomes_several_choices():
    cache = new(rows=2)
    append(cache, [[1, 2, 3], [4]], width=3)
    choices = cache.select([0, 0, 0])
    append(choices, [[5], [6], []], width=1)
    assert held(choices) == [[1, 2, 3, 5], [1, 2, 3, 6], [1, 2, 3]]
    assert held(cache) == [[1, 2, 3], [4]]
    assert choices.capacity == cache.capacity


def test_rows_are_reordered_and_dropped():
    cache = new()
    append(cache, [[1, 2], [3], [4, 5, 6]], width=3)
    assert held(cache.select(torch.tensor([2, 0]))) == [[4, 5, 6], [1, 2]]
    assert held(cache.select([2, 0]), layer=1) == [[4, 5, 6], [1, 2]]


def test_a_selected_row_still_knows_its_length():
    cache = new(rows=2, capacity=3)
    append(cache, [[1, 2, 3], [4]], width=3)
    cache.select([1, 1]).reserve(2)
    with pytest.raises(CacheFull, match="row 1: 3 positions and 1 new ones"):
        cache.select([1, 0]).reserve(1)


def test_a_reset_row_starts_anew_and_leaves_nothing_behind():
    cache = new()
    append(cache, [[1, 2], [float("nan")] * 6, [3]], width=6)
    cache.reset([1])
    assert cache.lengths.tolist() == [2, 0, 1]
    assert not any(stored[1].any() for stored in (*cache.stored_keys, *cache.stored_values))
    append(cache, [[4], [5], []], width=1)
    assert held(cache) == [[1, 2, 4], [5], [3]]


def test_rows_that_are_replaced_leave_nothing_behind():
    """By one row for all, as the choices of a prompt; and by one each, as when all move to a larger cache."""
    one, two = new(rows=1, capacity=4), new(rows=2, capacity=4)
    append(one, [[7, 8]], width=2)
    append(two, [[1], [2, 3]], width=2)
    for other, expected in ((one, [[7, 8], [7, 8]]), (two, [[1], [2, 3]])):
        cache = new()
        append(cache, [[float("nan")] * 6, [9], [float("nan")] * 6], width=6)
        cache.copy_prefix([2, 0], other)
        assert held(cache) == [expected[1], [9], expected[0]]
        assert not any(stored.isnan().any() for stored in (*cache.stored_keys, *cache.stored_values))
    with pytest.raises(
        InvalidArgument, match="other: got '2 rows of 4 positions', must be a cache of 1 or 3"
    ):
        new().copy_prefix([0, 1, 2], two)
    with pytest.raises(InvalidArgument, match=r"other: got '1 rows of 6 positions', must be .* at most 4"):
        two.copy_prefix([0], new(rows=1))


def test_claims():
    cache = new(rows=2, capacity=4)
    cache.reserve(3, torch.tensor([3, 0]))
    cache.reserve(4, torch.tensor([1, 2]))
    with pytest.raises(CacheFull, match=r"row 0: 4 positions and 1 new ones do not fit .* capacity is 4"):
        cache.reserve(1)
    with pytest.raises(CacheFull, match="row 1: 2 positions and 3 new ones"):
        cache.reserve(3, torch.tensor([0, 3]))
    cache.reserve(3, torch.tensor([0, 2]))  # what was refused was not counted


def test_counts_that_only_the_device_knows_refuse_nobody():
    cache = new(rows=2, capacity=4)
    for _ in range(5):
        cache.reserve(4, torch.zeros(2, dtype=torch.int64, device="meta"))
    cache.reserve(4)


@pytest.mark.parametrize("rows", [[], [3], [-1], [[0]], torch.tensor([0, 7])])
@pytest.mark.parametrize("method", ["select", "reset"])
def test_rows_that_are_not_there(method, rows):
    with pytest.raises(InvalidArgument, match=r"rows: got .*, must be one or more row numbers from 0 to 2"):
        getattr(new(), method)(rows)


@pytest.mark.parametrize("field", ["rows", "capacity"])
def test_empty_caches(field):
    with pytest.raises(InvalidArgument, match=f"{field}: got 0, must be at least 1"):
        new(**{field: 0})


def test_what_is_looked_at_keeps_its_place():
    """A captured step reads the positions where they were when it was captured."""
    cache = new(capacity=1100)
    seen: dict[int, tuple[int, list[int]]] = {}
    for positions in (1, 512, 513, 1100, 40):
        cache.limit_read_length(positions)
        seen[positions] = (cache.seen.data_ptr(), cache.seen.tolist())
    assert len({place for place, _ in seen.values()}) == 1
    lengths = {positions: len(numbers) for positions, (_, numbers) in seen.items()}
    assert lengths == {1: 512, 512: 512, 513: 1024, 1100: 1100, 40: 512}
    assert all(numbers == list(range(len(numbers))) for _, numbers in seen.values())
