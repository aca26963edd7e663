"""Tokens that may come next, as a grammar or anything else has it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol, Self, cast

import torch
from torch import Tensor

from sampling.core.errors import InvalidArgument
from sampling.core.history import History
from sampling.processors.base import Processor, Rows, check_same_rows


class Constraint(Protocol):
    """Says which tokens may come after those that were sampled.

    The answer depends on the argument alone. An object may remember where it was: the next argument is usually the last one
    and one token more.
    """

    def allowed(self, sampled: Sequence[int]) -> Tensor:
        """Return which tokens may come next.

        Args:
            sampled: The tokens sampled so far, without the prompt.

        Returns:
            bool [C], on the host; tokens from C on are not allowed, and those from V on not looked at.
        """
        ...


class AllowedTokens(Processor):
    """Ban the tokens that a row's constraint does not allow.

    It reads the history on the host and asks one constraint after another, so it does not compile.

    Args:
        constraints: One for all rows, or a list of one per row; None leaves its row as it is.

    Example:
        >>> import torch
        >>> from sampling import History
        >>> class Ascending:
        ...     def allowed(self, sampled):
        ...         return torch.arange(4) > max(sampled, default=-1)
        >>> history = History.start([[3]])
        >>> history.accept(torch.tensor([1]))
        >>> AllowedTokens(Ascending())(torch.zeros(1, 4), history)
        tensor([[-inf, -inf, 0., 0.]])
    """

    name = "allowed_tokens"

    def __init__(self, constraints: Constraint | Sequence[Constraint | None] | None) -> None:
        given = tuple(constraints) if isinstance(constraints, Sequence) else (constraints,)
        self.constraints = tuple(checked_constraint(self.name, one) for one in given)
        self.params = self.constraints

    def process(self, logits: Tensor, history: History) -> Tensor:
        """Set the logits of all other tokens to -inf."""
        check_same_rows(history, logits)
        asked = [(row, one) for row, one in enumerate(self._per_row(len(logits))) if one is not None]
        if not asked:
            return logits
        rows = [row for row, _ in asked]
        allowed = torch.zeros(len(rows), logits.shape[-1], dtype=torch.bool)
        for mask, (row, constraint), tokens in zip(allowed, asked, sampled(history, rows), strict=True):
            answer = checked_mask(constraint.allowed(tokens), row)[: len(mask)]
            mask[: len(answer)] = answer
        masked = logits.clone()
        masked[rows] = torch.where(allowed.to(logits.device), logits[rows], -math.inf)
        return masked

    def select(self, rows: Rows | Sequence[int]) -> Self:
        """Return the stage with the constraints of some rows."""
        part = super().select(rows)
        part.__dict__["constraints"] = tuple(part.params)
        return part

    def _per_row(self, rows: int) -> Sequence[Constraint | None]:
        count = len(self.constraints)
        if count not in (1, rows):
            words = f"one for all rows, or one for each of the {rows} rows of the logits"
            raise InvalidArgument(self.name, f"{count} constraints", words)
        return self.constraints * rows if count == 1 else self.constraints


def checked_constraint(name: str, value: object) -> Constraint | None:
    """Return a constraint, or None.

    Raises:
        InvalidArgument: It has no method `allowed`.
    """
    if value is not None and not callable(getattr(value, "allowed", None)):
        raise InvalidArgument(name, value, "None, or an object with a method allowed(sampled)")
    return cast("Constraint | None", value)


def checked_mask(answer: object, row: int) -> Tensor:
    """Return what a constraint said, if it is a mask: anything else, such as token ids, would allow other tokens.

    Raises:
        InvalidArgument: It is no bool [C] on the host.
    """
    name, words = f"allowed of row {row}", "a tensor bool [C] on the host: tokens from C on are not allowed"
    if not isinstance(answer, Tensor):
        raise InvalidArgument(name, answer, words)
    if answer.dtype != torch.bool or answer.dim() != 1 or answer.device.type != "cpu":
        raise InvalidArgument(name, f"{answer.dtype} {tuple(answer.shape)} on {answer.device}", words)
    return answer


def sampled(history: History, rows: Sequence[int]) -> list[list[int]]:
    """Return the tokens that some rows, at least one, have sampled."""
    begins, ends = torch.stack([history.prompt_lengths, history.lengths])[:, rows].tolist()
    tokens = history.tokens[rows, : max(ends)].cpu()
    spans = zip(tokens, begins, ends, strict=True)
    return [row[begin:end].tolist() for row, begin, end in spans]
