"""One choice of a completion: tokens in, text and the tokens behind it out."""

from __future__ import annotations

from codecs import getincrementaldecoder
from collections import deque
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sampling.generate.sampled_token import SampledToken
from sampling.text import StopStrings, Vocabulary, prefix_bytes


@dataclass(frozen=True)
class TextDelta:
    """What became certain to be content.

    Args:
        text: Text, often that of the last token, sometimes none.
        tokens: The tokens of which the text holds the first byte that is content, and those without bytes among them.
    """

    text: str
    tokens: tuple[SampledToken, ...]


@dataclass(frozen=True, kw_only=True)
class StopRules:
    """What ends a choice.

    Args:
        max_tokens: Most tokens.
        stop: Strings before which the text ends.
        end_ids: Tokens that end it.
        stop_token_ids: Tokens that end it and are told as its `stop_reason`.
        stop_after: How many tokens come first in which no stop string is looked for.
    """

    max_tokens: int
    stop: Sequence[str] = ()
    end_ids: Collection[int] = ()
    stop_token_ids: Collection[int] = ()
    stop_after: int = 0


class Choice:
    """The text of one choice as it grows.

    Args:
        vocabulary: What the tokens stand for.
        stop_rules: What ends it.
        count_all: Whether tokens without text, such as an end token that is ignored, are among the content's.

    Attributes:
        tokens: All that were sampled.
        texts: The text that became whole with each of them, before stop strings; joined, the content is a beginning of it.
        content_tokens: Those of which at least one byte is in the content.
        end_token: The token that ended the choice, if one did.
        finish_reason: "stop" or "length" once the choice has ended.
    """

    def __init__(self, vocabulary: Vocabulary, stop_rules: StopRules, *, count_all: bool = False) -> None:
        self._vocabulary, self._stop_rules, self._count_all = vocabulary, stop_rules, count_all
        self._decoder = getincrementaldecoder("utf-8")("replace")  # holds partial characters back
        self._stop = StopStrings(stop_rules.stop)
        self._pieces: list[str] = []
        self._pending = b""  # of tokens whose text is not content yet
        self._passed = 0  # bytes that are content
        # where the bytes of a token begin, how many there are, and the token
        self._waiting: deque[tuple[int, int, SampledToken]] = deque()
        self.tokens: list[SampledToken] = []
        self.texts: list[str] = []
        self.content_tokens: list[SampledToken] = []
        self.end_token: SampledToken | None = None
        self.finish_reason: str | None = None if stop_rules.max_tokens else "length"

    @property
    def content(self) -> str:
        """The text so far."""
        return "".join(self._pieces)

    @property
    def stop_reason(self) -> str | int | None:
        """The stop string or the stop token that ended the choice; None for an end token."""
        last = None if self.end_token is None else self.end_token.token_id
        return (
            last
            if last in self._stop_rules.stop_token_ids and last not in self._stop_rules.end_ids
            else self._stop.matched
        )

    def accept(self, token: SampledToken) -> TextDelta:
        """Take the next token; return what is now certain to be content."""
        self.tokens.append(token)
        self.texts.append("")
        if token.token_id in self._stop_rules.end_ids or token.token_id in self._stop_rules.stop_token_ids:
            self.end_token = token
            return self._finished("")
        raw = self._vocabulary.bytes_of(token.token_id) or b""
        if raw or self._count_all:
            self._waiting.append((self._passed + len(self._pending), len(raw), token))
            self._pending += raw
        text = self._fed(raw)
        full = len(self.tokens) >= self._stop_rules.max_tokens
        return self._finished(text) if full or self._stop.matched is not None else self._delta(text)

    def _finished(self, text: str) -> TextDelta:
        """End the choice after this text and what was held back."""
        if self._stop.matched is None:
            text += self._fed(b"", final=True) + self._stop.flush()
        stopped = self.end_token is not None or self._stop.matched is not None
        self.finish_reason = "stop" if stopped else "length"
        return self._delta(text)

    def _fed(self, raw: bytes, *, final: bool = False) -> str:
        """Take bytes of the last token; return what is certain to be content."""
        text = self._decoder.decode(raw, final)
        self.texts[-1] += text
        return self._stop.feed(text, looking=len(self.tokens) > self._stop_rules.stop_after)

    def _delta(self, text: str) -> TextDelta:
        """Make text content, and find the tokens that it reaches."""
        self._pieces.append(text)
        width = prefix_bytes(self._pending, len(text))
        self._pending = self._pending[width:]
        self._passed += width
        reached: list[SampledToken] = []
        while self._waiting and self._passed > self._waiting[0][0] - (self._waiting[0][1] == 0):
            reached.append(self._waiting.popleft()[2])
        self.content_tokens += reached
        return TextDelta(text, tuple(reached))
