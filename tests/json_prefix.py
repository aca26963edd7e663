"""An independent reading of RFC 8259, its white space and its numbers bounded: is a text JSON, or the beginning of it?"""

from __future__ import annotations

import codecs
import itertools

MOST_DIGITS, MOST_EXPONENT_DIGITS = 20, 3


class CutError(Exception):
    """The text ends before the object does."""


class WrongError(Exception):
    """No object goes on like this."""


class Reader:
    """Reads one JSON text, character by character."""

    def __init__(self, text: str) -> None:
        self.text, self.place, self.depth = text, 0, 0

    def peek(self) -> str:
        if self.place == len(self.text):
            raise CutError
        return self.text[self.place]

    def take(self, allowed: str) -> str:
        character = self.peek()
        if character not in allowed:
            raise WrongError(f"{character!r} at {self.place}")
        self.place += 1
        return character

    def word(self, word: str) -> None:
        for character in word:
            self.take(character)

    def skip(self, allowed: str, most: int) -> int:
        begin = self.place
        while self.place - begin < most and self.peek() in allowed:
            self.place += 1
        return self.place - begin

    def gap(self) -> None:
        """A space; or a line feed, and eight spaces or a tab for each level, but 256 of them from the eighth on."""
        if self.skip(" ", 1):
            return
        if self.skip("\r", 1) or self.peek() == "\n":
            self.take("\n")
            spaces = self.skip(" ", 8 * self.depth if self.depth < 8 else 256)
            if not spaces:
                self.skip("\t", self.depth if self.depth < 8 else 256)

    def object(self) -> None:
        self.take("{")
        self.depth += 1
        self.gap()
        if self.peek() != "}":
            self.member()
        while self.take(",}") == ",":
            self.gap()
            self.member()
        self.depth -= 1

    def member(self) -> None:
        self.string()
        self.skip(" ", 1)
        self.take(":")
        self.skip(" ", 1)
        self.value()
        self.gap()

    def array(self) -> None:
        self.take("[")
        self.depth += 1
        self.gap()
        if self.peek() != "]":
            self.value()
            self.gap()
        while self.take(",]") == ",":
            self.gap()
            self.value()
            self.gap()
        self.depth -= 1

    def value(self) -> None:
        first = self.peek()
        words = {"t": "true", "f": "false", "n": "null"}
        if first in words:
            self.word(words[first])
        elif first == '"':
            self.string()
        elif first == "{":
            self.object()
        elif first == "[":
            self.array()
        else:
            self.number()

    def string(self) -> None:
        self.take('"')
        while (character := self.peek()) != '"':
            if character < " ":
                raise WrongError("control character")
            self.place += 1
            if character == "\\" and self.take('"\\/bfnrtu') == "u":
                self.escaped()
        self.place += 1

    def escaped(self) -> None:
        """The digits of a character; a high surrogate is followed by a low one, and none comes alone."""
        hexadecimal = "0123456789abcdefABCDEF"
        surrogate = self.take(hexadecimal) in "dD"
        high = surrogate and self.peek() in "89abAB"
        self.take("0123456789abAB" if surrogate else hexadecimal)
        self.take(hexadecimal)
        self.take(hexadecimal)
        if high:
            self.word("\\u")
            self.take("dD")
            self.take("cdefCDEF")
            self.take(hexadecimal)
            self.take(hexadecimal)

    def number(self) -> None:
        if self.peek() == "-":
            self.place += 1
        if self.take("0123456789") != "0":
            self.skip("0123456789", MOST_DIGITS - 1)
        if self.peek() == ".":
            self.place += 1
            self.take("0123456789")
            self.skip("0123456789", MOST_DIGITS - 1)
        if self.peek() in "eE":
            self.place += 1
            self.skip("+-", 1)
            self.take("0123456789")
            self.skip("0123456789", MOST_EXPONENT_DIGITS - 1)


def verdict(data: bytes, *, value: bool = False) -> str:
    """What the bytes are: a "whole" JSON object, or any value if that is asked for, a "beginning" of one, or "neither"."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        text = decoder.decode(data)
        text += ended(decoder.getstate()[0])
    except (UnicodeDecodeError, WrongError):
        return "neither"
    if not decoder.getstate()[0] and is_whole(text, value):
        return "whole"
    try:
        reader = Reader(text)
        (reader.value if value else reader.object)()
    except CutError:
        return "beginning"
    except WrongError:
        pass
    return "neither"


def is_whole(text: str, value: bool) -> bool:
    """Whether an object, or a value, ends where the text does."""
    reader = Reader(text + "\0")  # a number does not say itself where it ends
    try:
        (reader.value if value else reader.object)()
    except (CutError, WrongError):
        return False
    return reader.place == len(text)


def ended(beginning: bytes) -> str:
    """Some character that begins with these bytes; nothing for none."""
    if not beginning:
        return ""
    for count in (1, 2, 3):
        for rest in itertools.product(b"\x80\xbf", repeat=count):
            try:
                return (beginning + bytes(rest)).decode()
            except UnicodeDecodeError:
                continue
    raise WrongError(f"no character begins with {beginning!r}")
