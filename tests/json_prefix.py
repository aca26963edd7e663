"""An independent reading of RFC 8259 with bounded white space: is a text a JSON object, or the beginning of one?"""

from __future__ import annotations

import codecs
import itertools

LONGEST_WHITE_SPACE = 32


class CutError(Exception):
    """The text ends before the object does."""


class WrongError(Exception):
    """No object goes on like this."""


class Reader:
    """Reads one JSON object, character by character."""

    def __init__(self, text: str) -> None:
        self.text, self.place = text, 0

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

    def space(self) -> None:
        begin = self.place
        while self.peek() in " \t\n\r":
            self.place += 1
            if self.place - begin > LONGEST_WHITE_SPACE:
                raise WrongError("white space")

    def object(self) -> None:
        self.take("{")
        self.space()
        if self.peek() != "}":
            self.member()
        while self.take(",}") == ",":
            self.space()
            self.member()

    def member(self) -> None:
        self.string()
        self.space()
        self.take(":")
        self.space()
        self.value()
        self.space()

    def array(self) -> None:
        self.take("[")
        self.space()
        if self.peek() != "]":
            self.value()
            self.space()
        while self.take(",]") == ",":
            self.space()
            self.value()
            self.space()

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
                for _ in range(4):
                    self.take("0123456789abcdefABCDEF")
        self.place += 1

    def number(self) -> None:
        if self.peek() == "-":
            self.place += 1
        if self.take("0123456789") != "0":
            self.digits()
        if self.peek() == ".":
            self.place += 1
            self.take("0123456789")
            self.digits()
        if self.peek() in "eE":
            self.place += 1
            if self.peek() in "+-":
                self.place += 1
            self.take("0123456789")
            self.digits()

    def digits(self) -> None:
        while self.peek() in "0123456789":
            self.place += 1


def verdict(data: bytes) -> str:
    """What the bytes are: a "whole" JSON object, a "beginning" of one, or "neither"."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        text = decoder.decode(data)
        reader = Reader(text + ended(decoder.getstate()[0]))
        reader.object()
    except (UnicodeDecodeError, WrongError):
        return "neither"
    except CutError:
        return "beginning"
    return "whole" if reader.place == len(reader.text) else "neither"


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
