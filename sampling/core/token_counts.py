"""How often each token of a row occurred, sparsely, in tables that are written in place."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

NOTHING = 1 << 62  # no token: matches none, and sorts behind all


class Table:
    """Rows of whole numbers that are written in place; running out of room doubles it, so that growth is rare.

    Args:
        values: int64 [B, D], kept without a copy.
        empty: What a place without a value holds.
    """

    def __init__(self, values: Tensor, empty: int = 0) -> None:
        self.storage, self.rows, self.empty = values, len(values), empty

    @property
    def values(self) -> Tensor:
        """The rows in use, int64 [B, D], a view."""
        return self.storage[: self.rows]

    @property
    def columns(self) -> int:
        """D, used or not."""
        return self.storage.shape[1]

    def reserve(self, rows: int, columns: int) -> None:
        """Make room for so many rows and columns; the storage stays where it is when it has it."""
        old_rows, old_columns = self.storage.shape
        if rows <= old_rows and columns <= old_columns:
            return
        rows = max(rows, 2 * old_rows) if rows > old_rows else old_rows
        columns = max(columns, 2 * old_columns, 16) if columns > old_columns else old_columns
        with torch.inference_mode(False):  # what is made in that mode could not be written to outside of it
            storage = self.storage.new_full((rows, columns), self.empty)
        storage[: self.rows, :old_columns] = self.values
        self.storage = storage

    def write(self, row: int, values: Tensor) -> None:
        """Replace the rows from `row` on; those behind the last one are new."""
        end = row + len(values)
        self.reserve(end, values.shape[1])
        self.rows = max(self.rows, end)
        self.storage[row:end, : values.shape[1]] = values
        self.storage[row:end, values.shape[1] :] = self.empty

    def set(self, place: Tensor, values: Tensor) -> None:
        """Set one place of each row, in place; both int64 [B, 1]."""
        rows = torch.arange(self.rows, device=place.device)[:, None]
        self.storage[rows, place] = values  # compiled, this stays in place; a scatter would copy the table

    def select(self, rows: Tensor) -> Table:
        """Return a copy of the given rows, in the given order."""
        return Table(self.values[rows], self.empty)


def largest(numbers: Tensor) -> int:
    """Return the largest of some numbers [B, 1], on the host; 0 of none."""
    return max(numbers.flatten().tolist(), default=0)


@dataclass
class Counts:
    """Token ids and how often each occurred.

    Args:
        ids: int64 [B, D], each id of a row once, NOTHING in unused places; if any place is used, the first one is.
        counts: int64 [B, D], 0 in unused places.
    """

    ids: Table
    counts: Table

    @staticmethod
    def empty(rows: int, columns: int, device: torch.device) -> Counts:
        """Tables in which no place is used."""
        shape = (rows, columns)
        ids = torch.full(shape, NOTHING, device=device)
        return Counts(Table(ids, NOTHING), Table(torch.zeros_like(ids)))

    @staticmethod
    def of(ids: Tensor) -> Counts:
        """Return the distinct ids of each row, ascending, and how often each occurs.

        Args:
            ids: int64 [B, D]; NOTHING is not counted.
        """
        ids = ids.sort(-1).values
        is_new = F.pad(ids, (1, 0), value=-1).diff() > 0
        place = is_new.cumsum(-1) - 1
        counts = torch.zeros_like(ids).scatter_add_(-1, place, (ids != NOTHING).long())
        return Counts(Table(torch.full_like(ids, NOTHING).scatter_(-1, place, ids), NOTHING), Table(counts))

    def padded(self, columns: int) -> tuple[Tensor, Tensor]:
        """Return copies of the first columns in which every unused place repeats the row's first one.

        Writing the same value to the same token twice changes nothing, so a scatter through these ids needs no mask. A row
        without tokens shows token 0 with the count 0.
        """
        ids, counts = self.ids.values[:, :columns], self.counts.values[:, :columns]
        unused = ids == NOTHING
        first = ids[:, :1].masked_fill(unused[:, :1], 0)
        return torch.where(unused, first, ids), torch.where(unused, counts[:, :1], counts)

    def add(self, place: Tensor, tokens: Tensor) -> None:
        """Count a token at one place of each row, which holds it already or nothing yet; both int64 [B, 1].

        NOTHING has to come to an unused place, and leaves it unused.
        """
        counts = self.counts.values.gather(-1, place) + (tokens != NOTHING)
        self.ids.set(place, tokens)
        self.counts.set(place, counts)

    def reserve(self, rows: int, columns: int) -> None:
        """Make room for so many rows and columns."""
        self.ids.reserve(rows, columns)
        self.counts.reserve(rows, columns)

    def write(self, row: int, other: Counts, columns: int) -> None:
        """Replace the rows from `row` on by the other's first columns."""
        self.ids.write(row, other.ids.values[:, :columns])
        self.counts.write(row, other.counts.values[:, :columns])

    def select(self, rows: Tensor) -> Counts:
        """Return a copy of the given rows, in the given order."""
        return Counts(self.ids.select(rows), self.counts.select(rows))


