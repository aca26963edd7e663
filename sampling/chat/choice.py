"""One choice of a completion: tokens in, text and log probability entries out."""

from __future__ import annotations

from collections.abc import Sequence

from sampling.decode import SampledToken
from sampling.text import StopStrings, TextDecoder, Vocabulary, prefix_bytes


class Choice:
    """The text of one choice as it grows.

    Args:
        vocabulary: What the tokens stand for.
        stop: Strings before which the text ends.
        max_tokens: Most tokens.
    """

    def __init__(self, vocabulary: Vocabulary, stop: Sequence[str], max_tokens: int) -> None:
        self._vocabulary = vocabulary
        self._decoder = TextDecoder()
        self._stop = StopStrings(stop)
        self._max_tokens = max_tokens
        self._pieces: list[str] = []
        self.tokens: list[SampledToken] = []
        self.finish_reason: str | None = None

    @property
    def content(self) -> str:
        """The text so far."""
        return "".join(self._pieces)

    @property
    def stop_reason(self) -> str | None:
        """The stop string that ended the choice."""
        return self._stop.matched

    def accept(self, token: SampledToken) -> str:
        """Take the next token; return the text that is now certain to be content."""
        self.tokens.append(token)
        ended = token.token_id in self._vocabulary.end_ids
        text = "" if ended else self._stop.feed(self._decoder.feed(self._vocabulary.bytes_of(token.token_id)))
        if not ended and self._stop.matched is None and len(self.tokens) < self._max_tokens:
            return self._added(text)
        if self._stop.matched is None:
            text += self._stop.feed(self._decoder.flush()) + self._stop.flush()
        self.finish_reason = "stop" if ended or self._stop.matched is not None else "length"
        return self._added(text)

    def content_tokens(self) -> list[SampledToken]:
        """The tokens of which at least one byte is in the content."""
        raw = [self._vocabulary.bytes_of(token.token_id) or b"" for token in self.tokens]
        length = prefix_bytes(b"".join(raw), self._stop.characters)
        inside: list[SampledToken] = []
        start = 0
        for token, its_bytes in zip(self.tokens, raw, strict=True):
            if its_bytes and start < length:
                inside.append(token)
            start += len(its_bytes)
        return inside

    def _added(self, text: str) -> str:
        self._pieces.append(text)
        return text
