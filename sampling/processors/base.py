"""Processors: small frozen objects that turn logits into logits.

The numbers of a processor are scalars or one per row, so that one batch serves different requests by broadcasting. Calling a
processor is pure: it returns new logits, or the ones it was given where nothing changes. What was sampled so far comes from
the history alone. Float arithmetic is done in float64 and rounded once to float32, so that every device gets the same bits.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Iterator, Sequence
from typing import ClassVar, Self, cast

import torch
from sampling_kernels.host_sync import can_sync
from torch import Tensor

from sampling.core.errors import InvalidArgument
from sampling.core.history import History, history_or_none
from sampling.core.logits import float32_logits
from sampling.core.values import same
from sampling.core.whole_numbers import whole_list

Rows = Tensor | slice
LARGEST_INDEX = 2**62
FLOATS = (torch.float64, torch.float32)


class NotNamed:
    """What a processor's name is before its class says one."""

    def __get__(self, stage: object, kind: type) -> str:
        """Refuse a stage without a name."""
        if stage is None:
            return ""
        raise InvalidArgument(f"{kind.__name__}.name", None, 'a string in the class, such as name = "top_a"')


class Processor:
    """Logits in, logits out; attributes are set once, in the constructor.

    Attributes:
        name: What the stage is called.
        params: The numbers that it was made with, one or one per row; a tuple where these are several arguments.
        row_fields: Names of the attributes that hold one number per row, [B, ...] or [1, ...].
    """

    name: ClassVar[str] = cast("str", NotNamed())
    row_fields: ClassVar[tuple[str, ...]] = ()
    params: Sequence[object] = ()

    def __setattr__(self, name: str, value: object) -> None:
        """Set an attribute that has no value yet."""
        if name in self.__dict__:
            raise AttributeError(f"{type(self).__name__}.{name} is frozen: make a new processor instead")
        super().__setattr__(name, value)

    def __call__(self, logits: Tensor, history: History | None = None) -> Tensor:
        """Process the logits of B rows.

        Args:
            logits: [B, V], float32, or bfloat16 or float16, which are widened.
            history: What the B rows have sampled so far; a stage that does not depend on it needs none.

        Returns:
            float32 [B, V].

        Raises:
            InvalidArgument: The logits have another form, the processor's numbers are for another batch, or a `process` of
                one's own returns something else than it has to.
        """
        given = float32_logits(logits)
        return self._returned(self.process(given, history_or_none(history, self.name)), given)

    def _returned(self, processed: Tensor, given: Tensor) -> Tensor:
        """Return what `process` made of logits, if it is logits of the same form."""
        return self.formed("returned", processed, (given.dtype,), given.shape)

    @property
    def label(self) -> str:
        """Return what errors call the stage."""
        return type(self).__name__

    def formed(
        self, what: str, value: Tensor, dtypes: Sequence[torch.dtype], *shapes: Sequence[int]
    ) -> Tensor:
        """Return what a method of a stage returned, if it has one of the types and shapes that it has to have.

        Anything else would be stretched by broadcasting, so that a row had another's numbers.

        Raises:
            InvalidArgument: It has another form.
        """
        name = f"{self.label}, {what}"
        if not isinstance(value, Tensor):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InvalidArgument(name, value, "a tensor")
        if value.dtype not in dtypes or not any(tuple(value.shape) == tuple(shape) for shape in shapes):
            forms = " or ".join(str(tuple(shape)) for shape in shapes)
            words = f"{' or '.join(map(str, dtypes))} {forms}, as it was given"
            raise InvalidArgument(name, f"{value.dtype} {tuple(value.shape)}", words)
        return value

    def process(self, logits: Tensor, history: History) -> Tensor:
        """Process float32 logits [B, V]."""
        raise NotImplementedError(f"{type(self).__name__} does not say what it does to logits")

    def broadcast_to(self, numbers: Tensor, logits: Tensor) -> Tensor:
        """Return the processor's numbers, [1, ...] or [B, ...], on the device of the logits.

        Raises:
            InvalidArgument: There is one number per row, but of another batch.
        """
        count, rows = numbers.shape[0], logits.shape[0]
        if count != 1 and count != rows:  # not `in`, which a compiler cannot follow where B changes
            words = f"one for all rows, or one for each of the {rows} rows of the logits"
            raise InvalidArgument(self.name, f"{count} values", words)
        return numbers.to(logits.device)

    def numbers(self) -> dict[str, Tensor]:
        """Return what `row_fields` names.

        Raises:
            InvalidArgument: The constructor has not set one of them.
        """
        found = {name: getattr(self, name, None) for name in self.row_fields}
        for name, value in found.items():
            if not isinstance(value, Tensor):
                words = "names of tensors [B, ...] or [1, ...] that the constructor sets"
                raise InvalidArgument(f"{type(self).__name__}.row_fields", name, words)
        return cast("dict[str, Tensor]", found)

    def select(self, rows: Rows | Sequence[int]) -> Self:
        """Return the stage with the numbers of some rows.

        Args:
            rows: A list of their numbers, from 0 on; or what would index a tensor [B], whose values are not looked at.

        Raises:
            InvalidArgument: There is no such row.
        """
        part, rows = copy.copy(self), self._row_index(rows)
        for name, numbers in self.numbers().items():
            part.__dict__[name] = numbers[rows] if len(numbers) > 1 else numbers
        if not torch.compiler.is_compiling() and len(self.params) > 1:  # for people, and no part of a graph
            part.__dict__["params"] = [
                self.params[row] for row in torch.arange(len(self.params))[rows].tolist()
            ]
        return part

    def _row_index(self, rows: Rows | Sequence[int]) -> Rows:
        """Return what tensors with a row each are indexed by."""
        if isinstance(rows, Tensor | slice):
            return rows
        counts = [len(numbers) for numbers in self.numbers().values() if len(numbers) > 1]
        return torch.tensor(
            whole_list("rows", rows, 0, min(counts, default=LARGEST_INDEX) - 1), dtype=torch.int64
        )

    def to(self, device: torch.device | str) -> Self:
        """Return the same processor with its numbers on a device, so that no call has to move them there."""
        moved = copy.copy(self)
        for name, value in self.__dict__.items():
            if isinstance(value, Tensor):
                moved.__dict__[name] = value.to(device)
        return moved

    def describe(self, row: int = 0) -> str:
        """Return the name and one row's numbers, for people."""
        numbers = self.params[row if len(self.params) > 1 else 0] if self.params else ""
        words = (
            ", ".join(map(str, cast("tuple[object, ...]", numbers))) if type(numbers) is tuple else numbers
        )
        return f"{self.name} {words}".rstrip()

    def __repr__(self) -> str:
        """Return what makes it: its numbers, and the choices that are not the constructor's defaults."""
        return f"{type(self).__name__}({', '.join([*self._numbers_given(), *self._choices_made()])})"

    def _numbers_given(self) -> Iterator[str]:
        """Yield `params` as arguments, a list where there is one per row; without it what `row_fields` names."""
        if "params" not in vars(self):
            yield from (f"{name}={value.flatten().tolist()}" for name, value in self.numbers().items())
            return
        several = len(self.params) > 0 and all(type(one) is tuple for one in self.params)
        columns = (
            zip(*cast("Sequence[Sequence[object]]", self.params), strict=True) if several else [self.params]
        )
        for column in map(list, columns):
            yield repr(column[0] if len(column) == 1 else column)

    def _choices_made(self) -> Iterator[str]:
        """Yield the keyword arguments of the constructor that are attributes and not what they are by default."""
        for one in inspect.signature(type(self)).parameters.values():
            if one.kind is one.KEYWORD_ONLY and getattr(self, one.name, one.default) != one.default:
                yield f"{one.name}={getattr(self, one.name)!r}"

    def __eq__(self, other: object) -> bool:
        """Return True for a processor of the same kind that was made of the same."""
        return type(other) is type(self) and same(vars(self), vars(other))

    def __hash__(self) -> int:
        """Return what equal processors have in common."""
        return hash(type(self))


