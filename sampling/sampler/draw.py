"""The draw: one token per row, by a key instead of a generator."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from sampling_kernels.chunks import chunked
from sampling_kernels.faults import without_faults
from sampling_kernels.gumbel import draw_by_gumbel, gumbel_noise
from sampling_kernels.keyed_draw import INTEGER_RULE, draw_by_chunk, draw_by_weight, uniform_words
from sampling_kernels.philox import WORD
from sampling_kernels.rough import draw_of_leading
from torch import Tensor

from sampling.core.errors import InvalidArgument
from sampling.core.history import History, checked_history
from sampling.core.logits import float32_logits
from sampling.core.params import HIGHEST_SEED, LOWEST_SEED, integer
from sampling.core.whole_numbers import whole_tensor
from sampling.processors.base import Rows, same_rows
from sampling.processors.leading import Leading, Weighed
from sampling.processors.shaping import run

Whole = int | Sequence[int] | Tensor


@dataclass(frozen=True)
class Keys:
    """What a draw in each of B rows is keyed by.

    Args:
        seed: int64 [B]; its 64 bits.
        position: Tokens sampled before in this choice, int64 [B].
        choice: Index of the choice, int64 [B].
        uniform: High and low words of the integer rule's u where they are known, int64 [B].
    """

    seed: Tensor
    position: Tensor
    choice: Tensor
    uniform: tuple[Tensor, Tensor] | None = None

    def words(self) -> tuple[Tensor, Tensor]:
        """High and low words of the integer rule's u, int64 [B]."""
        if self.uniform is not None:
            return self.uniform
        return uniform_words(self.seed, self.position, self.choice, INTEGER_RULE)

    def noise(self, ids: Tensor) -> Tensor:
        """The noise of the Gumbel rule for token ids, int64 [B, C] or [1, C]; float64 [B, C]."""
        return gumbel_noise(self.seed, self.position, self.choice, ids)

    def select(self, rows: Rows) -> Keys:
        """The keys of some rows."""
        uniform = self.uniform and (self.uniform[0][rows], self.uniform[1][rows])
        return Keys(self.seed[rows], self.position[rows], self.choice[rows], uniform)


class IntegerRule:
    """The token at the fraction u / 2^64 of the weight, in token-id order."""

    @staticmethod
    def of_whole(rows: Weighed, keys: Keys) -> Tensor:
        """Token ids, int64 [B]."""
        if rows.w is not None:
            return draw_by_weight(rows.w, *keys.words())
        chunks = chunked(rows.logits)
        return draw_by_chunk(chunks, chunks.amax(-1), *keys.words())

    @staticmethod
    def of_leading(leading: Leading, keys: Keys) -> tuple[Tensor, Tensor]:
        """Places among the leading tokens, int64 [B], and whether they are sure, bool [B]."""
        return draw_of_leading(leading.masses(), *keys.words())


class GumbelRule:
    """The arg max of logit + noise keyed by the token id."""

    @staticmethod
    def of_whole(rows: Weighed, keys: Keys) -> Tensor:
        """Token ids, int64 [B]."""
        ids = torch.arange(rows.logits.shape[1], device=rows.logits.device)[None]
        return draw_by_gumbel(rows.logits, keys.noise(ids))

    @staticmethod
    def of_leading(leading: Leading, keys: Keys) -> tuple[Tensor, Tensor]:
        """Places among the leading tokens, int64 [B], and whether they are sure, bool [B]."""
        return draw_by_gumbel(leading.logits, keys.noise(leading.ids)), leading.sure


Rule = Literal["integer", "gumbel"]
RULES = {"integer": IntegerRule, "gumbel": GumbelRule}


@dataclass(frozen=True)
class ToTokens:
    """The ending that draws a token from each row.

    Args:
        rule: Name of the rule.
        keys: Of the rows.
    """

    rule: Rule
    keys: Keys

    def select(self, rows: Rows) -> ToTokens:
        """The draws of some rows."""
        return ToTokens(self.rule, self.keys.select(rows))

    def of_whole(self, rows: Weighed) -> Tensor:
        """Token ids, int64 [B]."""
        return RULES[self.rule].of_whole(rows, self.keys)

    def of_leading(self, leading: Leading) -> tuple[Tensor, Tensor]:
        """Token ids, int64 [B], and whether they are sure, bool [B]."""
        places, sure = RULES[self.rule].of_leading(leading, self.keys)
        return leading.ids.gather(1, places[:, None])[:, 0], leading.sure & sure


