"""Which dialects a target is consistent with, as a result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Exclusion:
    """Why a target does not have a dialect.

    Args:
        e_value: The evidence against it; infinite for a proof.
        draws: After how many draws it was excluded.
        reason: What gave it away, in words.
    """

    e_value: float
    draws: int
    reason: str


@dataclass(frozen=True)
class Identification:
    """Which dialects a target is consistent with.

    Args:
        winners: Dialects that nothing speaks against, and whose parameters the target takes.
        excluded: The dialects that are out, with the evidence.
        indistinguishable: Dialects that no answer excludes, and what would tell them from the winners.
        draws: How many tokens were drawn.
        refused: Parameters that the target refused.
        but_for_ties: The excluded dialects that only equal logits tell from the target: which of them are kept.
    """

    winners: tuple[str, ...]
    excluded: Mapping[str, Exclusion]
    indistinguishable: Mapping[str, str]
    draws: int
    refused: tuple[str, ...] = ()
    but_for_ties: tuple[str, ...] = ()

    @property
    def headline(self) -> str:
        """One sentence."""
        found = " or ".join(self.winners)
        words = [f"consistent with {found}" if found else "consistent with no dialect"]
        if self.but_for_ties:
            words.append(f"but for equal logits, consistent with {' or '.join(self.but_for_ties)}")
        words += [
            f"{name} excluded, {out.reason}"
            for name, out in sorted(self.excluded.items(), key=lambda x: x[1].draws)
        ]
        return "; ".join(words)
