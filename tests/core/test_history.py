"""History: penalties count what a plain Python Counter counts, whatever happened to the rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from sampling import History
from sampling.core.errors import InvalidArgument
from sampling.core.history import OUTPUT, PROMPT_AND_OUTPUT, Scope
from sampling.core.token_counts import Table, largest

Rows = list[tuple[list[int], list[int]]]

tokens = st.integers(0, 6)
prompt_lists = st.lists(tokens, max_size=5)
prompts = st.lists(prompt_lists, min_size=1, max_size=4)
SCOPES = [OUTPUT, PROMPT_AND_OUTPUT, *(Scope(prompt=p, last=n) for p in (True, False) for n in (1, 3, 64))]


def expected(prompt: list[int], output: list[int], scope: Scope) -> Counter[int]:
    counted = prompt + output if scope.prompt else output
    return Counter(counted if scope.last is None else counted[-scope.last :])


def check(history: History, rows: Rows) -> None:
    assert len(history) == len(rows)
    assert history.sampled.tolist() == [len(output) for _, output in rows]
    assert history.prompt_lengths.tolist() == [len(prompt) for prompt, _ in rows]
    assert history.lengths.tolist() == [len(prompt) + len(output) for prompt, output in rows]
    assert history.longest >= max(map(len, (prompt + output for prompt, output in rows)), default=0)
    assert history.highest_prompt_id >= max((token for prompt, _ in rows for token in prompt), default=-1)
    for i, (prompt, output) in enumerate(rows):
        row = history.tokens[i].tolist()
        assert row == prompt + output + [0] * (len(row) - len(prompt + output))
    for scope in SCOPES:
        ids, counts = history.counted(scope)
        if history.capacity is not None:
            width = min(scope.last or history.capacity, history.capacity)
            assert ids.shape == counts.shape == (len(rows), width)
        for i, (prompt, output) in enumerate(rows):
            shown = set(zip(ids[i].tolist(), counts[i].tolist(), strict=True))
            counted = expected(prompt, output, scope)
            assert {(token, n) for token, n in shown if n} == set(counted.items()), scope
            # An unused place repeats the first one; only an empty row shows a token that it does not count.
            assert all(n for _, n in shown) or (not counted and shown == {(0, 0)})
            pairs = list(zip(ids[i].tolist(), counts[i].tolist(), strict=True))
            assert [pair for pair in pairs if pair != pairs[0]] == list(dict.fromkeys(pairs))[1:]


def accepted(rows: Rows, new: list[int], capacity: int | None) -> Rows:
    room = [capacity is None or len(p) + len(o) < capacity for p, o in rows]
    return [(p, [*o, t] if t >= 0 and r else o) for (p, o), t, r in zip(rows, new, room, strict=True)]


@st.composite
def others(draw: st.DrawFn, count: st.SearchStrategy[int]) -> tuple[History, Rows]:
    """A history and the rows that it holds; it may have a capacity of its own, and sampled something already."""
    capacity = draw(st.sampled_from([None, 5, 16]))
    rows: Rows = [(draw(prompt_lists), []) for _ in range(draw(count))]
    history = History.start([prompt for prompt, _ in rows], capacity=capacity)
    for _ in range(draw(st.integers(0, 2))):
        new = [draw(tokens) for _ in rows]
        history.accept(torch.tensor(new, dtype=torch.int64))
        rows = accepted(rows, new, capacity)
    return history, rows


@settings(max_examples=120)
@given(prompts, st.sampled_from([None, None, 5, 7]), st.data())
def test_counts_are_a_counter_s(start: list[list[int]], capacity: int | None, data: st.DataObject) -> None:
    history = History.start(start, capacity=capacity)
    rows: Rows = [(list(prompt), []) for prompt in start]
    check(history, rows)
    for step in data.draw(st.lists(st.sampled_from("aaaasmcppe"), max_size=10)):
        if step == "a":
            new = [data.draw(st.one_of(tokens, st.just(-1))) for _ in rows]
            history.accept(torch.tensor(new, dtype=torch.int64))
            rows = accepted(rows, new, capacity)
        elif step == "s":
            taken = data.draw(st.lists(st.integers(0, len(rows) - 1), min_size=1, max_size=4))
            history, rows = history.select(taken), [rows[i] for i in taken]
        elif step == "c":
            before = history.clone()
            history.accept(torch.zeros(len(rows), dtype=torch.int64))
            check(before, rows)
            rows = accepted(rows, [0] * len(rows), capacity)
        else:
            other, more = data.draw(others(st.just(1) if step == "p" else st.integers(0, 3)))
            place = data.draw(st.integers(0, len(rows) - 1))
            if capacity is not None and any(len(p) + len(o) > capacity for p, o in more):
                with pytest.raises(InvalidArgument, match=f"at most capacity = {capacity} tokens long"):
                    history.put(place, other) if step == "p" else history.extend(other)
            elif step == "p":
                history.put(place, other)
                rows = [*rows[:place], *more, *rows[place + 1 :]]
            elif step == "e":
                history.extend(other)
                rows = rows + more
            else:
                history, rows = history.merge(other), rows + more
            check(other, more)
        check(history, rows)


def test_hand_computed() -> None:
    history = History.start([[5, 5, 6], []])
    for pair in ([7, 1], [5, 1], [7, 2]):
        history.accept(torch.tensor(pair))
    check(history, [([5, 5, 6], [7, 5, 7]), ([], [1, 1, 2])])
    ids, counts = history.counted(Scope(prompt=True, last=4))
    assert set(zip(ids[0].tolist(), counts[0].tolist(), strict=True)) == {(6, 1), (7, 2), (5, 1)}


def test_a_negative_token_leaves_its_row_as_it_is() -> None:
    history = History.start([[1], [2]])
    history.accept(torch.tensor([-1, 3]))
    history.accept(torch.tensor([4, -1]))
    check(history, [([1], [4]), ([2], [3])])


def test_a_long_run_grows_its_tables() -> None:
    history, output = History.start([[1, 2]]), []
    for i in range(150):
        output.append(i * 7 % 40)
        history.accept(torch.tensor([output[-1]]))
    check(history, [([1, 2], output)])


def test_copies_do_not_see_what_comes_later() -> None:
    history = History.start([[1], [2]])
    extended = History.start([])
    extended.extend(history)
    copies = [history.clone(), history.select([0, 1]), History.start([]).merge(history), extended]
    history.accept(torch.tensor([3, 3]))
    for copy in copies:
        check(copy, [([1], []), ([2], [])])
        copy.accept(torch.tensor([4, 4]))
    check(history, [([1], [3]), ([2], [3])])


def test_a_copy_of_nothing() -> None:
    check(History.start([]).clone(), [])


def test_a_history_may_be_put_into_itself() -> None:
    history = History.start([[1, 2]])
    history.accept(torch.tensor([3]))
    history.put(0, history)
    history.extend(history)
    check(history, [([1, 2], [3]), ([1, 2], [3])])


def test_prompts_are_not_kept_by_reference() -> None:
    prompt = [1, 2]
    history = History.start([prompt])
    prompt.append(3)
    check(history, [([1, 2], [])])


@pytest.mark.parametrize("bad", [-1, True, 1.0, "1", None])
def test_bad_prompt_ids(bad: object) -> None:
    with pytest.raises(InvalidArgument, match=r"prompt_ids\[1\]: got .*must be an integer from 0 to"):
        History.start([[1], [2, bad]])  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    ("prompts", "words"),
    [
        (None, "prompt_ids: got None, must be a list"),
        (5, "prompt_ids: got 5, must be a list"),
        ([[1], 2], r"prompt_ids\[1\]: got 2, must be a list"),
        (
            [[2**62]],
            r"prompt_ids\[0\]: got 4611686018427387904, must be an integer from 0 to 4611686018427387903",
        ),
        ([[2**70]], r"prompt_ids\[0\]: got 1180591620717411303424, must be an integer from 0"),
    ],
)
def test_what_are_no_prompts(prompts: Any, words: str) -> None:
    with pytest.raises(InvalidArgument, match=words):
        History.start(prompts)


@pytest.mark.parametrize(
    "dtype",
    [
        torch.int64,
        torch.int32,
        torch.int16,
        torch.int8,
        torch.uint64,
        torch.uint32,
        torch.uint16,
        torch.uint8,
    ],
)
def test_prompts_in_tensors(dtype: torch.dtype) -> None:
    rows = [([1, 2, 3], []), ([4, 5, 1], [])]
    table = torch.tensor([[1, 2, 3], [4, 5, 1]], dtype=dtype)
    check(History.start(table), rows)
    check(History.start(table.T.contiguous().T, capacity=4), rows)
    check(History.start(list(table)), rows)
    check(History.start([[1, 2, 3], table[1]]), rows)
    short = [torch.tensor([], dtype=dtype), table[0, :1]]
    check(History.start(short), [([], []), ([1], [])])
    assert len(History.start(table[:0])) == 0
    check(History.start(table[:, :0]), [([], []), ([], [])])


@pytest.mark.parametrize(
    ("prompts", "words"),
    [
        (torch.tensor([1, 2]), r"prompt_ids: got 'a tensor of shape \(2,\)', must be a tensor \[B, T\] of whole numbers"),
        (torch.tensor(3), r"prompt_ids: got 'a tensor of shape \(\)', must be a tensor \[B, T\]"),
        (torch.ones(1, 1, 1).long(), r"prompt_ids: got 'a tensor of shape \(1, 1, 1\)', must be a tensor \[B, T\]"),
        (torch.tensor([[1.0]]), r"prompt_ids: got torch.float32, must be a tensor \[B, T\]"),
        (torch.tensor([[True]]), r"prompt_ids: got torch.bool, must be a tensor \[B, T\]"),
        (torch.tensor([[1, -100]]), r"prompt_ids\[0\]: got -100, must be an integer from 0"),
        (torch.tensor([[1, 2**62]]), rf"prompt_ids\[0\]: got {2**62}, must be an integer from 0"),
        (torch.tensor([[1]], device="meta"), r"prompt_ids: got 'a .* on meta', must be a tensor \[B, T\] .* with its values"),
        (torch.tensor([[1]]).to_sparse(), r"prompt_ids: got 'a torch.sparse_coo tensor on cpu', must be a tensor"),
        ([[1], torch.tensor([[1]])], r"prompt_ids\[1\]: got 'a tensor of shape \(1, 1\)', must be a tensor \[T\] of whole"),
        ([[1], torch.tensor(1)], r"prompt_ids\[1\]: got 'a tensor of shape \(\)', must be a tensor \[T\]"),
        ([torch.tensor([0.5])], r"prompt_ids\[0\]: got torch.float32, must be a tensor \[T\]"),
        ([torch.tensor([1, -1])], r"prompt_ids\[0\]: got -1, must be an integer from 0"),
    ],
)  # fmt: skip
def test_tensors_that_are_no_prompts(prompts: Any, words: str) -> None:
    with pytest.raises(InvalidArgument, match=words):
        History.start(prompts)


def test_a_tensor_longer_than_the_capacity() -> None:
    with pytest.raises(InvalidArgument, match=r"prompt_ids\[0\]: got 'a prompt of 3 tokens'.*capacity = 2"):
        History.start(torch.tensor([[1, 2, 3]]), capacity=2)


def test_the_largest_token_id() -> None:
    history = History.start([[2**62 - 1, 0]])
    history.accept(torch.tensor([2**62 - 1]))
    check(history, [([2**62 - 1, 0], [2**62 - 1])])


@pytest.mark.parametrize(
    ("tokens", "words"),
    [
        (torch.tensor([1]), r"got \(1,\), must be one token for each of the 2 rows"),
        (torch.tensor(1), r"got \(\), must be one token for each of the 2 rows"),
        (torch.tensor([[1], [2]]), r"got 'a tensor of shape \(2, 1\)', must be"),
        (torch.tensor([1.0, 2.0]), "got torch.float32, must be a tensor of whole numbers"),
        (torch.tensor([1j, 2j]), "got torch.complex64, must be a tensor of whole numbers"),
        (torch.tensor([True, False]), "got torch.bool, must be a tensor of whole numbers"),
        ([1, 2], r"got \[1, 2\], must be a tensor of whole numbers"),
        (None, "got None, must be a tensor of whole numbers"),
    ],
)
def test_one_token_for_each_row(tokens: Any, words: str) -> None:
    history = History.start([[1], [2]])
    with pytest.raises(InvalidArgument, match=f"tokens: {words}"):
        history.accept(tokens)
    check(history, [([1], []), ([2], [])])


@pytest.mark.parametrize("kind", [torch.int32, torch.int16, torch.uint8])
def test_narrower_whole_numbers(kind: torch.dtype) -> None:
    history = History.start([[1], [2]])
    history.accept(torch.tensor([3, 4], dtype=kind))
    check(history.select(torch.tensor([1, 0], dtype=kind)), [([2], [4]), ([1], [3])])


@pytest.mark.parametrize(
    ("rows", "wrong"),
    [
        *(([2], "2"), ([0, -1], "-1"), ([2**70], "1180591620717411303424")),
        *(([1.0], "1.0"), ([True], "True"), ([None], "None"), ("0", "'0'"), ([[0]], r"\[0\]")),
        *((torch.tensor([2]), "2"), (torch.tensor([-1]), "-1"), (torch.tensor([[0], [1]]), r"\[0\]")),
        *((torch.tensor([1.0]), "1.0"), (torch.tensor([True, False]), "True")),
    ],
)
def test_rows_that_there_are_not(rows: Any, wrong: str) -> None:
    with pytest.raises(InvalidArgument, match=f"rows: got {wrong}, must be an integer from 0 to 1"):
        History.start([[1], [2]]).select(rows)


@pytest.mark.parametrize("rows", [1, None, torch.tensor(1)])
def test_what_are_no_rows(rows: Any) -> None:
    with pytest.raises(InvalidArgument, match=r"rows: got (1|None), must be a list"):
        History.start([[1], [2]]).select(rows)


@pytest.mark.parametrize("rows", [[], (), range(0), torch.tensor([])])
def test_no_rows_at_all(rows: Any) -> None:
    check(History.start([[1], [2]]).select(rows), [])


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        *(
            ({"last": n}, f"last: got {n!r}, must be an integer of at least 1")
            for n in (0, -1, 1.5, True, "8")
        ),
        *(({"prompt": p}, f"prompt: got {p!r}, must be true or false") for p in (1, None, "yes")),
    ],
)
def test_what_is_no_scope(fields: Any, words: str) -> None:
    with pytest.raises(InvalidArgument, match=words):
        Scope(**fields)


@pytest.mark.parametrize("capacity", [None, 60])
@pytest.mark.parametrize("first", [True, False])
def test_inference_mode_may_come_and_go(capacity: int | None, first: bool) -> None:
    """A history that is made, grown, copied or written to in that mode serves outside of it, and the other way round."""
    with torch.inference_mode(first):
        history, rows = History.start([[1, 2], [3]], capacity=capacity), [([1, 2], []), ([3], [])]
        other = History.start([[5, 5, 5]])
    for step in range(40):
        with torch.inference_mode((step % 3 == 0) == first):
            new = torch.tensor([step, step % 4])
            history.accept(new)
            rows = accepted(rows, new.tolist(), capacity)
        if step % 10 == 5:
            with torch.inference_mode((step % 20 == 5) == first):
                history, rows = history.select([1, 0]), rows[::-1]
            history.put(1, other)
            rows = [rows[0], ([5, 5, 5], [])]
        check(history, rows)


def test_what_put_refuses() -> None:
    history = History.start([[1], [2]])
    for row in (-1, 2):
        with pytest.raises(InvalidArgument, match=f"row: got {row}, must be an integer from 0 to 1"):
            history.put(row, History.start([[3]]))
    with pytest.raises(InvalidArgument, match="other: got '2 rows', must be a history of one row"):
        history.put(0, history)
    check(history, [([1], []), ([2], [])])


@pytest.mark.parametrize("bad", [0, -1, True, 1.5, "8"])
def test_bad_capacity(bad: object) -> None:
    with pytest.raises(InvalidArgument, match=r"capacity: got .*an integer of at least 1"):
        History.start([[1]], capacity=bad)  # pyright: ignore[reportArgumentType]


def test_a_prompt_beyond_the_capacity() -> None:
    with pytest.raises(InvalidArgument, match=r"prompt_ids\[1\]: got 'a prompt of 3 tokens'.*capacity = 2"):
        History.start([[1], [2, 3, 4]], capacity=2)


@pytest.mark.parametrize("capacity", [None, 4])
@pytest.mark.parametrize(
    ("token", "dtype"),
    [
        (2**62, torch.int64),
        (2**63 - 1, torch.int64),
        (2**62, torch.uint64),
        (2**63 + 5, torch.uint64),  # in int64 this would be negative, and leave its row as it is
        (2**64 - 1, torch.uint64),
    ],
)
def test_ids_that_are_no_tokens_are_not_accepted(
    token: int, dtype: torch.dtype, capacity: int | None
) -> None:
    history = History.start([[5], [6]], capacity=capacity)
    with pytest.raises(InvalidArgument, match=f"tokens: got {token}, must be token ids below {2**62}"):
        history.accept(torch.tensor([7, token], dtype=dtype))
    assert history.lengths.tolist() == [1, 1]
    history.accept(torch.tensor([7, 2**62 - 1]))
    assert history.counted()[0][:, 0].tolist() == [7, 2**62 - 1]


def test_the_highest_ids_are_known_wherever_rows_go() -> None:
    history = History.start([[5], [6]])
    history.accept(torch.tensor([9, -1]))
    assert (history.highest_prompt_id, history.highest_output_id) == (6, 9)
    other = History.start([[1]])
    other.accept(torch.tensor([30]))
    for changed in (history.merge(other), history.clone()):
        assert changed.highest_output_id == (30 if len(changed) == 3 else 9)
    history.put(0, other)
    assert history.highest_output_id == 30


@pytest.mark.parametrize("capacity", [None, 4])
def test_an_id_that_is_too_high_leaves_with_its_row(capacity: int | None) -> None:
    history = History.start([[50], [2]], capacity=capacity)
    history.accept(torch.tensor([60, 1]))
    with pytest.raises(InvalidArgument, match="output_ids: got 60, must be token ids below 10"):
        history.require_ids_below(10, prompt=False)
    history.select([1]).require_ids_below(10, prompt=True)
    history.put(0, History.start([[50]]))
    history.require_ids_below(10, prompt=False)
    with pytest.raises(InvalidArgument, match="prompt_ids: got 50, must be token ids below 10"):
        history.require_ids_below(10, prompt=True)
    history.put(0, History.start([[]]))
    history.require_ids_below(10, prompt=True)
    with pytest.raises(InvalidArgument, match="prompt_ids: got 2, must be token ids below 2"):
        history.require_ids_below(2, prompt=True)


def test_a_full_row_stays_as_it_is_while_others_go_on() -> None:
    history = History.start([[1, 2, 3], [1]], capacity=3)
    for token in (4, 5, 6, 7):
        history.accept(torch.tensor([token, token]))
    check(history, [([1, 2, 3], []), ([1], [4, 5])])


def tables(thing: object) -> list[Table]:
    """Every table in a history."""
    if isinstance(thing, Table):
        return [thing]
    return [table for part in getattr(thing, "__dict__", {}).values() for table in tables(part)]


def test_a_fixed_capacity_never_moves() -> None:
    history = History.start([[1, 2], [3], []], capacity=40)
    before = [(table.storage.data_ptr(), table.storage.shape) for table in tables(history)]
    assert len(before) == 10
    for i in range(50):
        history.accept(torch.tensor([i, i % 3, -1]))
        if i == 30:
            history.put(1, History.start([list(range(40))]))
    assert before == [(table.storage.data_ptr(), table.storage.shape) for table in tables(history)]
    check(history, [([1, 2], list(range(38))), (list(range(40)), []), ([], [])])


@pytest.mark.compiled
def test_compiled_steps_are_eager_ones_and_compiled_once(compiled: Callable[[Any], Any]) -> None:
    def step(history: History, new: torch.Tensor) -> list[torch.Tensor]:
        history.accept(new)
        return [*(part for scope in SCOPES for part in history.counted(scope)), history.sampled]

    torch.manual_seed(0)
    eager = History.start([[1, 2, 2], [], [7]], capacity=9)
    fast, graph, once = eager.clone(), compiled(step), "default"
    for _ in range(12):
        new = torch.randint(-1, 9, (3,))
        with torch.compiler.set_stance(once):
            results = graph(fast, new)
        for got, wanted in zip(results, step(eager, new), strict=True):
            assert torch.equal(got, wanted)
        assert torch.equal(fast.tokens, eager.tokens)
        once = "fail_on_recompile"


class Written(TorchDispatchMode):
    """Notes how many elements each operation writes: those of a new tensor, or those that change in place."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[int] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if func is torch.ops.aten.index_put_.default:
            self.sizes.append(args[2].numel())
        elif func._schema.is_mutable or all(result.alias_info is None for result in func._schema.returns):
            self.sizes += [part.numel() for part in tree_leaves(out) if isinstance(part, torch.Tensor)]
        return out


