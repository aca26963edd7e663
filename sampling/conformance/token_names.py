"""Which token id an entry of a report stands for: learnt by asking, never assumed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from sampling.conformance.answers import Entry, Key, Listed, entries_of
from sampling.conformance.endings import CouldNotRun
from sampling.conformance.sampling_case import SamplingCase

if TYPE_CHECKING:
    from sampling.conformance.check_context import CheckContext

SURE = 200.0  # a logit so far above the others that nothing else is drawn


class TokenNames:
    """The token ids by what reports call them: their keys."""

    def __init__(self, keys: Sequence[Key]) -> None:
        self.keys = tuple(keys)
        self._ids = {key: token for token, key in enumerate(keys) if self.keys.count(key) == 1}

    @staticmethod
    def learnt(context: CheckContext, width: int) -> TokenNames:
        """Ask for every id below a width once, and see what it is called.

        Raises:
            NotTestable: The target does not report.
        """
        keys: list[Key] = []
        for token in range(width):
            logits = np.zeros(width, dtype=np.float32)
            logits[token] = SURE
            keys.append(only(context.report(SamplingCase(logits, {"logprobs": True, "max_tokens": 1}))).key)
        return TokenNames(keys)

    def id_of(self, listed: Listed) -> int:
        """Return the id that an entry stands for.

        Raises:
            CouldNotRun: No id has that name, or several.
        """
        if listed.key not in self._ids:
            raise CouldNotRun(f"not one token alone is called {listed.token!r} with bytes {listed.raw}")
        return self._ids[listed.key]

    def sampled(self, choice: Mapping[str, Any]) -> list[int]:
        """Return the ids that a choice sampled."""
        return [self.id_of(entry) for entry in entries_of(choice)]


def only(choice: Mapping[str, Any]) -> Entry:
    """Return the entry of a choice of one token.

    Raises:
        CouldNotRun: There are more, or none.
    """
    entries = entries_of(choice)
    if len(entries) != 1:
        raise CouldNotRun(f"max_tokens 1 gives {len(entries)} entries in logprobs.content")
    return entries[0]
