"""Penalties on tokens that occurred before, at the cost of the distinct ones."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from sampling.core.errors import InvalidArgument
from sampling.core.history import OUTPUT, PROMPT_AND_OUTPUT, History, Scope
from sampling.core.params import LARGEST, SMALLEST, boolean
from sampling.processors.base import SparseEdit, check_same_rows
from sampling.processors.numbers import Number, column, decimals


class CountPenalty(SparseEdit):
    """A processor that changes the logits of tokens by how often they occurred."""

    row_fields = ("penalty",)
    lowest: ClassVar[float] = -LARGEST

    def __init__(self, penalty: Number, *, scope: Scope = OUTPUT) -> None:
        self.params = [float(text) for text in decimals(self.name, penalty, self.lowest, LARGEST)]
        self.penalty = column(self.params, torch.float32).double()  # rounded once, computed with in float64
        if not isinstance(scope, Scope):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InvalidArgument("scope", scope, "a Scope")
        self.scope = scope

    @property
    def index_key(self) -> Scope:
        """Return the scope."""
        return self.scope

    def token_ids(self, logits: Tensor, history: History) -> tuple[Tensor, ...]:
        """Return the tokens in the processor's scope, and how often each occurred."""
        check_same_rows(history, logits)
        history.require_ids_below(logits.shape[-1], prompt=self.scope.prompt)
        return history.counted(self.scope)

    def update(self, logits: Tensor, *known: Tensor) -> Tensor:
        """Penalise them."""
        return self.penalised(logits, known[0], self.broadcast_to(self.penalty, logits))

    def penalised(self, logits: Tensor, counts: Tensor, penalty: Tensor) -> Tensor:
        """Return the new logits of the counted tokens, float64 [B, D]; unchanged where the count is 0."""
        raise NotImplementedError(f"{type(self).__name__} does not say how it penalises")


class Subtracted(CountPenalty):
    """A penalty that is subtracted, times a number that the count says.

    Args:
        penalty: A number or one per row.
        scope: Which tokens count; the sampled ones unless said otherwise.
        follow_sign: Whether it is added to negative logits, as one engine does, instead of subtracted from all.
    """

    def __init__(self, penalty: Number, *, scope: Scope = OUTPUT, follow_sign: bool = False) -> None:
        super().__init__(penalty, scope=scope)
        self.follow_sign = boolean("follow_sign", follow_sign)

    def penalised(self, logits: Tensor, counts: Tensor, penalty: Tensor) -> Tensor:
        """Subtract; the product of a float32 and a count is exact in float64."""
        amount = penalty * self.times(counts)
        return (
            torch.where(logits < 0, logits + amount, logits - amount) if self.follow_sign else logits - amount
        )

    def times(self, counts: Tensor) -> Tensor:
        """Return how often the penalty is subtracted."""
        raise NotImplementedError(f"{type(self).__name__} does not say how often it subtracts")


class FrequencyPenalty(Subtracted):
    """Subtract the penalty for every occurrence: l - f count.

    Args:
        penalty: f, a number or one per row.
        scope: Which tokens count; the sampled ones unless said otherwise.
        follow_sign: Whether it is added to negative logits instead.

    Source: "Create Chat Completion", `frequency_penalty`.

    Example:
        >>> import torch
        >>> history = History.start([[0]])
        >>> for token in (1, 1):
        ...     history.accept(torch.tensor([token]))
        >>> FrequencyPenalty(0.5)(torch.zeros(1, 3), history)
        tensor([[ 0., -1.,  0.]])
    """

    name = "frequency_penalty"

    def times(self, counts: Tensor) -> Tensor:
        """Return the count."""
        return counts


class PresencePenalty(Subtracted):
    """Subtract the penalty once from every token that occurred: l - p [count > 0].

    Args:
        penalty: p, a number or one per row.
        scope: Which tokens count; the sampled ones unless said otherwise.
        follow_sign: Whether it is added to negative logits instead.

    Source: "Create Chat Completion", `presence_penalty`.

    Example:
        >>> import torch
        >>> history = History.start([[0]])
        >>> for token in (1, 1):
        ...     history.accept(torch.tensor([token]))
        >>> PresencePenalty(0.5)(torch.zeros(1, 3), history)
        tensor([[ 0.0000, -0.5000,  0.0000]])
    """

    name = "presence_penalty"

    def times(self, counts: Tensor) -> Tensor:
        """Return True where the token occurred."""
        return counts > 0


class RepetitionPenalty(CountPenalty):
    """Make every token that occurred less likely: l / r for l > 0, l r otherwise, once per distinct token.

    Args:
        penalty: r > 0, a number or one per row; 1 is neutral.
        scope: Which tokens count; prompt and output unless said otherwise.

    Source: Keskar et al., "CTRL: A Conditional Transformer Language Model for Controllable Generation", 2019.

    Example:
        >>> import torch
        >>> RepetitionPenalty(2.0)(torch.tensor([[3.0, -3.0, 3.0]]), History.start([[0, 1]]))
        tensor([[ 1.5000, -6.0000,  3.0000]])
    """

    name = "repetition_penalty"

    lowest = SMALLEST

    def __init__(self, penalty: Number, *, scope: Scope = PROMPT_AND_OUTPUT) -> None:
        super().__init__(penalty, scope=scope)

    def penalised(self, logits: Tensor, counts: Tensor, penalty: Tensor) -> Tensor:
        """Compute l / r or l r where the token occurred."""
        scaled = torch.where(logits > 0, logits / penalty, logits * penalty)
        return torch.where(counts > 0, scaled, logits)

    def slope(self, logits: Tensor, *known: Tensor) -> Tensor:
        """Return 1 / r or r where the token occurred."""
        penalty = self.broadcast_to(self.penalty, logits)
        return torch.where(known[0] > 0, torch.where(logits > 0, 1 / penalty, penalty), 1.0)