@dataclass
class TokenCounts:
    """How often each token of a row occurred in the output, and in prompt and output together.

    A row's output places follow its prompt places in `seen`, so that one more token is looked for among the sampled ones
    and by bisection among the prompt's: a long prompt costs next to nothing.

    Args:
        prompt: The distinct ids of each prompt, ascending, and NOTHING behind the last: int64 [B, P + 1].
        prompt_used: How many those are, int64 [B, 1].
        output: Counts of the sampled tokens, in order of first occurrence.
        output_used: How many places of `output` each row uses, int64 [B, 1].
        seen: Counts of all tokens: the prompt's places, then those of `output`; unused where the prompt has that token.
        most_prompt: An upper bound of `prompt_used`, known on the host.
        most_output: An upper bound of `output_used`, known on the host.
        capacity: The fixed number of places of each row, of which every table has one more, which stays unused; or None.
    """

    prompt: Table
    prompt_used: Table
    output: Counts
    output_used: Table
    seen: Counts
    most_prompt: int
    most_output: int
    capacity: int | None

    @staticmethod
    def of(prompts: Tensor, capacity: int | None, outputs: Tensor | None = None) -> TokenCounts:
        """Begin with prompts, and with what was sampled after them.

        Args:
            prompts: int64 [B, T], NOTHING behind each prompt.
            capacity: The most tokens of a row, prompt included; None to let the tables grow.
            outputs: The sampled tokens, in the same form; None for none.
        """
        rows, device = len(prompts), prompts.device
        found = Counts.of(prompts)
        sampled = Counts.empty(rows, 0, device) if outputs is None else Counts.of(outputs)
        used, sampled_used = ((one.counts.values > 0).sum(-1, keepdim=True) for one in (found, sampled))
        most, most_sampled = largest(used), largest(sampled_used)
        seen = Counts.empty(rows, (capacity or most + most_sampled) + 1, device)
        seen.write(0, found, most)
        output = Counts.empty(rows, (capacity or most_sampled) + 1, device)
        output.write(0, sampled, most_sampled)
        counts = TokenCounts(
            prompt=seen.ids.select(torch.arange(rows)),
            prompt_used=Table(used),
            output=output,
            output_used=Table(sampled_used),
            seen=seen,
            most_prompt=capacity or most,
            most_output=capacity or most_sampled,
            capacity=capacity,
        )
        if most_sampled:
            counts.see(sampled.ids.values[:, :most_sampled], sampled.counts.values[:, :most_sampled])
        return counts

    def see(self, ids: Tensor, counts: Tensor) -> None:
        """Add the first sampled tokens to those that were seen, all at once; both int64 [B, D], NOTHING in unused places."""
        rows = torch.arange(len(ids), device=ids.device)[:, None]
        found = torch.searchsorted(self.prompt.values, ids.contiguous())
        prompted = (self.prompt.values.gather(-1, found) == ids) & (ids != NOTHING)
        place = torch.where(
            prompted, found, self.prompt_used.values + torch.arange(ids.shape[1], device=ids.device)
        )
        self.seen.ids.storage[rows, place] = ids
        self.seen.counts.storage[rows, place] = self.seen.counts.values.gather(-1, place) + counts

    def padded(self, prompt: bool) -> tuple[Tensor, Tensor]:
        """Ids and counts, int64 [B, D], of the sampled tokens or of the prompt's, too, as `Counts.padded` pads them."""
        if prompt:
            return self.seen.padded(self.capacity or self.most_prompt + self.most_output)
        return self.output.padded(self.most_output)

    def make_room(self) -> None:
        """Let every row have one more distinct token in its output."""
        rows = self.output_used.rows
        if self.most_output == self.output.ids.columns:
            # Repeated tokens need no place of their own: look before growing, which is rare.
            self.most_output = largest(self.output_used.values)
            self.output.reserve(rows, 2 * self.most_output + 1)
        self.most_output += 1
        self.seen.reserve(rows, self.most_prompt + self.most_output)

    def add(self, tokens: Tensor) -> None:
        """Count one more sampled token in each row, in place; there has to be room.

        Args:
            tokens: int64 [B, 1]; NOTHING adds nothing.
        """
        is_token = tokens != NOTHING
        used = self.output_used.values
        same = self.output.ids.values[:, : self.most_output] == tokens
        places = torch.arange(self.most_output, device=tokens.device)
        place = torch.where(same, places, used).amin(-1, keepdim=True)  # its own, or the first unused one
        self.output.add(place, tokens)
        found = torch.searchsorted(self.prompt.values, tokens)
        prompted = is_token & (self.prompt.values.gather(-1, found) == tokens)
        self.seen.add(torch.where(prompted, found, self.prompt_used.values + place), tokens)
        used += is_token & (place == used)

    def write(self, row: int, other: TokenCounts, length: int) -> None:
        """Replace the rows from `row` on by the other's, which have at most `length` tokens."""
        prompt, output = min(other.most_prompt, length), min(other.most_output, length)
        self.prompt.write(row, other.prompt.values[:, : prompt + 1])
        self.prompt_used.write(row, other.prompt_used.values)
        self.output.write(row, other.output, output)
        self.output_used.write(row, other.output_used.values)
        self.seen.write(row, other.seen, min(prompt + output, length))
        self.most_prompt = max(self.most_prompt, prompt)
        self.most_output = max(self.most_output, output)

    def select(self, rows: Tensor) -> TokenCounts:
        """Return a copy of the given rows, in the given order."""
        return TokenCounts(
            self.prompt.select(rows),
            self.prompt_used.select(rows),
            self.output.select(rows),
            self.output_used.select(rows),
            self.seen.select(rows),
            self.most_prompt,
            self.most_output,
            self.capacity,
        )
