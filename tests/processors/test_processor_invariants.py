"""What holds for every processor of the table."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from processors.processor_table import TABLE, VOCABULARY, Entry
from sampling_kernels.validity import row_validity
from sampling_kernels.weights import weights
from torch import Tensor

import sampling.processors
from sampling import History, InvalidArgument, chain
from sampling.processors import (
    Constraint,
    OrderPreservingStage,
    Processor,
    SparseEdit,
    TokenizerVocabSize,
    Truncation,
)
from sampling.processors.function import FunctionStage

tokens = st.integers(0, VOCABULARY - 1)
fewer = settings(max_examples=25)


def of_all(fits: Callable[[Entry], bool]) -> pytest.MarkDecorator:
    """The entries of the table that something is true of."""
    return pytest.mark.parametrize("entry", [*filter(fits, TABLE)], ids=lambda entry: entry.name)


every = of_all(lambda entry: True)


def rows(size: int, seed: int) -> Tensor:
    """Logits [B, V]: any numbers, ties, and what is banned, each row with its own share of them; the last is never banned.

    Multiples of 1/256 up to 64: every sum below is exact in float32. No -0.0 among them.
    """
    dice = np.random.default_rng(seed)
    kinds = dice.random((size, 1, 3)).cumsum(-1)
    kind = (dice.random((size, VOCABULARY, 1)) * kinds[..., -1:] > kinds).sum(-1)
    kind[:, -1] %= 2
    levels = dice.integers(-(2**14), 2**14, kind.shape, endpoint=True) / 256
    ties = dice.choice([0.0, 1.0, -1.0], kind.shape)
    return torch.from_numpy(np.choose(kind, [levels, ties, -np.inf])).float()


@st.composite
def batches(draw: st.DrawFn) -> tuple[Tensor, History]:
    """Logits [B, V] with something to sample in every row, and a history of B rows."""
    size = draw(st.integers(1, 4))
    logits = rows(size, draw(st.integers(0, 2**32 - 1)))
    history = History.start([draw(st.lists(tokens, max_size=4)) for _ in range(size)])
    for _ in range(draw(st.integers(0, 4))):
        accepted = [draw(st.one_of(tokens, st.just(-1))) for _ in range(size)]
        history.accept(torch.tensor(accepted))
    return logits, history


def drawn(data: st.DataObject, entry: Entry, size: int) -> list[Any]:
    if not entry.per_row:
        return [data.draw(entry.values)] * size
    return [data.draw(entry.values) for _ in range(size)]


def settled(logits: Tensor) -> Tensor:
    """Rows that cannot be sampled have no weights: make them flat."""
    return torch.where((row_validity(logits) > 0)[:, None], 0.0, logits)


def bits(logits: Tensor) -> list[list[int]]:
    assert logits.dtype == torch.float32
    return logits.view(torch.int32).tolist()


@every
@fewer
@given(batch=batches(), data=st.data())
def test_a_row_depends_on_itself_alone(
    entry: Entry, batch: tuple[Tensor, History], data: st.DataObject
) -> None:
    """Row i of a batch with a parameter per row is what the scalar processor makes of row i alone."""
    logits, history = batch
    values = drawn(data, entry, len(logits))
    together = entry.build(values)(logits, history)
    for i, value in enumerate(values):
        alone = entry.scalar(value)(logits[i : i + 1], history.select([i]))
        assert bits(together[i : i + 1]) == bits(alone)


@every
@fewer
@given(batch=batches(), data=st.data())
def test_a_scalar_serves_every_row(entry: Entry, batch: tuple[Tensor, History], data: st.DataObject) -> None:
    logits, history = batch
    value = data.draw(entry.values)
    per_row = entry.build([value] * len(logits))(logits, history)
    assert bits(entry.scalar(value)(logits, history)) == bits(per_row)


@every
@fewer
@given(batch=batches(), data=st.data())
def test_rows_may_be_permuted(entry: Entry, batch: tuple[Tensor, History], data: st.DataObject) -> None:
    logits, history = batch
    values = drawn(data, entry, len(logits))
    order = data.draw(st.permutations(range(len(logits))))
    permuted = entry.build([values[i] for i in order])(logits[order], history.select(order))
    assert bits(permuted) == bits(entry.build(values)(logits, history)[order])


@every
@fewer
@given(batch=batches(), data=st.data())
def test_calling_is_pure(entry: Entry, batch: tuple[Tensor, History], data: st.DataObject) -> None:
    logits, history = batch
    processor = entry.build(drawn(data, entry, len(logits)))
    before = logits.clone(), history.tokens.clone(), history.lengths.clone(), history.sampled.clone()
    counts = [t.clone() for t in history.counted()]
    first = processor(logits, history)
    assert bits(first) == bits(processor(logits, history))
    after = logits, history.tokens, history.lengths, history.sampled
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    assert all(torch.equal(a, b) for a, b in zip(counts, history.counted(), strict=True))


@of_all(lambda entry: entry.neutral is not None)
@fewer
@given(batch=batches())
def test_neutral_parameters_change_nothing(entry: Entry, batch: tuple[Tensor, History]) -> None:
    logits, history = batch
    assert bits(entry.scalar(entry.neutral)(logits, history)) == bits(logits)
    assert bits(entry.build([entry.neutral] * len(logits))(logits, history)) == bits(logits)


@of_all(lambda entry: entry.neutral is not None)
def test_neutral_parameters_leave_the_sign_of_zero(entry: Entry) -> None:
    logits = torch.tensor([[-0.0] + [0.0] * (VOCABULARY - 1)])
    assert bits(entry.scalar(entry.neutral)(logits, History.start([[]]))) == bits(logits)


@of_all(lambda entry: entry.shifts)
@fewer
@given(batch=batches(), data=st.data(), shift=st.integers(-(2**14), 2**14).map(lambda n: n / 256))
def test_shifted_logits_mean_the_same(
    entry: Entry, batch: tuple[Tensor, History], data: st.DataObject, shift: float
) -> None:
    logits, history = batch
    processor = entry.build(drawn(data, entry, len(logits)))
    plain, shifted = processor(logits, history), processor(logits + shift, history)
    assert torch.equal(plain == -math.inf, shifted == -math.inf)
    assert torch.equal(weights(settled(plain)), weights(settled(shifted)))


@of_all(lambda entry: issubclass(entry.kind, Truncation))
@fewer
@given(batch=batches(), data=st.data())
def test_truncations_keep_or_ban(entry: Entry, batch: tuple[Tensor, History], data: st.DataObject) -> None:
    logits, history = batch
    kept = entry.build(drawn(data, entry, len(logits)))(logits, history)
    assert ((kept == logits) | (kept == -math.inf)).all()
    most_likely_stays = (kept.amax(-1) == logits.amax(-1)).all()
    assert most_likely_stays or entry.kind is TokenizerVocabSize


@every
def test_attributes_are_frozen(entry: Entry) -> None:
    processor = entry.scalar((0.5, 0.5) if entry.neutral is None else entry.neutral)
    for name in list(processor.__dict__):
        with pytest.raises(AttributeError, match="frozen"):
            setattr(processor, name, None)


@every
def test_descriptions_name_the_processor(entry: Entry) -> None:
    processor = entry.scalar((0.5, 0.5) if entry.neutral is None else entry.neutral)
    assert repr(processor).startswith(entry.kind.__name__ + "(")
    assert isinstance(processor.describe(), str)


def concrete(kind: type[Processor]) -> set[type[Processor]]:
    found = {one for sub in kind.__subclasses__() for one in concrete(sub)}
    return found or {kind}


def test_every_processor_is_in_the_table() -> None:
    listed = {entry.kind for entry in TABLE}
    ours = {kind for kind in concrete(Processor) if kind.__module__.startswith("sampling.processors.")}
    assert ours - {FunctionStage} <= listed  # functions have no numbers of their own
    named = [getattr(sampling.processors, name) for name in sampling.processors.__all__]
    public = [one for one in named if isinstance(one, type)]
    bases = (Constraint, SparseEdit, Processor, OrderPreservingStage, Truncation)
    assert {kind for kind in public if kind not in bases} <= listed


@pytest.mark.compiled
def test_compiled_equals_eager(compiled: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
    torch.manual_seed(1)
    logits = torch.randn(5, VOCABULARY).mul(4).round() / 2
    history = History.start([[1, 2], [], [3], [4, 4], [5]])
    for _ in range(3):
        history.accept(torch.tensor([1, 2, -1, 7, 7]))
    made: dict[str, list[Any]] = {
        "logit_bias": [{0: 1.5}, {}, {3: -2.25, 4: 0.1}, {7: 100.0}, {22: -100.0}],
        "min_tokens": [(3, [1]), (2, [0, 5, 22]), (1, []), (4, [7]), (0, [3])],
        "frequency_penalty": [0.1, -2.0, 0.7, 1.3, 0.0],
        "presence_penalty": [0.1, -2.0, 0.7, 1.3, 0.0],
        "repetition_penalty": [1.1, 0.7, 1.0, 3.0, 1.3],
        "temperature": [0.0, 1e-45, 0.7, 1.0, 1.9],
        "top_k": [0, 1, 5, 30, 7],
        "top_p": [0.0, 0.5, 0.9, 1.0, 0.3],
        "min_p": [0.0, 0.5, 0.1, 1.0, 0.3],
        "joint": [(0, 0.9), (3, 1.0), (5, 0.5), (1, 0.0), (9, 0.8)],
        "arg_max": [True, False, True, False, False],
        "tokenizer_vocab_size": [20] * 5,
        "pipeline": [(0.0, 0.9), (0.5, 1.0), (1.0, 0.3), (2.0, 0.7), (0.7, 0.5)],
    }
    entries = [entry for entry in TABLE if entry.compiles]
    assert set(made) == {entry.name for entry in entries}
    processors = [entry.build(made[entry.name]) for entry in entries]

    def all_of_them(logits: Tensor) -> list[Tensor]:
        return [processor(logits, history) for processor in processors]

    for name, got, expected in zip(made, compiled(all_of_them)(logits), all_of_them(logits), strict=True):
        assert bits(got) == bits(expected), name


def test_a_base_processor_says_that_it_is_abstract() -> None:
    with pytest.raises(InvalidArgument, match=r"Processor\.name: got None"):
        Processor()(torch.zeros(1, 2), History.start([[]]))
    with pytest.raises(ValueError, match="stage: got 'top_p'"):
        chain("top_p")  # pyright: ignore[reportArgumentType]
