"""How long a prompt may be."""

from __future__ import annotations

from dataclasses import dataclass

from sampling.core.errors import InvalidRequest
from sampling.text.floor import TokenFloor

SHORT = 2**14  # characters, tokenised in some milliseconds


@dataclass(frozen=True)
class PromptLimit:
    """Refuses prompts that leave no room for an answer.

    Args:
        floor: Bounds its tokens from below.
        context: Most tokens of a prompt and its answer.
        name: The field that has the prompt.
        least: For how many tokens of an answer there must be room.
    """

    floor: TokenFloor
    context: int
    name: str = "messages"
    least: int = 1

    def check_text(self, text: str) -> None:
        """Refuse a long text that cannot fit, before it is tokenised; of a short one the exact number is soon known.

        Raises:
            InvalidRequest: It has more tokens than fit, however it is tokenised.
        """
        fewest = self.floor.of(text) if len(text) > SHORT else 0
        if fewest + self.least > self.context:
            raise self._too_long(f"a prompt of at least {fewest} tokens")

    def room(self, tokens: int) -> int:
        """Return how many tokens an answer may have.

        Raises:
            InvalidRequest: None.
        """
        if tokens + self.least > self.context:
            raise self._too_long(f"a prompt of {tokens} tokens")
        return self.context - tokens

    def _too_long(self, what: str) -> InvalidRequest:
        more = " must leave room for at least one more" if self.least else " must hold it"
        return InvalidRequest(self.name, what, f"shorter: the context of {self.context} tokens{more}")
