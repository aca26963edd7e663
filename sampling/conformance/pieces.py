"""A vocabulary for logits of any width, so that a sampler without a model can answer in text."""

from __future__ import annotations

from sampling.text import Vocabulary

# Sixteen tokens with everything that text can trip over: a letter in two halves, white space, the signs of JSON.
PIECES = (
    b"a",
    b"b",
    b" c",
    b"\xc4",
    b"\x9f",
    b"{",
    b"}",
    b'"',
    b":",
    b"1",
    b",",
    b'{"',
    b"d",
    b"e",
    b"\n",
    b"fg",
)


class Pieces(Vocabulary):
    """What the ids 0 .. V-1 stand for: `PIECES`, then `<16>`, `<17>` and so on. No token ends a message.

    Args:
        width: V.

    Example:
        >>> Pieces(18).bytes_of(17), Pieces(18).text_of(3)
        (b'<17>', '\ufffd')
    """

    def __init__(self, width: int) -> None:
        self.pieces = (*PIECES[:width], *(f"<{token}>".encode() for token in range(len(PIECES), width)))
        self.end_ids = frozenset()

    def __len__(self) -> int:
        """V."""
        return len(self.pieces)

    def bytes_of(self, token_id: int) -> bytes | None:
        """Return the token's bytes; None for ids past the last."""
        return self.pieces[token_id] if token_id < len(self.pieces) else None

    def text_of(self, token_id: int) -> str:
        """Return the token decoded by itself: U+FFFD where its bytes are no UTF-8."""
        return (self.bytes_of(token_id) or b"").decode("utf-8", errors="replace")
