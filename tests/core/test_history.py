"""History: penalties count what a plain Python Counter counts, whatever happened to the rows."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sampling import History
from sampling.errors import InvalidRequest
from sampling.history import OUTPUT, PROMPT_AND_OUTPUT, Scope

Rows = list[tuple[list[int], list[int]]]

tokens = st.integers(0, 6)
prompts = st.lists(st.lists(tokens, max_size=5), min_size=1, max_size=4)
SCOPES = [OUTPUT, PROMPT_AND_OUTPUT, *(Scope(prompt=p, last=n) for p in (True, False) for n in (1, 3, 64))]


def expected(prompt: list[int], output: list[int], scope: Scope) -> Counter[int]:
    counted = prompt + output if scope.prompt else output
    return Counter(counted if scope.last is None else counted[-scope.last :])


def check(history: History, rows: Rows) -> None:
    assert len(history) == len(rows)
    assert history.sampled.tolist() == [len(output) for _, output in rows]
    assert history.lengths.tolist() == [len(prompt) + len(output) for prompt, output in rows]
    for i, (prompt, output) in enumerate(rows):
        assert history.tokens[i, : len(prompt) + len(output)].tolist() == prompt + output
    for scope in SCOPES:
        ids, counts = history.counted(scope)
        for i, (prompt, output) in enumerate(rows):
            shown = set(zip(ids[i].tolist(), counts[i].tolist(), strict=True))
            counted = expected(prompt, output, scope)
            assert {(token, n) for token, n in shown if n} == set(counted.items()), scope
            # An unused place repeats a used one; only an empty row shows a token that it does not count.
            assert all(n for _, n in shown) or (not counted and shown == {(0, 0)})


@settings(max_examples=30)
@given(prompts, st.data())
def test_counts_are_a_counter_s(start: list[list[int]], data: st.DataObject) -> None:
    history, rows = History.start(start), [(list(prompt), []) for prompt in start]
    check(history, rows)
    for step in data.draw(st.lists(st.sampled_from("aaaasmc"), max_size=8)):
        if step == "a":
            accepted = [data.draw(st.one_of(tokens, st.just(-1))) for _ in rows]
            history.accept(torch.tensor(accepted))
            rows = [(p, [*o, t] if t >= 0 else o) for (p, o), t in zip(rows, accepted, strict=True)]
        elif step == "s":
            taken = data.draw(st.lists(st.integers(0, len(rows) - 1), min_size=1, max_size=4))
            history, rows = history.select(taken), [rows[i] for i in taken]
        elif step == "m":
            more = data.draw(prompts)
            history, rows = history.merge(History.start(more)), rows + [(list(p), []) for p in more]
        else:
            before = history.clone()
            history.accept(torch.zeros(len(rows), dtype=torch.int64))
            check(before, rows)
            rows = [(p, [*o, 0]) for p, o in rows]
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
    copies = [history.clone(), history.select([0, 1]), History.start([]).merge(history)]
    history.accept(torch.tensor([3, 3]))
    for copy in copies:
        check(copy, [([1], []), ([2], [])])


def test_prompts_are_not_kept_by_reference() -> None:
    prompt = [1, 2]
    history = History.start([prompt])
    prompt.append(3)
    check(history, [([1, 2], [])])


@pytest.mark.parametrize("bad", [-1, True, 1.0, "1", None])
def test_bad_prompt_ids(bad: object) -> None:
    with pytest.raises(InvalidRequest, match=r"prompt_ids\[1\]: got .*token ids of at least 0"):
        History.start([[1], [2, bad]])  # pyright: ignore[reportArgumentType]


def test_one_token_for_each_row() -> None:
    with pytest.raises(InvalidRequest, match="one token for each of the 2 rows"):
        History.start([[1], [2]]).accept(torch.tensor([1]))


def test_cost_follows_distinct_tokens_not_the_vocabulary() -> None:
    history = History.start([[100_000, 5]])
    history.accept(torch.tensor([500_000]))
    assert history.counted(PROMPT_AND_OUTPUT)[0].shape[1] <= 32
