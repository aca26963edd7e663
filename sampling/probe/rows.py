"""The logits that a probe's states say, and which tokens have them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import sha256

import numpy as np
from numpy.typing import NDArray

from sampling.core.errors import InvalidArgument

Logits = NDArray[np.float32]
Ids = NDArray[np.int64]

BELOW = 30.0  # by how much all other tokens are below a row's highest: never sampled, and no extreme number
FAR_BELOW = 64.0  # adds nothing to a sum in float64, either; where most tokens are so low, no engine minds
LIKELY = math.log(100)  # a token is likely down to a hundredth of the likeliest one's probability
SHARE = 8  # a row of at most an eighth of the tokens has all of its tokens to itself
MOST = 64  # tokens that a wider row has to itself
LEAST = 16


@dataclass(frozen=True)
class Row:
    """Logits that a state says.

    Args:
        name: What errors call it.
        logits: float32 [w]; -inf for tokens that are never sampled.
        behind: The name of the row whose tokens it is about, which so comes next; its own when left out, so that one answer
            is many draws.
        key: What tells it from others, where that is not its own logits: they may be rounded ones.
        below: By how much all other tokens are below its highest.
    """

    name: str
    logits: Logits
    behind: str = ""
    key: str = ""
    below: float = BELOW

    def trimmed(self) -> Row:
        """Return the row without the tokens behind its last possible one."""
        possible = np.flatnonzero(self.logits > -np.inf)
        if not len(possible):
            raise InvalidArgument(
                f"rows, {self.name!r}", "no possible token", "logits, one above -inf at least"
            )
        return replace(self, logits=self.logits[: possible[-1] + 1])


@dataclass(frozen=True, eq=False)
class Placed:
    """A row on a vocabulary.

    Args:
        row: The row.
        tokens: The ids that are its own, ascending: those of all its tokens, or of a wide row's likely ones, int64 [k].
        logits: What the state says, float32 [V].
    """

    row: Row
    tokens: Ids
    logits: Logits

    @property
    def whole(self) -> bool:
        """Whether all tokens of the row are its own."""
        return len(self.tokens) == len(self.row.logits)


def key_of(logits: Logits) -> str:
    """Return what tells logits from others."""
    return sha256(logits.astype("<f4").tobytes()).hexdigest()[:16]


def placed(rows: Sequence[Row], ids: Sequence[int], vocab: int) -> list[Placed]:
    """Give each row tokens of its own, and place its logits.

    Args:
        rows: The rows.
        ids: The tokens that texts can hold, ascending.
        vocab: V.

    Raises:
        InvalidArgument: There are too few tokens for all rows, or for one of them.
    """
    usable, begin = np.array(ids, dtype=np.int64), 0
    own: list[Ids] = []
    for row in rows:
        if len(row.logits) > len(usable):
            words = f"wide enough for {row.name!r}, which has {len(row.logits)} logits, where {len(usable)} tokens can be used"
            raise InvalidArgument("vocab", vocab, words)
        count = len(heads(row, len(usable)))
        own.append(usable[begin : begin + count])
        begin += count
    if begin > len(usable):
        words = f"larger: the rows want {begin} tokens of their own, and {len(usable)} can be used"
        raise InvalidArgument("vocab", vocab, words)
    return [on_vocabulary(row, tokens, usable, vocab) for row, tokens in zip(rows, own, strict=True)]


def heads(row: Row, usable: int) -> Ids:
    """Return the places in a row of the tokens that are its own, ascending."""
    if len(row.logits) <= max(usable // SHARE, LEAST):
        return np.arange(len(row.logits))
    by_rank = np.argsort(-row.logits, kind="stable")
    likely = int((row.logits >= row.logits.max() - LIKELY).sum())
    return np.sort(by_rank[: min(likely, MOST, usable // (SHARE * 8))])


def on_vocabulary(row: Row, tokens: Ids, usable: Ids, vocab: int) -> Placed:
    """Place a row: its own tokens on theirs, all others in their order on the others that can be used."""
    least = np.floor(row.logits.max()) - row.below
    logits = np.full(vocab, least, dtype=np.float32)
    first = heads(row, len(usable))
    others = np.setdiff1d(np.arange(len(row.logits)), first)
    logits[tokens] = row.logits[first]
    logits[np.setdiff1d(usable, tokens)[: len(others)]] = row.logits[others]
    logits[logits == -np.inf] = least
    return Placed(row, tokens, logits)
