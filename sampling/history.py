"""What was sampled so far: the only state of the sampling step, explicit and sparse."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import cast

import torch
from torch import Tensor

from sampling.errors import InvalidRequest


@dataclass(frozen=True)
class Scope:
    """Which tokens of a row a penalty counts.

    Args:
        prompt: Whether the prompt's tokens count, too.
        last: Count only among the row's last so many tokens; None counts over the full length.
    """

    prompt: bool = False
    last: int | None = None


OUTPUT = Scope()
PROMPT_AND_OUTPUT = Scope(prompt=True)


def widened(table: Tensor, columns: int) -> Tensor:
    """Append zero columns until `table` [B, D] has at least `columns`, doubling so that growth is rare."""
    if table.shape[1] >= columns:
        return table
    room = max(columns, 2 * table.shape[1], 16) - table.shape[1]
    return torch.cat([table, table.new_zeros(table.shape[0], room)], dim=1)


def largest(numbers: Tensor) -> int:
    """The largest of some numbers [B], on the host; 0 of none."""
    return max(numbers.tolist(), default=0)


def stacked(above: Tensor, below: Tensor) -> Tensor:
    """The rows of two tables [B, D] in one, the narrower filled up with zeros."""
    columns = max(above.shape[1], below.shape[1])
    return torch.cat([widened(table, columns)[:, :columns] for table in (above, below)])


class TokenCounts:
    """The distinct tokens of each row and how often each occurred, in order of first occurrence.

    Args:
        ids: int64 [B, D]; unused places hold 0.
        counts: int64 [B, D]; 0 marks an unused place.
        most: An upper bound, known on the host, of the places that any row uses.
    """

    def __init__(self, ids: Tensor, counts: Tensor, most: int) -> None:
        self.ids, self.counts, self.most = ids, counts, most

    @staticmethod
    def of(rows: Sequence[Sequence[int]], device: torch.device | str = "cpu") -> TokenCounts:
        """Count the tokens of B lists."""
        tables = [Counter(row) for row in rows]  # in order of first occurrence
        most = max((len(table) for table in tables), default=0)
        ids, counts = torch.zeros(2, len(rows), most, dtype=torch.int64)
        for row, table in enumerate(tables):
            ids[row, : len(table)] = torch.tensor(list(table), dtype=torch.int64)
            counts[row, : len(table)] = torch.tensor(list(table.values()), dtype=torch.int64)
        return TokenCounts(ids.to(device), counts.to(device), most)

    def add(self, tokens: Tensor) -> None:
        """Count one more token in each row, in place; a negative token adds nothing.

        Args:
            tokens: int64 [B].
        """
        if self.most == self.ids.shape[1]:
            # Repeated tokens need no place of their own: look before growing, which is rare.
            self.most = largest((self.counts > 0).sum(-1))
        self.most += 1
        self.ids, self.counts = widened(self.ids, self.most), widened(self.counts, self.most)
        used = self.counts > 0  # [B, D]
        same = used & (self.ids == tokens[:, None])
        free = used.sum(-1, keepdim=True)  # the first unused place
        is_new = ~same.any(-1, keepdim=True)
        place = torch.arange(self.ids.shape[1], device=self.ids.device)
        chosen = (same | (is_new & (place == free))) & (tokens >= 0)[:, None]
        self.ids = torch.where(chosen, tokens[:, None], self.ids)
        self.counts = self.counts + chosen

    def padded(self) -> tuple[Tensor, Tensor]:
        """Ids and counts [B, D] in which every unused place repeats the row's first one.

        Writing the same value to the same token twice changes nothing, so a scatter through these ids needs no mask. A row
        without tokens shows token 0 with the count 0.
        """
        used = self.counts > 0
        return torch.where(used, self.ids, self.ids[:, :1]), torch.where(
            used, self.counts, self.counts[:, :1]
        )

    def select(self, rows: Tensor) -> TokenCounts:
        """The given rows, in the given order."""
        return TokenCounts(self.ids[rows], self.counts[rows], self.most)

    def merge(self, other: TokenCounts) -> TokenCounts:
        """This one's rows followed by the other's."""
        return TokenCounts(
            stacked(self.ids, other.ids), stacked(self.counts, other.counts), max(self.most, other.most)
        )


class History:
    """The tokens of B rows: the prompt's and those sampled since.

    Penalties read it through `counted`, which costs the number of distinct tokens and not the vocabulary.

    Example:
        >>> import torch
        >>> history = History.start([[5, 6], [7]])
        >>> history.accept(torch.tensor([9, 9]))
        >>> history.sampled.tolist()
        [1, 1]
    """

    def __init__(
        self,
        tokens: Tensor,
        prompt_lengths: Tensor,
        lengths: Tensor,
        longest: int,
        output: TokenCounts,
        seen: TokenCounts,
        highest_prompt_id: int,
    ) -> None:
        self.tokens = tokens  # [B, T], zeros after each row's length
        self.prompt_lengths = prompt_lengths  # [B]
        self.lengths = lengths  # [B]
        self.longest = longest  # upper bound of lengths, known on the host
        self._output = output
        self._seen = seen  # prompt and output
        self.highest_prompt_id = highest_prompt_id  # known on the host

    @staticmethod
    def start(prompt_ids: Sequence[Sequence[int]], *, device: torch.device | str = "cpu") -> History:
        """Begin with one prompt per row.

        Args:
            prompt_ids: B lists of token ids; a list may be empty.
            device: Where the tensors live.

        Returns:
            A history in which nothing has been sampled yet.

        Raises:
            InvalidRequest: A token id is negative or no integer.
        """
        rows = [list(row) for row in prompt_ids]
        for index, row in enumerate(rows):
            for token in row:
                if isinstance(token, bool) or not isinstance(cast("object", token), Integral) or token < 0:
                    raise InvalidRequest(f"prompt_ids[{index}]", token, "token ids of at least 0")
        longest = max((len(row) for row in rows), default=0)
        tokens = torch.zeros(len(rows), longest, dtype=torch.int64)
        for index, row in enumerate(rows):
            tokens[index, : len(row)] = torch.tensor(row, dtype=torch.int64)
        lengths = torch.tensor([len(row) for row in rows], dtype=torch.int64, device=device)
        empty = TokenCounts.of([[] for _ in rows], device)
        return History(
            tokens.to(device),
            lengths,
            lengths.clone(),
            longest,
            empty,
            TokenCounts.of(rows, device),
            max((token for row in rows for token in row), default=-1),
        )

    def __len__(self) -> int:
        """B, the number of rows."""
        return self.tokens.shape[0]

    @property
    def sampled(self) -> Tensor:
        """How many tokens each row has sampled, int64 [B]: the position of its next draw."""
        return self.lengths - self.prompt_lengths

    def accept(self, tokens: Tensor) -> None:
        """Append one sampled token to each row, in place.

        Args:
            tokens: int64 [B]; a negative one leaves its row as it is.
        """
        if tokens.is_floating_point() or tokens.dtype == torch.bool:
            raise InvalidRequest("tokens", tokens.dtype, "a tensor of whole numbers")
        if tokens.shape != self.lengths.shape:
            raise InvalidRequest("tokens", tuple(tokens.shape), f"one token for each of the {len(self)} rows")
        tokens = tokens.to(self.tokens.device, torch.int64)
        if self.longest == self.tokens.shape[1]:
            # Rows that were dropped or skipped may have been the longest: look before growing, which is rare.
            self.longest = largest(self.lengths)
        self.longest += 1
        self.tokens = widened(self.tokens, self.longest)
        taken = tokens >= 0
        place = torch.arange(self.tokens.shape[1], device=self.tokens.device)
        here = (place == self.lengths[:, None]) & taken[:, None]
        self.tokens = torch.where(here, tokens[:, None], self.tokens)
        self.lengths = self.lengths + taken
        self._output.add(tokens)
        self._seen.add(tokens)

    def counted(self, scope: Scope = OUTPUT) -> tuple[Tensor, Tensor]:
        """The distinct tokens that a penalty counts, and how often each occurred.

        Args:
            scope: Which tokens count.

        Returns:
            (ids, counts), int64 [B, D]. Unused places repeat the row's first token and count; a row without tokens shows
            token 0 with the count 0.
        """
        if scope.last is None:
            return (self._seen if scope.prompt else self._output).padded()
        return self._window(scope).padded()

    def _window(self, scope: Scope) -> TokenCounts:
        assert scope.last is not None
        begin = self.lengths - scope.last
        begin = begin.clamp(min=0) if scope.prompt else begin.maximum(self.prompt_lengths)
        place = begin[:, None] + torch.arange(scope.last, device=self.tokens.device)  # [B, D]
        inside = place < self.lengths[:, None]
        last_column = max(self.tokens.shape[1] - 1, 0)
        ids = widened(self.tokens, 1).gather(-1, place.clamp(max=last_column))
        same = (ids[:, :, None] == ids[:, None, :]) & inside[:, :, None] & inside[:, None, :]  # [B, D, D]
        first = inside & ~same.tril(-1).any(-1)
        return TokenCounts(ids * inside, same.sum(-1) * first, scope.last)

    def select(self, rows: Tensor | Sequence[int]) -> History:
        """A history of the given rows, in the given order; a row may be taken several times."""
        index = torch.as_tensor(rows, device=self.tokens.device)
        if index.is_floating_point() or index.dtype == torch.bool:
            raise InvalidRequest("rows", index.dtype, "numbers of rows")
        index = index.to(torch.int64)
        return History(
            self.tokens[index],
            self.prompt_lengths[index],
            self.lengths[index],
            self.longest,
            self._output.select(index),
            self._seen.select(index),
            self.highest_prompt_id,
        )

    def merge(self, other: History) -> History:
        """A history of this one's rows followed by the other's."""
        return History(
            stacked(self.tokens, other.tokens),
            torch.cat([self.prompt_lengths, other.prompt_lengths]),
            torch.cat([self.lengths, other.lengths]),
            max(self.longest, other.longest),
            self._output.merge(other._output),
            self._seen.merge(other._seen),
            max(self.highest_prompt_id, other.highest_prompt_id),
        )

    def clone(self) -> History:
        """An independent copy."""
        return self.select(range(len(self)))