class SparseEdit(Processor):
    """A processor that changes the logits of a few tokens of each row."""

    @property
    def index_key(self) -> object:
        """Return what its tokens are found by; edits of equal keys have the same `token_ids`, unless the key is None."""
        return None

    def token_ids(self, logits: Tensor, history: History) -> tuple[Tensor, ...]:
        """Return which tokens it changes: their ids, int64 [B, D], and what else `update` needs; an id may be there twice."""
        raise NotImplementedError(f"{type(self).__name__} does not say which tokens it changes")

    def update(self, logits: Tensor, *known: Tensor) -> Tensor:
        """Return the new logits of these tokens, both [B, D] in float64; the same for the same id."""
        raise NotImplementedError(f"{type(self).__name__} does not say how it changes logits")

    def slope(self, logits: Tensor, *known: Tensor) -> Tensor:
        """Return the derivative of `update` at these logits, float64 [B, D]: 1 of what adds to a logit or bans it."""
        return torch.ones_like(logits)

    def edits(self, logits: Tensor, history: History) -> tuple[Tensor, Tensor, Tensor]:
        """Compute which logits it changes, from what and to what.

        Args:
            logits: float32 [B, V].
            history: What the B rows have sampled so far.

        Returns:
            Token ids, int64 [B, D], and their logits before and after, float32 [B, D].
        """
        found = self.token_ids(logits, history)
        if not isinstance(found, tuple | list) or not found:  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InvalidArgument(
                f"{type(self).__name__}, token_ids", found, "a tuple that begins with token ids"
            )
        ids, *known = found
        shape = (len(logits), *ids.shape[-1:]) if isinstance(ids, Tensor) else ()  # pyright: ignore[reportUnnecessaryIsInstance]
        self.formed("token_ids", ids, (torch.int64,), shape)
        before = self._before(logits, ids)
        after = self.update(before.double(), *known)
        return ids, before, self.formed("update", after, FLOATS, before.shape).float()

    def _before(self, logits: Tensor, ids: Tensor) -> Tensor:
        """Gather the logits of token ids, float32 [B, D]."""
        if not can_sync(logits):
            return logits.gather(-1, ids)
        try:
            return logits.gather(-1, ids)
        except RuntimeError as error:  # the operator has looked at every id
            wrong = next(token for token in ids.flatten().tolist() if not 0 <= token < logits.shape[-1])
            words = f"token ids from 0 to {logits.shape[-1] - 1}"
            raise InvalidArgument(f"{type(self).__name__}, token_ids", wrong, words) from error

    def process(self, logits: Tensor, history: History) -> Tensor:
        """Change them in a copy."""
        ids, _, after = self.edits(logits, history)
        return write_logits(logits.clone(), ids, after)


