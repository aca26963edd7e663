"""Stop strings over a text that grows piece by piece."""

from __future__ import annotations

from collections.abc import Sequence

from sampling.core.errors import InvalidRequest


class StopStrings:
    r"""Ends a text at the first stop string that is completed in it.

    Read the text one character (code point) at a time. The first character after which the text so far ends
    with some stop string decides; when that character completes several, the first in the list wins. The
    content ends where the winner begins. How the text was cut into pieces makes no difference.

    Until then, the longest end of the text that is a proper beginning of some stop string is held back, since
    it may still become a match; so what was given out is never taken back.

    Args:
        stop: The stop strings, none empty; an empty list never matches.

    Attributes:
        matched: The stop string that ended the text, or None.
        characters: How many characters of content were given out: all of it after a match or `flush`.

    Raises:
        InvalidRequest: A stop string is empty, or `stop` is one bare string.

    Example:
        >>> from sampling.text.stop import StopStrings
        >>> stop = StopStrings(["END", "\n\n"])
        >>> [stop.feed(piece) for piece in ("one E", "N", "tity\n", "\ntwo", "more")]
        ['one ', '', 'ENtity', '', '']
        >>> stop.matched, stop.characters
        ('\n\n', 10)
    """

    def __init__(self, stop: Sequence[str]) -> None:
        if isinstance(stop, str) or "" in stop:
            raise InvalidRequest("stop", stop, "a list of strings that are not empty")
        self._scans = [_Scan(string) for string in stop]
        self._held = ""
        self.matched: str | None = None
        self.characters = 0

    def feed(self, piece: str, *, looking: bool = True) -> str:
        """Take the next piece of the text; return what is certain to be content. Nothing after a match.

        Args:
            piece: The text.
            looking: Whether a stop string that is completed in this piece ends the text.
        """
        if self.matched is not None:
            return ""
        start, self._held = len(self._held), self._held + piece
        for end, character in enumerate(piece, start + 1):
            complete = [scan.string for scan in self._scans if scan.completed_by(character)]
            if complete and looking:
                self.matched = complete[0]
                return self._end(end - len(self.matched))
        return self._give(len(self._held) - max((scan.begun for scan in self._scans), default=0))

    def flush(self) -> str:
        """End the text: return what was held back, which is content now. Nothing after a match."""
        return self._end(len(self._held))

    def _end(self, cut: int) -> str:
        content = self._give(cut)
        self._held = ""
        return content

    def _give(self, length: int) -> str:
        content, self._held = self._held[:length], self._held[length:]
        self.characters += len(content)
        return content


class _Scan:
    """One stop string and how much of its beginning the text ends with (Knuth, Morris and Pratt, 1977)."""

    def __init__(self, string: str) -> None:
        self.string = string
        self.seen = 0
        self._borders = [0, 0]
        for character in string[1:]:
            self._borders.append(self._longer(self._borders[-1], character))

    @property
    def begun(self) -> int:
        """How much of a proper beginning of the string the text ends with."""
        return self._borders[self.seen] if self.seen == len(self.string) else self.seen

    def completed_by(self, character: str) -> bool:
        """Read the next character of the text; tell whether the text now ends with the string."""
        self.seen = self._longer(self.begun, character)
        return self.seen == len(self.string)

    def _longer(self, seen: int, character: str) -> int:
        while seen and self.string[seen] != character:
            seen = self._borders[seen]
        return seen + (self.string[seen] == character)
