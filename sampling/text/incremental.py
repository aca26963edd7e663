"""Token bytes to text, piece by piece, with partial characters held back."""

from __future__ import annotations

import codecs


class TextDecoder:
    r"""Decodes bytes that arrive in pieces; the pieces of text joined equal the text of the bytes joined.

    A character whose bytes are not all there yet is held back. Bytes that are not UTF-8 become U+FFFD, as
    `bytes.decode("utf-8", errors="replace")` of the whole has it.

    Example:
        >>> from sampling.text.incremental import TextDecoder
        >>> decoder = TextDecoder()
        >>> [decoder.feed(piece) for piece in (b"caf\xc3", b"\xa9", None, b" \xf0\x9f")], decoder.flush()
        (['caf', 'é', '', ' '], '\ufffd')
    """

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def feed(self, piece: bytes | None) -> str:
        """Take the bytes of the next token; return the text that is now complete.

        Args:
            piece: The token's bytes, or None for a token without bytes, which adds no text.
        """
        return self._decoder.decode(piece or b"")

    def flush(self) -> str:
        """End the text: return U+FFFD for a character left incomplete, else nothing."""
        return self._decoder.decode(b"", final=True)


def prefix_bytes(data: bytes, characters: int) -> int:
    r"""Count the bytes of `data` behind the first `characters` characters of its text.

    The text is `data.decode("utf-8", errors="replace")`. Where bytes were replaced the count is not the UTF-8
    length of the text (U+FFFD has three bytes, what it stands for has one to three), so to find the tokens
    that reach into a text, compare their places in `data` with this count.

    Args:
        data: The bytes of all tokens, joined.
        characters: How many characters of the text, 0 to its length.

    Example:
        >>> from sampling.text.incremental import prefix_bytes
        >>> prefix_bytes("né!".encode(), 2), prefix_bytes(b"\xffa", 1)
        (3, 1)
    """
    taken = 0
    for _ in range(characters):
        taken += _width(data[taken : taken + 4])
    return taken


def _width(window: bytes) -> int:
    """Bytes of the first character (or of the first replaced part) in up to four bytes."""
    try:
        return len(window.decode()[0].encode())
    except UnicodeDecodeError as error:
        return _width(window[: error.start]) if error.start else error.end
