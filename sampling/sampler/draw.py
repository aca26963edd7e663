"""The draw: one token per row, by a key instead of a generator."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from sampling_kernels.candidates.candidates import Candidates
from sampling_kernels.host_sync import can_sync
from sampling_kernels.philox import WORD
from sampling_kernels.validity import replace_invalid_rows
from sampling_kernels.weighted_logits import WeightedLogits
from torch import Tensor

from sampling.core.errors import InvalidArgument
from sampling.core.history import History, checked_history
from sampling.core.logits import float32_logits
from sampling.core.params import integer
from sampling.core.whole_numbers import whole_tensor
from sampling.processors.base import Rows, check_same_rows
from sampling.processors.run_stages import run
from sampling.sampler.rules import RULES, DrawRule, Margin, RngKeys, Rule, checked_rule
from sampling.sampler.rules import seed_key as seed_key

Whole = int | Sequence[int] | Tensor


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


def position_of(rule: DrawRule, position: Whole | None, history: History | None, logits: Tensor) -> Whole:
    """Return the position of each row's draw: as it was given, or as the rule reads it from the history.

    Raises:
        InvalidArgument: Neither is given, or both; or the history has not the rows of the logits, or lacks a prompt of which
            the rule counts the tokens.
    """
    if history is None and position is not None:
        return position
    words = "given, unless history is: the same position draws the same token again"
    if history is None or position is not None:
        raise InvalidArgument("position", position, words if position is None else "left out with a history")
    check_same_rows(checked_history(history, "history"), logits)
    if rule.counts_prompt and can_sync(history.lengths) and bool((history.prompt_lengths == 0).any()):
        raise InvalidArgument("history", "an empty prompt", rule.words_of_prompt)
    return rule.position(history)


def keys_of(
    rule: DrawRule,
    logits: Tensor,
    seed: Whole | None,
    position: Whole | None,
    choice: Whole,
    history: History | None,
) -> RngKeys:
    """Return what the rows' draws are keyed by; arguments and errors as in `draw`."""
    rows, device = logits.shape[0], logits.device
    if seed is None:
        seed = rule.seed_key(None)
    seeds = row_tensor("seed", seed, rows, device, rule.seed_key)
    where = word("position", position_of(rule, position, history, logits), rows, device)
    seeds, choices = rule.keyed(seeds, word("choice", choice, rows, device))
    return rule.keys(seeds, where, choices)


def draw(
    logits: Tensor,
    *,
    seed: Whole | None,
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
        seed: -2^63 .. 2^64 - 1, or one per row (an int64 tensor holds the 64 bits). Only rules of engines that have a seed of
            their own go without.
        position: Tokens sampled before in this choice, 0 .. 2^32 - 1, or one number per row (of a tensor the lower 32 bits);
            for rules of engines what they count. Either it or the history has to be given.
        choice: Index of the choice among the n of its request, 0 .. 2^32 - 1, or one number per row.
        rule: "integer"; "gumbel": the arg max of logit + noise keyed by (seed, choice, position, token id), in
            float64, the same everywhere up to the last bit of the device's logarithm; or the rule of an engine.
        history: What the rows have sampled so far, from which the rule takes the position.

    Returns:
        Token ids, int64 [B]; -1 in a row with NaN or +inf, or with nothing above -inf.

    Raises:
        InvalidArgument: An unknown rule, a number out of range, one number per row of another batch, a position and a
            history, or neither, or no seed where the rule has none of its own.

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
    keys = keys_of(RULES[rule], valid, seed, position, choice, history)
    return torch.where(status > 0, -1, run((), valid, SampleTokens(rule, keys)))


def draw_margin(
    logits: Tensor,
    *,
    seed: Whole | None,
    position: Whole | None = None,
    choice: Whole = 0,
    rule: Rule = "integer",
    history: History | None = None,
) -> Margin:
    """Measure how clear each draw is: how far its token is from another one.

    Where the margin is not `decided`, an engine that follows the rule may have drawn the runner-up, by the last bit of a
    logarithm or of a sum. That takes longer than the draw.

    Args:
        logits: As in `draw`, and so are all others.
        seed: Of each row.
        position: Of each row's draw.
        choice: Of each row.
        rule: The rule of the draw.
        history: In place of the position.

    Returns:
        The margin; of a row that cannot be drawn from, the runner-up is -1 and nothing is decided.

    Raises:
        InvalidArgument: As in `draw`.

    Example:
        >>> import torch
        >>> margin = draw_margin(torch.zeros(1, 1000), seed=7, position=0)
        >>> margin.runner_up.item(), margin.decided.item()
        (749, True)
    """
    rule = checked_rule(rule)
    valid, status = replace_invalid_rows(float32_logits(logits))
    keys = keys_of(RULES[rule], valid, seed, position, choice, history)
    margin = RULES[rule].margin(WeightedLogits(valid), keys)
    wrong = (status > 0).nonzero()[:, 0]
    margin.write(wrong, Margin.unknown(len(wrong), wrong.device))
    return margin