def written(history: History) -> list[int]:
    """The elements that one accept writes, operation by operation, once the tables have room for it."""
    for _ in range(3):
        history.accept(torch.tensor([3] * len(history)))
    with Written() as mode:
        history.accept(torch.tensor([3] * len(history)))
    return mode.sizes


def test_accept_writes_as_much_after_a_long_history() -> None:
    distinct, least = 7, written(History.start([[], []]))
    sampled = History.start([[], []])
    for i in range(3000):
        sampled.accept(torch.tensor([i % distinct] * 2))
    long_prompt = History.start([list(range(5000))] * 2)
    assert written(long_prompt) == least
    assert max(least) <= 2 * 4  # rows by accepted tokens
    assert len(written(sampled)) == len(least)
    assert (
        max(written(sampled)) <= 2 * 4 * distinct
    )  # as many as there are distinct tokens, up to the room for more


def test_one_row_after_the_other_copies_each_a_few_times() -> None:
    history, count = History.start([]), 256
    row = History.start([[1, 2, 3, 4]])
    with Written() as mode:
        for _ in range(count):
            history.extend(row)
    held = sum(table.values.numel() for table in tables(history))
    assert sum(mode.sizes) <= 8 * held  # one copy a row would be count / 2 times as much
    check(history, [([1, 2, 3, 4], [])] * count)


