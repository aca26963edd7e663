"""Where the characters of a text end in its bytes."""

from __future__ import annotations


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
