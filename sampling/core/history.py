"""What was sampled so far: the only state of the sampling step, explicit and sparse."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import torch
from sampling_kernels.host_sync import can_sync
from torch import Tensor

from sampling.core.device import checked_device
from sampling.core.errors import InvalidArgument
from sampling.core.params import boolean, integer
from sampling.core.token_counts import NOTHING, Counts, Table, TokenCounts, largest
from sampling.core.values import short_repr
from sampling.core.whole_numbers import listed, whole_list, whole_tensor


@dataclass(frozen=True, repr=False)
class Scope:
    """Which tokens of a row a penalty counts.

    Args:
        prompt: Whether the prompt's tokens count, too.
        last: Count only among the row's last so many tokens, at least 1; None counts over the full length.
        skipped: The row's first so many tokens never count.

    Raises:
        InvalidArgument: `prompt` is no bool, or `last` or `skipped` no such number.
    """

    prompt: bool = False
    last: int | None = None
    skipped: int = 0

    def __post_init__(self) -> None:
        """Check all."""
        boolean("prompt", self.prompt)
        integer("skipped", self.skipped, 0)
        if self.last is not None:
            integer("last", self.last, 1)

    def __repr__(self) -> str:
        return short_repr(self)


OUTPUT = Scope()
PROMPT_AND_OUTPUT = Scope(prompt=True)


Prompts = Tensor | Sequence[Sequence[int] | Tensor]


def checked_tokens(name: str, token_ids: Prompts) -> list[list[int]]:
    """Return the tokens of each row as a list of ids."""
    rows = enumerate(listed(name, without_tensor(name, token_ids, "[B, T]")))
    return [
        whole_list(f"{name}[{index}]", without_tensor(f"{name}[{index}]", row, "[T]"), 0, NOTHING - 1)
        for index, row in rows
    ]


def check_capacity(prompts: Sequence[list[int]], outputs: Sequence[list[int]], capacity: int) -> None:
    """Refuse rows that are longer than the capacity."""
    for index, (prompt, output) in enumerate(zip(prompts, outputs, strict=True)):
        words = f"at most capacity = {capacity} tokens long"
        if len(prompt) > capacity:
            raise InvalidArgument(f"prompt_ids[{index}]", f"a prompt of {len(prompt)} tokens", words)
        if len(prompt) + len(output) > capacity:
            length = f"{len(prompt) + len(output)} tokens with the prompt"
            raise InvalidArgument(f"output_ids[{index}]", length, words)


def without_tensor(name: str, value: object, shape: str) -> object:
    """Return a tensor of token ids of such a shape as lists, whatever its device; all else as it is."""
    if not isinstance(value, Tensor):
        return value
    words = f"a tensor {shape} of whole numbers, or a list"
    if value.is_meta or value.is_nested or value.layout is not torch.strided:
        raise InvalidArgument(name, f"a {value.layout} tensor on {value.device}", f"{words}, with its values")
    return whole_tensor(name, value, (shape.count(",") + 1,), words).tolist()


def filled(rows: Sequence[Sequence[int]], columns: int, empty: int) -> Tensor:
    """Return lists as one tensor, int64 [B, columns], with `empty` behind each list."""
    table = torch.full((len(rows), columns), empty, dtype=torch.int64)
    for place, row in enumerate(rows):
        table[place, : len(row)] = torch.tensor(row, dtype=torch.int64)
    return table


def longest_of(rows: Sequence[Sequence[int]]) -> int:
    """Return the length of the longest list."""
    return max(map(len, rows), default=0)


def lengths_of(rows: Sequence[Sequence[int]]) -> Tensor:
    """Return the length of each list, int64 [B, 1]."""
    return torch.tensor([len(row) for row in rows], dtype=torch.int64)[:, None]


def highest_of(rows: Sequence[Sequence[int]]) -> int:
    """Return the highest token id of some lists; -1 of none."""
    return max((token for row in rows for token in row), default=-1)


class History:
    """The tokens of B rows: the prompt's and those sampled since.

    Penalties read it through `counted`, which costs the number of distinct tokens and not the vocabulary. Its tensors are
    views of storage that is written in place. With a fixed capacity only `extend` moves the storage or changes a shape, so that
    `accept` and `counted` can be compiled, or captured in a CUDA graph, and run again for the next token.

    Example:
        >>> import torch
        >>> history = History.start([[5, 6], [7]])
        >>> history.accept(torch.tensor([9, 9]))
        >>> history.sampled.tolist()
        [1, 1]
    """

    def __init__(
        self,
        tokens: Table,
        prompt_lengths: Table,
        lengths: Table,
        longest: int,
        counts: TokenCounts,
        highest_prompt_id: int,
        highest_output_id: int,
        capacity: int | None,
    ) -> None:
        self._tokens = tokens
        self._prompt_lengths = prompt_lengths  # [B, 1]
        self._lengths = lengths  # [B, 1]
        self.longest = longest  # upper bound of lengths, known on the host
        self._counts = counts
        # Of all rows that have been here, and of all tokens that came when a look at them cost nothing.
        self.highest_prompt_id, self.highest_output_id = highest_prompt_id, highest_output_id
        self.capacity = capacity

    @staticmethod
    @torch.inference_mode(False)  # what is made in that mode could not be written to outside of it
    def start(
        prompt_ids: Prompts,
        *,
        output_ids: Prompts | None = None,
        device: torch.device | str = "cpu",
        capacity: int | None = None,
    ) -> History:
        """Begin with one prompt per row, and with what each row has sampled already.

        Args:
            prompt_ids: B lists of token ids, of which one may be empty, or tensors [T] in their place; or a tensor [B, T] of
                prompts of one length, of any type of whole numbers.
            output_ids: What each row has sampled after its prompt, in the same form; None for nothing. The same as accepting
                these tokens one by one.
            device: Where the tensors live.
            capacity: The most tokens of a row, prompt included, at least 1; every tensor has its final shape from the
                beginning. None lets the tensors grow.

        Returns:
            A history in which that was sampled, or nothing yet.

        Raises:
            InvalidArgument: A prompt is no list and no such tensor, a token id is negative, 2^62 or more, or no integer, a
                row is longer than the capacity, there are not as many outputs as prompts, or the device is not there.
        """
        device = checked_device(device)
        capacity = None if capacity is None else integer("capacity", capacity, 1)
        prompts = checked_tokens("prompt_ids", prompt_ids)
        outputs = (
            [list[int]()] * len(prompts) if output_ids is None else checked_tokens("output_ids", output_ids)
        )
        if len(outputs) != len(prompts):
            words = f"one for each of the {len(prompts)} prompts"
            raise InvalidArgument("output_ids", f"{len(outputs)} rows", words)
        if capacity is not None:
            check_capacity(prompts, outputs, capacity)
        rows = [prompt + output for prompt, output in zip(prompts, outputs, strict=True)]
        longest = longest_of(rows)
        columns = longest if capacity is None else capacity + 1  # the last one stays empty
        counted = [filled(lists, longest_of(lists), NOTHING).to(device) for lists in (prompts, outputs)]
        return History(
            Table(filled(rows, columns, 0).to(device)),
            Table(lengths_of(prompts).to(device)),
            Table(lengths_of(rows).to(device)),
            longest if capacity is None else capacity,
            TokenCounts.of(counted[0], capacity, counted[1]),
            highest_of(prompts),
            highest_of(outputs),
            capacity,
        )

    def __repr__(self) -> str:
        return f"History(rows={len(self)}, longest={self.longest}, capacity={self.capacity})"

    def __len__(self) -> int:
        """B, the number of rows."""
        return self._tokens.rows

    @property
    def tokens(self) -> Tensor:
        """The tokens of each row, int64 [B, T]; zeros after the row's length. T is the capacity where that is fixed."""
        return self._tokens.values[:, : self.capacity]

    @property
    def prompt_lengths(self) -> Tensor:
        """How many tokens each row's prompt has, int64 [B]."""
        return self._prompt_lengths.values[:, 0]

    @property
    def lengths(self) -> Tensor:
        """How many tokens each row has, int64 [B]."""
        return self._lengths.values[:, 0]

    @property
    def sampled(self) -> Tensor:
        """Count the tokens that each row has sampled, as int64 [B]; this is the position of its next draw."""
        return self.lengths - self.prompt_lengths

    def accept(self, tokens: Tensor) -> None:
        """Append one sampled token to each row, in place.

        Args:
            tokens: int64 [B]; a negative one leaves its row as it is, and so does any in a row that has reached the capacity.

        Raises:
            InvalidArgument: Not one whole number for each row, in a tensor; or a token id of 2^62 or more, where a look at it
                costs nothing.
        """
        tokens = self._checked(tokens)[:, None]
        lengths = self._lengths.values
        if self.capacity is None:
            self._make_room()
        else:
            tokens = tokens.where(lengths < self.capacity, -1)
        taken = tokens >= 0
        self._tokens.set(lengths, tokens.clamp(min=0))  # 0 into an unused place, which there always is
        self._counts.add(tokens.where(taken, NOTHING))
        lengths += taken

    def _checked(self, tokens: Tensor) -> Tensor:
        tokens = whole_tensor("tokens", tokens)
        if tokens.shape != self.lengths.shape:
            raise InvalidArgument(
                "tokens", tuple(tokens.shape), f"one token for each of the {len(self)} rows"
            )
        if can_sync(tokens):
            highest = max(tokens.tolist(), default=-1)
            if highest >= NOTHING:
                raise InvalidArgument("tokens", highest, f"token ids below {NOTHING}")
            self.highest_output_id = max(self.highest_output_id, highest)
        return tokens.to(self.tokens.device, torch.int64)

    def _make_room(self) -> None:
        if self.longest == self._tokens.columns:
            # Rows that were replaced or skipped may have been the longest: look before growing, which is rare.
            self.longest = largest(self._lengths.values)
            self._tokens.reserve(len(self), 2 * self.longest + 1)
        self.longest += 1
        self._counts.make_room()

    def counted(self, scope: Scope = OUTPUT) -> tuple[Tensor, Tensor]:
        """Return the distinct tokens that a penalty counts, and how often each occurred.

        Args:
            scope: Which tokens count.

        Returns:
            (ids, counts), int64 [B, D]; where the capacity is fixed, D is it, or `scope.last` if that is less. Unused places
            repeat the row's first token and count; a row without tokens shows token 0 with the count 0.
        """
        if scope.last is not None or scope.skipped:
            window = self._window(scope, scope.last or self.longest)
            return Counts.of(window).padded(window.shape[1])
        return self._counts.padded(scope.prompt)

    def _window(self, scope: Scope, last: int) -> Tensor:
        """Return the tokens in the scope, [B, D], and NOTHING where there are fewer."""
        lengths = self._lengths.values
        begin = (lengths - last).clamp(min=scope.skipped)
        begin = begin if scope.prompt else begin.maximum(self._prompt_lengths.values)
        place = begin + torch.arange(min(last, self.longest), device=lengths.device)
        tokens = self._tokens.values.gather(-1, place.clamp(max=self._tokens.columns - 1))
        return tokens.where(place < lengths, NOTHING)

    def require_ids_below(self, vocab_size: int, *, prompt: bool) -> None:
        """Refuse token ids that logits of a width do not have.

        Rows that have left may have set the known bounds: where these are too high, the rows themselves are looked at.

        Args:
            vocab_size: V, the width of the logits.
            prompt: Whether the prompts count, too.

        Raises:
            InvalidArgument: There is one, as far as it is known.
        """

        def too_high() -> bool:
            return self.highest_output_id >= vocab_size or (prompt and self.highest_prompt_id >= vocab_size)

        if too_high() and not torch.compiler.is_compiling():
            self._look_at_ids()
        if too_high():
            output = self.highest_output_id >= vocab_size
            name, highest = (
                ("output_ids", self.highest_output_id) if output else ("prompt_ids", self.highest_prompt_id)
            )
            raise InvalidArgument(name, highest, f"token ids below {vocab_size}, the width of the logits")

    def _look_at_ids(self) -> None:
        """Find out which ids the rows have by now."""
        place = torch.arange(self.tokens.shape[1], device=self.tokens.device)
        prompt, held = place < self._prompt_lengths.values, place < self._lengths.values
        none = self.tokens.new_tensor([-1])  # of no tokens at all
        self.highest_prompt_id, self.highest_output_id = (
            int(torch.cat([self.tokens.where(part, -1).flatten(), none]).amax())
            for part in (prompt, held & ~prompt)
        )

    def put(self, row: int, other: History) -> None:
        """Replace one row, in place.

        Args:
            row: Which, from 0 to B - 1.
            other: A history of one row.

        Raises:
            InvalidArgument: There is no such row, `other` has not one row, or its row is longer than the capacity.
        """
        row = integer("row", row, 0, len(self) - 1)
        if len(checked_history(other)) != 1:
            raise InvalidArgument("other", f"{len(other)} rows", "a history of one row")
        self._write(row, other)

    def extend(self, other: History) -> None:
        """Append the other's rows to this one's, in place.

        Raises:
            InvalidArgument: A row is longer than the capacity.
        """
        self._write(len(self), checked_history(other))

    def _write(self, row: int, other: History) -> None:
        length = self._fitting(other)
        self._tokens.write(row, other.tokens[:, :length])
        self._prompt_lengths.write(row, other._prompt_lengths.values)
        self._lengths.write(row, other._lengths.values)
        self._counts.write(row, other._counts, length)
        self.longest = max(self.longest, length)
        self.highest_prompt_id = max(self.highest_prompt_id, other.highest_prompt_id)
        self.highest_output_id = max(self.highest_output_id, other.highest_output_id)

    def _fitting(self, other: History) -> int:
        """Return an upper bound of the other's lengths that fits the capacity."""
        if other.longest <= (self.capacity or self._tokens.columns):
            return other.longest
        length = largest(other._lengths.values)
        if self.capacity is not None and length > self.capacity:
            words = f"at most capacity = {self.capacity} tokens long"
            raise InvalidArgument("other", f"a row of {length} tokens", words)
        return length

    @torch.inference_mode(False)
    def select(self, rows: Tensor | Sequence[int]) -> History:
        """Return a history of the given rows, in the given order; a row may be taken several times.

        Args:
            rows: Numbers of rows, from 0 to B - 1.

        Raises:
            InvalidArgument: There is no such row. (What is on another device is taken as it is, so that nothing waits for it.)
        """
        index = self._row_numbers(rows)
        return History(
            self._tokens.select(index),
            self._prompt_lengths.select(index),
            self._lengths.select(index),
            self.longest,
            self._counts.select(index),
            self.highest_prompt_id,
            self.highest_output_id,
            self.capacity,
        )

    def _row_numbers(self, rows: Tensor | Sequence[int]) -> Tensor:
        """Numbers of rows, int64 [R], looked at where that costs nothing."""
        if isinstance(rows, Tensor) and not can_sync(rows):
            index = whole_tensor("rows", rows)
        else:
            numbers = rows.tolist() if isinstance(rows, Tensor) else rows
            index = torch.tensor(whole_list("rows", numbers, 0, len(self) - 1), dtype=torch.int64)
        return index.to(self.tokens.device, torch.int64)

    def merge(self, other: History) -> History:
        """Return a history of this one's rows followed by the other's, with this one's capacity."""
        together = self.clone()
        together.extend(other)
        return together

    def clone(self) -> History:
        """Return an independent copy."""
        return self.select(torch.arange(len(self)))


class NoHistory(History):
    """Stands for a history that was left out, until something asks it for what was sampled.

    Args:
        reader: The name of the stage that may ask.
    """

    def __init__(self, reader: str) -> None:
        self.reader = reader

    def __len__(self) -> int:
        """Refuse, as everything else does."""
        return self._lacking()

    def __getattr__(self, name: str) -> Any:
        """Refuse what only a history has."""
        if name.startswith("__"):  # what Python itself looks for
            raise AttributeError(name)
        return self._lacking()

    def _lacking(self) -> NoReturn:
        words = f"given: {self.reader} depends on what was sampled, as History.start([[], ...]) holds it"
        raise InvalidArgument("history", None, words)


def history_or_none(history: History | None, reader: str) -> History:
    """Return a history, or what stands for one that was left out.

    Raises:
        InvalidArgument: Something else than a history.
    """
    if history is None or isinstance(history, NoHistory):
        return NoHistory(reader)
    return checked_history(history, "history")


def checked_history(other: History, name: str = "other") -> History:
    """Refuse what is no history."""
    if not isinstance(other, History):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InvalidArgument(name, other, "a History")
    return other