def test_one_longer_prompt_after_the_other_widens_rarely() -> None:
    history, moves, place = History.start([[]]), 0, 0
    for length in range(300):
        history.put(0, History.start([[1] * length]))
        moves, place = moves + (history.tokens.data_ptr() != place), history.tokens.data_ptr()
    assert moves <= 10


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[torch.Tensor]:
    """What the host looked up, one entry for each time that it waited for the device."""
    seen: list[torch.Tensor] = []

    def noted(numbers: torch.Tensor) -> int:
        seen.append(numbers)
        return largest(numbers)

    monkeypatch.setattr("sampling.core.history.largest", noted)
    monkeypatch.setattr("sampling.core.token_counts.largest", noted)
    return seen


def test_a_skipped_long_row_is_not_looked_at_every_time(looks: list[torch.Tensor]) -> None:
    history = History.start([[1] * 63, [1] * 62, []]).select([1, 2])  # one place is left to the long row
    for _ in range(16):
        history.accept(torch.tensor([-1, 1]))
    looks.clear()
    for _ in range(40):
        history.accept(torch.tensor([-1, 1]))
    assert len(looks) <= 3
    check(history, [([1] * 62, []), ([], [1] * 56)])


def test_repeated_tokens_are_not_looked_at_every_time(looks: list[torch.Tensor]) -> None:
    history, output = History.start([[]]), [*range(15), *[0] * 200]  # one place of sixteen is left
    for token in output:
        history.accept(torch.tensor([token]))
    assert len(looks) <= 20
    check(history, [([], output)])


