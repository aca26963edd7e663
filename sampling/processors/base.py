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
from sampling_kernels.branching import may_branch
from torch import Tensor

from sampling.core.errors import InvalidArgument
from sampling.core.history import History, history_or_none
from sampling.core.logits import float32_logits
from sampling.core.values import same

Rows = Tensor | slice
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
        shown: The numbers that it was made with, one or one per row; a tuple where these are several arguments.
        per_row: Names of the attributes that hold one number per row, [B, ...] or [1, ...].
    """

    name: ClassVar[str] = cast("str", NotNamed())
    per_row: ClassVar[tuple[str, ...]] = ()
    shown: Sequence[object] = ()

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
        """What `process` made of logits, if it is logits of the same form."""
        return self.formed("returned", processed, (given.dtype,), given.shape)

    def formed(
        self, what: str, value: Tensor, dtypes: Sequence[torch.dtype], *shapes: Sequence[int]
    ) -> Tensor:
        """What a method of a stage returned, if it has one of the types and shapes that it has to have.

        Anything else would be stretched by broadcasting, so that a row had another's numbers.

        Raises:
            InvalidArgument: It has another form.
        """
        name = f"{type(self).__name__}, {what}"
        if not isinstance(value, Tensor):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InvalidArgument(name, value, "a tensor")
        if value.dtype not in dtypes or not any(tuple(value.shape) == tuple(shape) for shape in shapes):
            forms = " or ".join(str(tuple(shape)) for shape in shapes)
            words = f"{' or '.join(map(str, dtypes))} {forms}, as it was given"
            raise InvalidArgument(name, f"{value.dtype} {tuple(value.shape)}", words)
        return value

    def process(self, logits: Tensor, history: History) -> Tensor:
        """What a processor does to float32 logits [B, V]."""
        raise NotImplementedError(f"{type(self).__name__} does not say what it does to logits")

    def fitted(self, numbers: Tensor, logits: Tensor) -> Tensor:
        """The processor's numbers, [1, ...] or [B, ...], on the device of the logits.

        Raises:
            InvalidArgument: There is one number per row, but of another batch.
        """
        count, rows = numbers.shape[0], logits.shape[0]
        if count != 1 and count != rows:  # not `in`, which a compiler cannot follow where B changes
            words = f"one for all rows, or one for each of the {rows} rows of the logits"
            raise InvalidArgument(self.name, f"{count} values", words)
        return numbers.to(logits.device)

    def numbers(self) -> dict[str, Tensor]:
        """Return what `per_row` names.

        Raises:
            InvalidArgument: The constructor has not set one of them.
        """
        found = {name: getattr(self, name, None) for name in self.per_row}
        for name, value in found.items():
            if not isinstance(value, Tensor):
                words = "names of tensors [B, ...] or [1, ...] that the constructor sets"
                raise InvalidArgument(f"{type(self).__name__}.per_row", name, words)
        return cast("dict[str, Tensor]", found)

    def select(self, rows: Rows) -> Self:
        """The stage with the numbers of some rows."""
        part = copy.copy(self)
        for name, numbers in self.numbers().items():
            part.__dict__[name] = numbers[rows] if len(numbers) > 1 else numbers
        if not torch.compiler.is_compiling() and len(self.shown) > 1:  # for people, and no part of a graph
            part.__dict__["shown"] = [self.shown[row] for row in torch.arange(len(self.shown))[rows].tolist()]
        return part

    def to(self, device: torch.device | str) -> Self:
        """The same processor with its numbers on a device, so that no call has to move them there."""
        moved = copy.copy(self)
        for name, value in self.__dict__.items():
            if isinstance(value, Tensor):
                moved.__dict__[name] = value.to(device)
        return moved

    def describe(self, row: int = 0) -> str:
        """The name and one row's numbers, for people."""
        numbers = self.shown[row if len(self.shown) > 1 else 0] if self.shown else ""
        words = (
            ", ".join(map(str, cast("tuple[object, ...]", numbers))) if type(numbers) is tuple else numbers
        )
        return f"{self.name} {words}".rstrip()

    def __repr__(self) -> str:
        """Return what makes it: its numbers, and the choices that are not the constructor's defaults."""
        return f"{type(self).__name__}({', '.join([*self._numbers_given(), *self._choices_made()])})"

    def _numbers_given(self) -> Iterator[str]:
        """Yield `shown` as arguments, a list where there is one per row; without it what `per_row` names."""
        if "shown" not in vars(self):
            yield from (f"{name}={value.flatten().tolist()}" for name, value in self.numbers().items())
            return
        several = len(self.shown) > 0 and all(type(one) is tuple for one in self.shown)
        columns = (
            zip(*cast("Sequence[Sequence[object]]", self.shown), strict=True) if several else [self.shown]
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


class Edit(Processor):
    """A processor that changes the logits of a few tokens of each row."""

    @property
    def reach(self) -> object:
        """What its tokens are found by: `touched` is the same for edits of equal reach, unless that is None."""
        return None

    def touched(self, logits: Tensor, history: History) -> tuple[Tensor, ...]:
        """Which tokens it changes: their ids, int64 [B, D], and what else `changed` needs; an id may stand there twice."""
        raise NotImplementedError(f"{type(self).__name__} does not say which tokens it changes")

    def changed(self, logits: Tensor, *known: Tensor) -> Tensor:
        """The new logits of these tokens, both [B, D] in float64; the same for the same id."""
        raise NotImplementedError(f"{type(self).__name__} does not say how it changes logits")

    def edits(self, logits: Tensor, history: History) -> tuple[Tensor, Tensor, Tensor]:
        """Which logits it changes, from what and to what.

        Args:
            logits: float32 [B, V].
            history: What the B rows have sampled so far.

        Returns:
            Token ids, int64 [B, D], and their logits before and after, float32 [B, D].
        """
        found = self.touched(logits, history)
        if not isinstance(found, tuple | list) or not found:  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InvalidArgument(
                f"{type(self).__name__}, touched", found, "a tuple that begins with token ids"
            )
        ids, *known = found
        shape = (len(logits), *ids.shape[-1:]) if isinstance(ids, Tensor) else ()  # pyright: ignore[reportUnnecessaryIsInstance]
        self.formed("touched", ids, (torch.int64,), shape)
        before = self._before(logits, ids)
        after = self.changed(before.double(), *known)
        return ids, before, self.formed("changed", after, FLOATS, before.shape).float()

    def _before(self, logits: Tensor, ids: Tensor) -> Tensor:
        """The logits of token ids, float32 [B, D]."""
        if not may_branch(logits):
            return logits.gather(-1, ids)
        try:
            return logits.gather(-1, ids)
        except RuntimeError as error:  # the operator has looked at every id
            wrong = next(token for token in ids.flatten().tolist() if not 0 <= token < logits.shape[-1])
            words = f"token ids from 0 to {logits.shape[-1] - 1}"
            raise InvalidArgument(f"{type(self).__name__}, touched", wrong, words) from error

    def process(self, logits: Tensor, history: History) -> Tensor:
        """Change them in a copy."""
        ids, _, after = self.edits(logits, history)
        return overwritten(logits.clone(), ids, after)


def as_in(base: type[Processor], stage: Processor, *methods: str) -> bool:
    """Whether a stage is a `base` that has none of these methods of its own, neither by its class nor by itself.

    What a stage has of its own is what it means: then no faster way may be taken past it.
    """
    return isinstance(stage, base) and all(
        getattr(type(stage), method) is getattr(base, method) and method not in vars(stage)
        for method in methods
    )


def same_rows(history: History, logits: Tensor) -> None:
    """Refuse a history of another batch than the logits [B, V]."""
    if len(history) != len(logits):
        raise InvalidArgument("history", f"{len(history)} rows", f"of the {len(logits)} rows of the logits")


def overwritten(logits: Tensor, ids: Tensor, values: Tensor) -> Tensor:
    """Write new logits [B, D] over those of the token ids [B, D], in place.

    By index: a compiled scatter would copy the whole rows once more.
    """
    rows = torch.arange(len(logits), device=logits.device)[:, None]
    logits[rows, ids] = values
    return logits


def by_reach(edits: Sequence[Edit]) -> tuple[tuple[Edit, ...], ...]:
    """Edits in groups: those that follow each other and change the same tokens."""
    groups: list[tuple[Edit, ...]] = []
    for edit in edits:
        if groups and edit.reach is not None and edit.reach == groups[-1][0].reach:
            groups[-1] += (edit,)
        else:
            groups.append((edit,))
    return tuple(groups)
