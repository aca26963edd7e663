"""One choice of a completion: tokens in, text and the tokens behind it out."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from sampling.decode import SampledToken
from sampling.text import StopStrings, TextDecoder, Vocabulary, prefix_bytes


@dataclass(frozen=True)
class Piece:
    """What became certain to be content.

    Args:
        text: Text, often that of the last token, sometimes none.
        tokens: The tokens of which the text holds the first byte that is content.
    """

    text: str
    tokens: tuple[SampledToken, ...]


class Choice:
    """The text of one choice as it grows.

    Args:
        vocabulary: What the tokens stand for.
        stop: Strings before which the text ends.
        max_tokens: Most tokens.

    Attributes:
        tokens: All that were sampled.
        content_tokens: Those of which at least one byte is in the content.
        end_token: The token that ended the choice, if one did.
        finish_reason: "stop" or "length" once the choice has ended.
    """

    def __init__(self, vocabulary: Vocabulary, stop: Sequence[str], max_tokens: int) -> None:
        self._vocabulary = vocabulary
        self._decoder = TextDecoder()
        self._stop = StopStrings(stop)
        self._max_tokens = max_tokens
        self._pieces: list[str] = []
        self._pending = b""  # of tokens whose text is not content yet
        self._passed = 0  # bytes that are content
        self._waiting: deque[tuple[int, SampledToken]] = deque()  # tokens and where their bytes begin
        self.tokens: list[SampledToken] = []
        self.content_tokens: list[SampledToken] = []
        self.end_token: SampledToken | None = None
        self.finish_reason: str | None = None

    @property
    def content(self) -> str:
        """The text so far."""
        return "".join(self._pieces)

    @property
    def stop_reason(self) -> str | None:
        """The stop string that ended the choice."""
        return self._stop.matched

    def accept(self, token: SampledToken) -> Piece:
        """Take the next token; return what is now certain to be content."""
        self.tokens.append(token)
        if token.token_id in self._vocabulary.end_ids:
            self.end_token = token
            return self._finished("")
        raw = self._vocabulary.bytes_of(token.token_id) or b""
        if raw:
            self._waiting.append((self._passed + len(self._pending), token))
            self._pending += raw
        text = self._stop.feed(self._decoder.feed(raw))
        full = len(self.tokens) >= self._max_tokens
        return self._finished(text) if full or self._stop.matched is not None else self._piece(text)

    def _finished(self, text: str) -> Piece:
        """End the choice after this text and what was held back."""
        if self._stop.matched is None:
            text += self._stop.feed(self._decoder.flush()) + self._stop.flush()
        stopped = self.end_token is not None or self._stop.matched is not None
        self.finish_reason = "stop" if stopped else "length"
        return self._piece(text)

    def _piece(self, text: str) -> Piece:
        """Make text content, and find the tokens that it reaches."""
        self._pieces.append(text)
        width = prefix_bytes(self._pending, len(text))
        self._pending = self._pending[width:]
        self._passed += width
        reached: list[SampledToken] = []
        while self._waiting and self._waiting[0][0] < self._passed:
            reached.append(self._waiting.popleft()[1])
        self.content_tokens += reached
        return Piece(text, tuple(reached))
