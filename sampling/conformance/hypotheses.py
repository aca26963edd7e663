"""The readings of truncations that checks of endpoints and of traces tell apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from sampling.conformance.contest import IGNORED
from sampling.conformance.semantics import Semantics
from sampling.dialects import TRUNCATIONS, Stage, parts

Readings = Mapping[str, Semantics]

KEPT = {"the crossing token kept": 0, "the crossing token dropped": -1, "one token more kept": 1}


def by_count(own: Semantics) -> Readings:
    """How many tokens top_p may keep.

    Args:
        own: The dialect's reading.
    """
    return {name: replace(own, crossing_tokens=more) for name, more in KEPT.items()}


def by_size(own: Semantics) -> tuple[Readings, Readings]:
    """How many tokens top_k may keep.

    Args:
        own: The dialect's reading.

    Returns:
        That reading, and the others.
    """
    wrong = {
        IGNORED: replace(own, ignores=frozenset({"top_k"})),
        "k - 1 kept": replace(own, top_k_offset=-1),
        "k + 1 kept": replace(own, top_k_offset=1),
    }
    return {"k kept": own}, wrong


def by_joint(own: Semantics) -> tuple[Readings, Readings]:
    """Return what top_p may look at when there is a top_k, too.

    Args:
        own: The dialect's reading; it has both.

    Returns:
        That reading, also without the crossing token, which is another check's; and the others.

    Example:
        >>> from sampling.dialects import dialect
        >>> [*by_joint(Semantics.of(dialect("sglang")))[0]]
        ['one distribution', 'one distribution, the crossing token dropped']
    """
    plain = tuple(entry for entry in own.order if not set(parts(entry)) & set(TRUNCATIONS))
    readings = {
        "one distribution": replace(own, order=(*plain, ("top_k", "top_p"))),
        "top_k first, top_p on what it left": replace(own, order=(*plain, "top_k", "top_p")),
    }
    together = any({"top_k", "top_p"} <= set(parts(entry)) for entry in own.order)
    later = not together and place(own.order, "top_k") < place(own.order, "top_p")
    mine = [*readings][1 if later else 0]
    wrong = {name: reading for name, reading in readings.items() if name != mine}
    wrong["top_k ignored"] = replace(own, ignores=frozenset({"top_k"}))
    wrong["top_p ignored"] = replace(own, ignores=frozenset({"top_p"}))
    dropped = replace(readings[mine], crossing_tokens=-1)
    return {mine: readings[mine], f"{mine}, the crossing token dropped": dropped}, wrong


def place(order: Sequence[Stage], stage: str) -> int:
    """Where a stage comes in an order that has it; stages of a joint entry come together."""
    return next(index for index, entry in enumerate(order) if stage in parts(entry))
