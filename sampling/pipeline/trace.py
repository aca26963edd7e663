"""The trace of a pipeline: numbers for every stage, and a table for people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import overload

import torch
from sampling_kernels.reference import top_tokens
from sampling_kernels.validity import replace_invalid_rows
from sampling_kernels.weights import weights
from torch import Tensor

from sampling.core.params import integer


@dataclass(frozen=True)
class Snapshot:
    """The distribution of B rows at one point of a pipeline.

    Args:
        left: Tokens whose logit is above -inf, int64 [B].
        entropy: In nats, float64 [B].
        top_ids: The most likely tokens, int64 [B, K].
        top_probs: Their probabilities, float64 [B, K].
    """

    left: Tensor
    entropy: Tensor
    top_ids: Tensor
    top_probs: Tensor


@dataclass(frozen=True)
class Step:
    """What one stage of a pipeline did to B rows.

    Args:
        name: The processor's name, such as `top_p`.
        description: The name with its numbers.
        before: The distribution that the stage was given.
        after: The distribution that it left.
        removed: The mass, before the stage, of the tokens that it banned, float64 [B].
    """

    name: str
    description: str
    before: Snapshot
    after: Snapshot
    removed: Tensor

    @property
    def left(self) -> Tensor:
        """Return the tokens left after the stage, int64 [B]."""
        return self.after.left

    @property
    def entropy(self) -> Tensor:
        """Return the entropy after the stage in nats, float64 [B]."""
        return self.after.entropy


class Trace(Sequence[Step]):
    """The steps of a pipeline in order; printing it shows the first row as a table, and of no rows the stages alone.

    Args:
        start: The distribution before the first stage.
        steps: One for each stage.
    """

    def __init__(self, start: Snapshot, steps: Sequence[Step]) -> None:
        self.start = start
        self._steps = tuple(steps)

    def __len__(self) -> int:
        """Return the number of stages."""
        return len(self._steps)

    @overload
    def __getitem__(self, index: int) -> Step: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Step, ...]: ...
    def __getitem__(self, index: int | slice) -> Step | tuple[Step, ...]:
        """Return one step, or some."""
        return self._steps[index]

    def __str__(self) -> str:
        """Print the first row as a plain table."""
        lines = [f"{'stage':<28}{'left':>8}{'removed':>10}{'entropy':>9}  most likely"]
        lines.append(table_line("logits", self.start, None))
        lines += [table_line(step.description, step.after, step.removed) for step in self]
        return "\n".join(lines)


def table_line(description: str, snapshot: Snapshot, removed: Tensor | None) -> str:
    """Return one line of the table: row 0 of a snapshot, if there is one."""
    if len(snapshot.left) == 0:
        return description
    share = f"{removed[0].item():.4f}" if removed is not None and removed[0] > 0 else ""
    top = zip(snapshot.top_ids[0].tolist(), snapshot.top_probs[0].tolist(), strict=True)
    likely = "  ".join(f"{token}:{p:.4f}" for token, p in top if p > 0)
    return (
        f"{description:<28}{int(snapshot.left[0]):>8}{share:>10}{snapshot.entropy[0].item():>9.4f}  {likely}"
    )


def probabilities(logits: Tensor) -> Tensor:
    """Return the probabilities of each row, float64 [B, V]; zeros in a row that cannot be sampled."""
    valid, status = replace_invalid_rows(logits)
    w = weights(valid) * (status == 0)[:, None]
    return w.double() / w.sum(-1, keepdim=True).clamp(min=1).double()


def snapshot(logits: Tensor, probs: Tensor, top: int) -> Snapshot:
    """Describe the distribution of B rows."""
    ids = top_tokens(logits, min(top, logits.shape[-1]))
    surprise = torch.where(probs > 0, -probs.log(), 0.0)
    return Snapshot((logits > -torch.inf).sum(-1), (probs * surprise).sum(-1), ids, probs.gather(-1, ids))


def traced(descriptions: Sequence[str], names: Sequence[str], seen: Sequence[Tensor], top: int) -> Trace:
    """Make the trace of stages from the logits between them.

    Args:
        descriptions: One for each stage.
        names: One for each stage.
        seen: float32 [B, V], before the first stage and after each.
        top: How many of the most likely tokens to keep.

    Raises:
        InvalidArgument: `top` is no integer, or negative.
    """
    top = integer("top", top, 0)
    probs = [probabilities(logits) for logits in seen]
    shots = [snapshot(logits, p, top) for logits, p in zip(seen, probs, strict=True)]
    steps: list[Step] = []
    for i, (name, description) in enumerate(zip(names, descriptions, strict=True)):
        banned = (seen[i] > -torch.inf) & (seen[i + 1] == -torch.inf)
        removed = (probs[i] * banned).sum(-1)
        steps.append(Step(name, description, shots[i], shots[i + 1], removed))
    return Trace(shots[0], steps)
