"""Truncations: which tokens may be drawn at all."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import get_args

import torch
from sampling_kernels.candidates.candidates import Candidates
from sampling_kernels.candidates.float_filters import filter_min_p, filter_top_p
from sampling_kernels.candidates.wide_nucleus import Nucleus, wide_nucleus
from sampling_kernels.fixed_point import ONE, to_fixed_point
from sampling_kernels.host_sync import can_sync
from sampling_kernels.sort_key import TieBreak
from sampling_kernels.truncation import argmax_mask, extend_to_ties, min_p_mask, top_k_mask, top_p_mask
from torch import Tensor

from sampling.core.errors import InvalidArgument
from sampling.core.params import LARGEST_TOP_K, boolean
from sampling.processors.base import Rows
from sampling.processors.numbers import Number, column, decimals
from sampling.processors.order_preserving import Truncation


def checked_tie_break(value: TieBreak) -> TieBreak:
    """Return the rule of equal logits, if it is one."""
    allowed = get_args(TieBreak)
    if value not in [*allowed]:  # a list, for what cannot be hashed
        raise InvalidArgument("tie_break", value, f"one of {', '.join(allowed)}")
    return value


class TopK(Truncation):
    """Keep the k most likely tokens.

    Args:
        k: A whole number or one per row; 0 keeps everything.
        tie_break: Which of two equal logits comes first.
        keep_ties: Keep all that equal the k-th logit, too.

    Source: Fan, Lewis, Dauphin, "Hierarchical Neural Story Generation", ACL 2018.

    Example:
        >>> import torch
        >>> from sampling import History
        >>> TopK(1)(torch.tensor([[1.0, 3.0]]), History.start([[]]))
        tensor([[-inf, 3.]])
    """

    name = "top_k"
    row_fields = ("k",)

    def __init__(self, k: Number, *, tie_break: TieBreak = "lowest_id", keep_ties: bool = False) -> None:
        texts = decimals(self.name, k, 0, LARGEST_TOP_K)
        wrong = next((text for text in texts if float(text) % 1), None)
        if wrong is not None:
            raise InvalidArgument(self.name, float(wrong), "a whole number")
        self.k = column([int(float(text)) for text in texts], torch.int64)
        self.tie_break = checked_tie_break(tie_break)
        self.keep_ties = boolean("keep_ties", keep_ties)
        self.params = self.k.flatten().tolist()

    def keep(self, logits: Tensor, w: Tensor | None = None) -> Tensor:
        """Return the first k in the order of (logit, token id)."""
        k = self.broadcast_to(self.k, logits).expand(len(logits), 1)
        return top_k_mask(logits, k, tie_break=self.tie_break or "lowest_id", keep_ties=self.keep_ties)

    def keep_candidates(self, candidates: Candidates) -> tuple[Tensor, Tensor | None]:
        """Do the same among the candidates; only their order matters."""
        return self.keep(candidates.logits), None

    def neutral(self, logits: Tensor, width: int) -> Tensor:
        """Return where k is 0, or no token would be left out."""
        k = self.broadcast_to(self.k, logits)
        return (k == 0) | (k >= width)


class TopP(Truncation):
    """Keep the nucleus: the shortest prefix, most likely first, whose mass is at least p.

    The crossing token stays, an exact hit stops there, at least one token stays. p is the decimal it prints as, and the sums
    are integers, so ten equal logits and p = 0.9 keep nine.

    Args:
        p: 0 to 1, a number or one per row; 1 keeps everything.
        tie_break: Which of two equal logits comes first.
        keep_ties: Keep all that equal the last one, too.
        stops_at_equality: False takes one token more when the mass is exactly p.

    Source: "Create Chat Completion", `top_p`; Holtzman et al., "The Curious Case of Neural Text Degeneration", ICLR 2020.

    Example:
        >>> import torch
        >>> from sampling import History
        >>> TopP(0.5)(torch.zeros(1, 4), History.start([[]]))
        tensor([[0., 0., -inf, -inf]])
    """

    name = "top_p"
    row_fields = ("p_fixed", "p")
    uses_weights = True

    def __init__(
        self,
        p: Number,
        *,
        tie_break: TieBreak = "lowest_id",
        keep_ties: bool = False,
        stops_at_equality: bool = True,
    ) -> None:
        texts = decimals(self.name, p, 0, 1)
        self.p_fixed = column([to_fixed_point(text) for text in texts], torch.int64)
        self.p = column([float(text) for text in texts], torch.float64)
        self.tie_break = checked_tie_break(tie_break)
        self.keep_ties = boolean("keep_ties", keep_ties)
        self.stops_at_equality = boolean("stops_at_equality", stops_at_equality)
        self.params = [float(text) for text in texts]

    def keep(self, logits: Tensor, w: Tensor | None = None) -> Tensor:
        """Return the nucleus of each row."""
        p_fixed = self.broadcast_to(self.p_fixed, logits)
        return top_p_mask(
            logits,
            p_fixed,
            w,
            tie_break=self.tie_break or "lowest_id",
            keep_ties=self.keep_ties,
            stops_at_equality=self.stops_at_equality,
        )

    def keep_candidates(self, candidates: Candidates) -> tuple[Tensor, Tensor | None]:
        """Return the nucleus among the candidates."""
        everything = self.neutral(candidates.logits, candidates.vocab_size)
        look = can_sync(candidates.logits)
        kept, certain = self._nucleus(candidates, quick=look)
        doubtful = (~(certain | everything[:, 0])).nonzero()[:, 0] if look else ()
        if len(doubtful) > 0:
            again = self.select(doubtful)._nucleus(candidates.select(doubtful), quick=False)
            kept, certain = kept.index_copy(0, doubtful, again[0]), certain.index_copy(0, doubtful, again[1])
        return kept | everything, certain | everything[:, 0]

    def _nucleus(self, candidates: Candidates, *, quick: bool) -> tuple[Tensor, Tensor]:
        """Return which candidates it keeps, as far as bounds of the normalizer tell, and where they do."""
        kept, certain = filter_top_p(
            candidates.logits,
            candidates.exp_logits(),
            self.broadcast_to(self.p, candidates.logits),
            *candidates.normalizer_bounds(quick=quick),
            tie_break=self.tie_break or "lowest_id",
        )
        return extend_to_ties(kept, candidates.logits) if self.keep_ties else kept, certain

    def wide_nucleus(self, logits: Tensor) -> Nucleus | None:
        """Return the nucleus of one row, where float64 decides it; looks at values."""
        p = float(self.p[0, 0])
        if p >= 1:
            return None
        return wide_nucleus(logits, p, tie_break=self.tie_break or "lowest_id", keep_ties=self.keep_ties)

    def neutral(self, logits: Tensor, width: int) -> Tensor:
        """Return where p is 1."""
        return self.broadcast_to(self.p_fixed, logits) >= ONE


class MinP(Truncation):
    """Keep the tokens that are at least p times as likely as the likeliest.

    Args:
        p: 0 to 1, a number or one per row; 0 keeps everything.
        strict: Whether one p times as likely, to the precision of float32, goes, too; the likeliest never do.

    Source: Nguyen et al., "Turning Up the Heat: Min-p Sampling for Creative and Coherent LLM Outputs", ICLR 2025.

    Example:
        >>> import torch
        >>> from sampling import History
        >>> MinP(0.2)(torch.tensor([[0.0, -1.0, -2.0]]), History.start([[]]))
        tensor([[ 0., -1., -inf]])
    """

    name = "min_p"
    row_fields = ("p_fixed", "p")
    uses_weights = True

    def __init__(self, p: Number, *, strict: bool = False) -> None:
        texts = decimals(self.name, p, 0, 1)
        self.strict = boolean("strict", strict)
        self.p_fixed = column([to_fixed_point(text) for text in texts], torch.int64)
        self.p = column([float(text) for text in texts], torch.float64)
        self.params = [float(text) for text in texts]

    def keep(self, logits: Tensor, w: Tensor | None = None) -> Tensor:
        """Return those above the threshold of each row."""
        return min_p_mask(logits, self.broadcast_to(self.p_fixed, logits), w, strict=self.strict)

    def keep_candidates(self, candidates: Candidates) -> tuple[Tensor, Tensor | None]:
        """Do the same among the candidates."""
        p = self.broadcast_to(self.p, candidates.logits)
        kept, certain = filter_min_p(candidates.exp_logits(), p)
        return kept, certain | (p == 0)[:, 0]

    def neutral(self, logits: Tensor, width: int) -> Tensor:
        """Return where p is 0."""
        return self.broadcast_to(self.p_fixed, logits) == 0


def all_of(masks: Sequence[Tensor]) -> Tensor:
    """Return what all masks have in common."""
    return functools.reduce(torch.logical_and, masks)


class Intersection(Truncation):
    """Truncations that all look at the same distribution: a token stays if every one of them keeps it.

    In a chain each truncation looks at what the one before left over; here none does.

    Args:
        truncations: At least one, with one order of equal logits.

    Example:
        >>> import torch
        >>> Intersection(TopK(1), TopP(0.5)).keep(torch.zeros(1, 4)).tolist()
        [[True, False, False, False]]
    """

    name = "joint"

    def __init__(self, *truncations: Truncation) -> None:
        if not truncations:
            raise InvalidArgument("truncations", truncations, "at least one truncation")
        orders: set[TieBreak] = {part.tie_break for part in truncations if part.tie_break is not None}
        if len(orders) > 1:
            raise InvalidArgument("truncations", truncations, "of one tie_break")
        self.truncations = truncations
        self.tie_break = next(iter(orders), None)
        self.uses_weights = any(part.uses_weights for part in truncations)

    def to(self, device: torch.device | str) -> Intersection:
        """Move all parts to a device."""
        return Intersection(*(part.to(device) for part in self.truncations))

    def check(self, logits: Tensor) -> None:
        """Check every part."""
        for part in self.truncations:
            part.check(logits)

    def select(self, rows: Rows | Sequence[int]) -> Intersection:
        """Take some rows of all parts."""
        return Intersection(*(part.select(rows) for part in self.truncations))

    def keep(self, logits: Tensor, w: Tensor | None = None) -> Tensor:
        """Return the intersection of what each keeps."""
        return all_of([part.keep(logits, w) for part in self.truncations])

    def keep_candidates(self, candidates: Candidates) -> tuple[Tensor, Tensor | None]:
        """Return the intersection, certain where every part is."""
        parts = [part.keep_candidates(candidates) for part in self.truncations]
        certainties = [certain for _, certain in parts if certain is not None]
        return all_of([kept for kept, _ in parts]), all_of(certainties) if certainties else None

    def neutral(self, logits: Tensor, width: int) -> Tensor:
        """Return where every part is neutral."""
        return all_of([part.neutral(logits, width) for part in self.truncations])

    def __repr__(self) -> str:
        return f"Intersection({', '.join(map(repr, self.truncations))})"

    def describe(self, row: int = 0) -> str:
        """Describe all the parts."""
        return " & ".join(part.describe(row) for part in self.truncations)


class ArgMax(Truncation):
    """Keep only the most likely token in the rows that are marked (of equal ones, the lowest token id).

    Args:
        rows: Which rows, bools or a bool tensor [B].

    Example:
        >>> import torch
        >>> from sampling import History
        >>> ArgMax([True, False])(torch.tensor([[1.0, 3.0], [1.0, 3.0]]), History.start([[], []]))
        tensor([[-inf, 3.], [1., 3.]])
    """

    name = "arg_max"
    row_fields = ("rows",)
    tie_break = "lowest_id"

    def __init__(self, rows: Sequence[bool] | Tensor) -> None:
        self.rows = torch.as_tensor(rows, dtype=torch.bool).reshape(-1, 1)
        self.params = self.rows.flatten().tolist()

    def keep(self, logits: Tensor, w: Tensor | None = None) -> Tensor:
        """Return the first token in marked rows, every token in the others."""
        return argmax_mask(logits) | ~self.broadcast_to(self.rows, logits)

    def keep_candidates(self, candidates: Candidates) -> tuple[Tensor, Tensor | None]:
        """Do the same among the candidates; only their order matters."""
        return self.keep(candidates.logits), None

    def neutral(self, logits: Tensor, width: int) -> Tensor:
        """Return the rows that are not marked."""
        return ~self.broadcast_to(self.rows, logits)