def seed_key(seed: object) -> int:
    """The signed 64-bit number with the bits of seed mod 2^64."""
    checked = integer("seed", seed, LOWEST_SEED, HIGHEST_SEED)
    return (checked + 2**63) % 2**64 - 2**63


def per_row(
    name: str, value: Whole, rows: int, device: torch.device, read: Callable[[object], int]
) -> Tensor:
    """Whole numbers as int64 [B]; a single one serves every row.

    What is on the host is read one by one; a tensor is taken as it is, so that nothing waits for its device.
    """
    if isinstance(value, Tensor):
        numbers = whole_tensor(name, value).to(device)
    else:
        items = list(value) if isinstance(value, Sequence) else [value]
        numbers = torch.tensor([read(item) for item in items], device=device)
    if numbers.numel() not in (1, rows):
        raise InvalidArgument(
            name, f"{numbers.numel()} values", f"one for all rows, or one for each of {rows}"
        )
    return numbers.to(torch.int64).expand(rows)


def word(name: str, value: Whole, rows: int, device: torch.device) -> Tensor:
    """One 32-bit word per row, int64 [B]."""
    return per_row(name, value, rows, device, lambda item: integer(name, item, 0, WORD)) & WORD


def checked_rule(rule: Rule) -> Rule:
    """A rule of the draw, if it is one.

    Raises:
        InvalidArgument: There is no such rule.
    """
    if rule not in list(RULES):  # a list, for what cannot be hashed
        raise InvalidArgument("rule", rule, f"one of {', '.join(RULES)}")
    return rule


def position_of(position: Whole | None, history: History | None, logits: Tensor) -> Whole:
    """Return the position of each row's draw: as it was given, or how many tokens the history says were sampled.

    Raises:
        InvalidArgument: Neither is given, or both; or the history has not the rows of the logits.
    """
    if history is None and position is not None:
        return position
    words = "given, unless history is: the same position draws the same token again"
    if history is None or position is not None:
        raise InvalidArgument("position", position, words if position is None else "left out with a history")
    same_rows(checked_history(history, "history"), logits)
    return history.sampled


def draw(
    logits: Tensor,
    *,
    seed: Whole,
    position: Whole | None = None,
    choice: Whole = 0,
    rule: Rule = "integer",
    history: History | None = None,
) -> Tensor:
    """Draw one token from each row of processed logits.

    By the integer rule: with the integer weights w of the row, Z their sum and u the 64-bit uniform that Philox gives to
    (seed, choice, position), the token is the first, in token-id order, whose running sum of weights exceeds
    floor(u Z / 2^64). Nothing else decides: not the batch, not the row, not the device, no global generator.

    Args:
        logits: Processed logits, [B, V], float32, or bfloat16 or float16, which are widened; -inf is never drawn.
        seed: -2^63 .. 2^64 - 1, or one per row (an int64 tensor holds the 64 bits).
        position: Tokens sampled before in this choice, 0 .. 2^32 - 1, or one number per row (of a
            tensor the lower 32 bits). Either it or the history has to be given.
        choice: Index of the choice among the n of its request, 0 .. 2^32 - 1, or one number per row.
        rule: "integer", or "gumbel": the arg max of logit + noise keyed by (seed, choice, position, token id), in
            float64, the same everywhere up to the last bit of the device's logarithm.
        history: What the rows have sampled so far: the position is how many tokens that is.

    Returns:
        Token ids, int64 [B]; -1 in a row with NaN or +inf, or with nothing above -inf.

    Raises:
        InvalidArgument: An unknown rule, a number out of range, one number per row of another batch, or a position and a
            history, or neither.

    Source: Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3", SC 2011, for the generator.

    Example:
        >>> import torch
        >>> draw(torch.zeros(2, 1000), seed=7, position=[0, 1]).tolist()
        [750, 143]
        >>> draw(torch.zeros(2, 1000), seed=7, history=History.start([[], []])).tolist()
        [750, 750]
    """
    rule = checked_rule(rule)
    safe, faults = without_faults(float32_logits(logits))
    rows, device = safe.shape[0], safe.device
    keys = Keys(
        per_row("seed", seed, rows, device, seed_key),
        word("position", position_of(position, history, safe), rows, device),
        word("choice", choice, rows, device),
    )
    return torch.where(faults > 0, -1, run((), safe, ToTokens(rule, keys)))