def test_cost_follows_distinct_tokens_not_the_vocabulary() -> None:
    history = History.start([[100_000, 5]])
    history.accept(torch.tensor([500_000]))
    assert history.counted(PROMPT_AND_OUTPUT)[0].shape[1] <= 32


@pytest.mark.parametrize("capacity", [None, 12])
def test_outputs_given_at_once(capacity: int | None) -> None:
    """The same counts as from accepting them one by one, then and after more tokens."""
    prompts, outputs = [[5, 6, 5], [], [7]], [[6, 9, 6, 6], [1], []]
    at_once = History.start(prompts, output_ids=outputs, capacity=capacity)
    one_by_one = History.start(prompts, capacity=capacity)
    for column in range(4):
        one_by_one.accept(torch.tensor([row[column] if column < len(row) else -1 for row in outputs]))
    for more in (None, [9, 2, 7], [5, -1, 8], [9, 1, 8]):
        if more is not None:
            at_once.accept(torch.tensor(more))
            one_by_one.accept(torch.tensor(more))
        for scope in (Scope(), Scope(prompt=True), Scope(last=3), Scope(prompt=True, last=4)):
            pairs = [history.counted(scope) for history in (at_once, one_by_one)]
            found = [
                [
                    dict(zip(ids, counts, strict=True))
                    for ids, counts in zip(*map(torch.Tensor.tolist, pair), strict=True)
                ]
                for pair in pairs
            ]
            used = [
                [{token: count for token, count in row.items() if count} for row in rows] for rows in found
            ]
            assert used[0] == used[1], (more, scope)
        assert at_once.lengths.tolist() == one_by_one.lengths.tolist()
        assert at_once.sampled.tolist() == one_by_one.sampled.tolist()


def test_outputs_that_do_not_fit() -> None:
    with pytest.raises(
        InvalidArgument, match=r"output_ids: got '1 rows', must be one for each of the 2 prompts"
    ):
        History.start([[1], [2]], output_ids=[[1]])
    with pytest.raises(
        InvalidArgument,
        match=r"output_ids\[0\]: got '4 tokens with the prompt', must be at most capacity = 3",
    ):
        History.start([[1, 2]], output_ids=[[3, 4]], capacity=3)
    with pytest.raises(InvalidArgument, match=r"output_ids\[0\]: got -1"):
        History.start([[1]], output_ids=[[-1]])
