"""What became of a row in a step: the codes of `SampleOutput.status`, and their words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sampling_kernels.validity import NOT_A_NUMBER

SAMPLED, FREE, FULL = 0, -1, -2
WORDS = {SAMPLED: "fine", FREE: "free slot", FULL: "full: the slot holds max_history tokens"}


@dataclass(frozen=True)
class RowStatus:
    """Why a row has no token: its slot is FREE or FULL, or its logits have a fault after the model or a stage.

    Args:
        code: SAMPLED, FREE, FULL, or what `encode` gives.
    """

    code: int

    @staticmethod
    def encode(place: int, fault: int) -> int:
        """Encode a fault, NOT_A_NUMBER or NOTHING_LEFT, after a place: 0 for the model, or a stage's number from 1."""
        return 2 * place + fault

    def describe(self, places: Sequence[str]) -> str:
        """Put it into words, given the names of the places."""
        if self.code in WORDS:
            return WORDS[self.code]
        place, fault = divmod(self.code - 1, 2)
        what = "NaN or +infinity in the logits" if fault + 1 == NOT_A_NUMBER else "nothing left to sample"
        return f"{what} after {places[place]}"
