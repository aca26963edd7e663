"""Truncations: which tokens may be drawn at all."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import torch
from sampling_kernels.branching import may_branch
from sampling_kernels.rough import min_p_of_leading, top_p_of_leading
from sampling_kernels.shares import WHOLE, share_of_decimal
from sampling_kernels.truncation import keep_first, keep_min_p, keep_top_k, keep_top_p, with_equals
from torch import Tensor

from sampling.core.errors import InvalidArgument
from sampling.core.params import LARGEST_TOP_K, boolean
from sampling.processors.base import Rows
from sampling.processors.leading import Leading
from sampling.processors.numbers import Number, column, decimals
from sampling.processors.shaping import Truncation


class TopK(Truncation):
    """Keep the k most likely tokens.

    Args:
        k: A whole number or one per row; 0 keeps everything.
        low_ids_first: Which of two equal logits comes first.
        keep_ties: Keep all that equal the k-th logit, too.

    Source: Fan, Lewis, Dauphin, "Hierarchical Neural Story Generation", ACL 2018.

    Example:
        >>> import torch
        >>> from sampling import History
        >>> TopK(1)(torch.tensor([[1.0, 3.0]]), History.start([[]]))
        tensor([[-inf, 3.]])
    """

    name = "top_k"
    per_row = ("k",)

    def __init__(self, k: Number, *, low_ids_first: bool = True, keep_ties: bool = False) -> None:
        texts = decimals(self.name, k, 0, LARGEST_TOP_K)
        wrong = next((text for text in texts if float(text) % 1), None)
        if wrong is not None:
            raise InvalidArgument(self.name, float(wrong), "a whole number")
        self.k = column([int(float(text)) for text in texts], torch.int64)
        self.low_ids_first = boolean("low_ids_first", low_ids_first)
        self.keep_ties = boolean("keep_ties", keep_ties)
        self.shown = self.k.flatten().tolist()

    def keep(self, logits: Tensor, w: Tensor | None = None) -> Tensor:
        """The first k in the order of (logit, token id)."""
        k = self.fitted(self.k, logits).expand(len(logits), 1)
        return keep_top_k(logits, k, low_ids_first=bool(self.low_ids_first), keep_ties=self.keep_ties)

    def keep_leading(self, leading: Leading) -> tuple[Tensor, Tensor | None]:
        """The same among the leading tokens; only their order matters."""
        return self.keep(leading.logits), None

    def neutral(self, logits: Tensor, width: int) -> Tensor:
        """Where k is 0, or no token would be left out."""
        k = self.fitted(self.k, logits)
        return (k == 0) | (k >= width)


class TopP(Truncation):
    """Keep the nucleus: the shortest prefix, most likely first, whose mass is at least p.

    The crossing token stays, an exact hit stops there, at least one token stays. p is the decimal it prints as, and the sums
    are integers, so ten equal logits and p = 0.9 keep nine.

    Args:
        p: 0 to 1, a number or one per row; 1 keeps everything.
        low_ids_first: Which of two equal logits comes first.
        keep_ties: Keep all that equal the last one, too.
        exact_hit_stops: False takes one token more when the mass is exactly p.

    Source: "Create Chat Completion", `top_p`; Holtzman et al., "The Curious Case of Neural Text Degeneration", ICLR 2020.

    Example:
        >>> import torch
        >>> from sampling import History
        >>> TopP(0.5)(torch.zeros(1, 4), History.start([[]]))
        tensor([[0., 0., -inf, -inf]])
    """

    name = "top_p"
    per_row = ("share", "p")
    weighs = True

    def __init__(
        self, p: Number, *, low_ids_first: bool = True, keep_ties: bool = False, exact_hit_stops: bool = True
    ) -> None:
        texts = decimals(self.name, p, 0, 1)
        self.share = column([share_of_decimal(text) for text in texts], torch.int64)
        self.p = column([float(text) for text in texts], torch.float64)
        self.low_ids_first = boolean("low_ids_first", low_ids_first)
        self.keep_ties = boolean("keep_ties", keep_ties)
        self.exact_hit_stops = boolean("exact_hit_stops", exact_hit_stops)
        self.shown = [float(text) for text in texts]

    def keep(self, logits: Tensor, w: Tensor | None = None) -> Tensor:
        """The nucleus of each row."""
        share = self.fitted(self.share, logits)
        return keep_top_p(
            logits,
            share,
            w,
            low_ids_first=bool(self.low_ids_first),
            keep_ties=self.keep_ties,
            exact_hit_stops=self.exact_hit_stops,
        )

    def keep_leading(self, leading: Leading) -> tuple[Tensor, Tensor | None]:
        """The nucleus among the leading tokens."""
        everything = self.neutral(leading.logits, leading.width)
        look = may_branch(leading.logits)
        kept, sure = self._nucleus(leading, quick=look)
        doubtful = (~(sure | everything[:, 0])).nonzero()[:, 0] if look else ()
        if len(doubtful) > 0:
            again = self.select(doubtful)._nucleus(leading.select(doubtful), quick=False)
            kept, sure = kept.index_copy(0, doubtful, again[0]), sure.index_copy(0, doubtful, again[1])
        return kept | everything, sure | everything[:, 0]

    def _nucleus(self, leading: Leading, *, quick: bool) -> tuple[Tensor, Tensor]:
        """Which leading tokens it keeps, as far as bounds of the total tell, and where they do."""
        kept, sure = top_p_of_leading(
            leading.logits,
            leading.masses(),
            self.fitted(self.p, leading.logits),
            *leading.totals(quick=quick),
            low_ids_first=bool(self.low_ids_first),
        )
        return with_equals(kept, leading.logits) if self.keep_ties else kept, sure

    def neutral(self, logits: Tensor, width: int) -> Tensor:
        """Where p is 1."""
        return self.fitted(self.share, logits) >= WHOLE


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
    per_row = ("share", "p")
    weighs = True

    def __init__(self, p: Number, *, strict: bool = False) -> None:
        texts = decimals(self.name, p, 0, 1)
        self.strict = boolean("strict", strict)
        self.share = column([share_of_decimal(text) for text in texts], torch.int64)
        self.p = column([float(text) for text in texts], torch.float64)
        self.shown = [float(text) for text in texts]

    def keep(self, logits: Tensor, w: Tensor | None = None) -> Tensor:
        """Those above the threshold of each row."""
        return keep_min_p(logits, self.fitted(self.share, logits), w, strict=self.strict)

    def keep_leading(self, leading: Leading) -> tuple[Tensor, Tensor | None]:
        """The same among the leading tokens."""
        p = self.fitted(self.p, leading.logits)
        kept, sure = min_p_of_leading(leading.masses(), p)
        return kept, sure | (p == 0)[:, 0]

    def neutral(self, logits: Tensor, width: int) -> Tensor:
        """Where p is 0."""
        return self.fitted(self.share, logits) == 0


def all_of(masks: Sequence[Tensor]) -> Tensor:
    """What all masks have in common."""
    return functools.reduce(torch.logical_and, masks)


class Joint(Truncation):
    """Truncations that all look at the same distribution: a token stays if every one of them keeps it.

    In a chain each truncation looks at what the one before left over; here none does.

    Args:
        truncations: At least one, with one order of equal logits.

    Example:
        >>> import torch
        >>> Joint(TopK(1), TopP(0.5)).keep(torch.zeros(1, 4)).tolist()
        [[True, False, False, False]]
    """

    name = "joint"

    def __init__(self, *truncations: Truncation) -> None:
        if not truncations:
            raise InvalidArgument("truncations", truncations, "at least one truncation")
        orders = {part.low_ids_first for part in truncations} - {None}
        if len(orders) > 1:
            raise InvalidArgument("truncations", truncations, "of one order of equal logits")
        self.truncations = truncations
        self.low_ids_first = next(iter(orders), None)
        self.weighs = any(part.weighs for part in truncations)

    def to(self, device: torch.device | str) -> Joint:
        """All parts on a device."""
        return Joint(*(part.to(device) for part in self.truncations))

    def check(self, logits: Tensor) -> None:
        """Every part."""
        for part in self.truncations:
            part.check(logits)

    def select(self, rows: Rows) -> Joint:
        """All parts for some rows."""
        return Joint(*(part.select(rows) for part in self.truncations))

    def keep(self, logits: Tensor, w: Tensor | None = None) -> Tensor:
        """The intersection of what each keeps."""
        return all_of([part.keep(logits, w) for part in self.truncations])

    def keep_leading(self, leading: Leading) -> tuple[Tensor, Tensor | None]:
        """The intersection, sure where every part is."""
        parts = [part.keep_leading(leading) for part in self.truncations]
        doubts = [sure for _, sure in parts if sure is not None]
        return all_of([kept for kept, _ in parts]), all_of(doubts) if doubts else None

    def neutral(self, logits: Tensor, width: int) -> Tensor:
        """Where every part is neutral."""
        return all_of([part.neutral(logits, width) for part in self.truncations])

    def __repr__(self) -> str:
        return f"Joint({', '.join(map(repr, self.truncations))})"

    def describe(self, row: int = 0) -> str:
        """All the parts."""
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
    per_row = ("rows",)
    low_ids_first = True

    def __init__(self, rows: Sequence[bool] | Tensor) -> None:
        self.rows = torch.as_tensor(rows, dtype=torch.bool).reshape(-1, 1)
        self.shown = self.rows.flatten().tolist()

    def keep(self, logits: Tensor, w: Tensor | None = None) -> Tensor:
        """The first token in marked rows, every token in the others."""
        return keep_first(logits) | ~self.fitted(self.rows, logits)

    def keep_leading(self, leading: Leading) -> tuple[Tensor, Tensor | None]:
        """The same among the leading tokens; only their order matters."""
        return self.keep(leading.logits), None

    def neutral(self, logits: Tensor, width: int) -> Tensor:
        """The rows that are not marked."""
        return ~self.fitted(self.rows, logits)
