"""The draw: one token per row, by a key instead of a generator."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from sampling_kernels.blocks import blocked
from sampling_kernels.candidates.candidates import Candidates
from sampling_kernels.candidates.float_filters import filter_inverse_cdf
from sampling_kernels.gumbel import gumbel_noise, gumbel_sample
from sampling_kernels.inverse_cdf import INTEGER_RULE, inverse_cdf_sample, inverse_cdf_sample_blocked
from sampling_kernels.philox import WORD, random_words
from sampling_kernels.validity import replace_invalid_rows
from sampling_kernels.weighted_logits import WeightedLogits
from torch import Tensor

from sampling.core.errors import InvalidArgument
from sampling.core.history import History, checked_history
from sampling.core.logits import float32_logits
from sampling.core.params import HIGHEST_SEED, LOWEST_SEED, integer
from sampling.core.whole_numbers import whole_tensor
from sampling.processors.base import Rows, check_same_rows
from sampling.processors.run_stages import run

Whole = int | Sequence[int] | Tensor


@dataclass(frozen=True)
class RngKeys:
    """What a draw in each of B rows is keyed by.

    Args:
        seed: int64 [B]; its 64 bits.
        position: Tokens sampled before in this choice, int64 [B].
        choice: Index of the choice, int64 [B].
        words: High and low words of the integer rule's u where they are known, int64 [B].
    """

    seed: Tensor
    position: Tensor
    choice: Tensor
    words: tuple[Tensor, Tensor] | None = None

    def random_words(self) -> tuple[Tensor, Tensor]:
        """Return high and low words of the integer rule's u, int64 [B]."""
        if self.words is not None:
            return self.words
        return random_words(self.seed, self.position, self.choice, INTEGER_RULE)

    def noise(self, token_ids: Tensor) -> Tensor:
        """Return the noise of the Gumbel rule for token ids, int64 [B, C] or [1, C]; float64 [B, C]."""
        return gumbel_noise(self.seed, self.position, self.choice, token_ids)

    def select(self, rows: Rows) -> RngKeys:
        """Take some rows."""
        words = self.words and (self.words[0][rows], self.words[1][rows])
        return RngKeys(self.seed[rows], self.position[rows], self.choice[rows], words)


class IntegerRule:
    """The token at the fraction u / 2^64 of the weight, in token-id order."""

    @staticmethod
    def of_full_rows(rows: WeightedLogits, keys: RngKeys) -> Tensor:
        """Return token ids, int64 [B]."""
        if rows.w is not None:
            return inverse_cdf_sample(rows.w, *keys.random_words())
        blocks = blocked(rows.logits)
        return inverse_cdf_sample_blocked(blocks, blocks.amax(-1), *keys.random_words())

    @staticmethod
    def of_candidates(candidates: Candidates, keys: RngKeys) -> tuple[Tensor, Tensor]:
        """Return columns of the candidates, int64 [B], and whether they are certain, bool [B]."""
        return filter_inverse_cdf(candidates.exp_logits(), *keys.random_words())


class GumbelRule:
    """The arg max of logit + noise keyed by the token id."""

    @staticmethod
    def of_full_rows(rows: WeightedLogits, keys: RngKeys) -> Tensor:
        """Return token ids, int64 [B]."""
        ids = torch.arange(rows.logits.shape[1], device=rows.logits.device)[None]
        return gumbel_sample(rows.logits, keys.noise(ids))

    @staticmethod
    def of_candidates(candidates: Candidates, keys: RngKeys) -> tuple[Tensor, Tensor]:
        """Return columns of the candidates, int64 [B], and whether they are certain, bool [B]."""
        return gumbel_sample(candidates.logits, keys.noise(candidates.token_ids)), candidates.certain


Rule = Literal["integer", "gumbel"]
RULES = {"integer": IntegerRule, "gumbel": GumbelRule}


@dataclass(frozen=True)
class SampleTokens:
    """The finalizer that draws a token from each row.

    Args:
        rule: Name of the rule.
        keys: Of the rows.
    """

    rule: Rule
    keys: RngKeys

    def select(self, rows: Rows) -> SampleTokens:
        """Take some rows."""
        return SampleTokens(self.rule, self.keys.select(rows))

    def of_full_rows(self, rows: WeightedLogits) -> Tensor:
        """Return token ids, int64 [B]."""
        return RULES[self.rule].of_full_rows(rows, self.keys)

    def of_candidates(self, candidates: Candidates) -> tuple[Tensor, Tensor]:
        """Return token ids, int64 [B], and whether they are certain, bool [B]."""
        columns, certain = RULES[self.rule].of_candidates(candidates, self.keys)
        return candidates.token_ids.gather(1, columns[:, None])[:, 0], candidates.certain & certain


def seed_key(seed: object) -> int:
    """Return the signed 64-bit number with the bits of seed mod 2^64."""
    checked = integer("seed", seed, LOWEST_SEED, HIGHEST_SEED)
    return (checked + 2**63) % 2**64 - 2**63


def row_tensor(
    name: str, value: Whole, rows: int, device: torch.device, read: Callable[[object], int]
) -> Tensor:
    """Return whole numbers as int64 [B]; a single one serves every row.

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
    """Return one 32-bit word per row, int64 [B]."""
    return row_tensor(name, value, rows, device, lambda item: integer(name, item, 0, WORD)) & WORD


def checked_rule(rule: Rule) -> Rule:
    """Return a rule of the draw, if it is one.

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
    check_same_rows(checked_history(history, "history"), logits)
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
    valid, status = replace_invalid_rows(float32_logits(logits))
    rows, device = valid.shape[0], valid.device
    keys = RngKeys(
        row_tensor("seed", seed, rows, device, seed_key),
        word("position", position_of(position, history, valid), rows, device),
        word("choice", choice, rows, device),
    )
    return torch.where(status > 0, -1, run((), valid, SampleTokens(rule, keys)))