def inherits(base: type[Processor], stage: Processor, *methods: str) -> bool:
    """Return True if a stage is a `base` that has none of these methods of its own, neither by its class nor by itself.

    What a stage has of its own is what it means: then no faster way may be taken past it.
    """
    return isinstance(stage, base) and all(
        getattr(type(stage), method) is getattr(base, method) and method not in vars(stage)
        for method in methods
    )


def check_same_rows(history: History, logits: Tensor) -> None:
    """Refuse a history of another batch than the logits [B, V]."""
    if len(history) != len(logits):
        raise InvalidArgument("history", f"{len(history)} rows", f"of the {len(logits)} rows of the logits")


def write_logits(logits: Tensor, ids: Tensor, values: Tensor) -> Tensor:
    """Write new logits [B, D] over those of the token ids [B, D], in place.

    By index: a compiled scatter would copy the whole rows once more.
    """
    rows = torch.arange(len(logits), device=logits.device)[:, None]
    logits[rows, ids] = values
    return logits


def group_by_index_key(edits: Sequence[SparseEdit]) -> tuple[tuple[SparseEdit, ...], ...]:
    """Group edits that follow each other and change the same tokens."""
    groups: list[tuple[SparseEdit, ...]] = []
    for edit in edits:
        if groups and edit.index_key is not None and edit.index_key == groups[-1][0].index_key:
            groups[-1] += (edit,)
        else:
            groups.append((edit,))
    return tuple(groups)
