"""The errors a caller can expect, each with one clear message: one line, short whatever was sent."""

from __future__ import annotations

import math
from collections.abc import Collection, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import cast

LONGEST_MESSAGE = 500  # characters
LONGEST_PARAM = 100
LONGEST_VALUE = 80
LONGEST_ALLOWED = 300
BITS_SHOWN = 4096  # of an integer
BRACKETS: Mapping[type, str] = {list: "[]", tuple: "()"}


class SamplingError(Exception):
    """Base of every error this library raises on purpose.

    Args:
        message: What is wrong; put on one line that can be printed, and cut in the middle where it is too long.
    """

    def __init__(self, message: object = "") -> None:
        super().__init__(one_line(str(message)))


class InvalidArgument(SamplingError, ValueError):
    """An argument, or a tensor, has a value or a form that is not allowed.

    Args:
        param: Name of the argument, as a caller wrote it.
        value: The value that was given.
        allowed: What would have been allowed, in words that follow "must be".

    Attributes:
        param: The name as the message has it: escapes for what cannot be printed, cut in the middle past 100 characters.
        value: The value, whole.
        allowed: What would have been allowed, cut as well.

    Example:
        >>> from sampling.core.errors import InvalidArgument
        >>> print(InvalidArgument("top_p", 1.1, "a number from 0 to 1"))
        top_p: got 1.1, must be a number from 0 to 1
    """

    def __init__(self, param: str, value: object, allowed: str) -> None:
        self.param = one_line(param, LONGEST_PARAM)
        self.value = value
        self.allowed = shortened(allowed, LONGEST_ALLOWED)
        super().__init__(f"{self.param}: got {shown(value)}, must be {self.allowed}")

    def __reduce__(self) -> tuple[object, ...]:
        """Return what crosses the border of a process: a value that may not be able to is put into words."""
        plain = self.value is None or isinstance(self.value, str | int | float)
        value = self.value if plain else shown(self.value)
        return restored, (type(self), str(self), self.param, value, self.allowed)


class InvalidRequest(InvalidArgument):
    """A field of a request has a value that is not allowed; arguments and attributes as above.

    Example:
        >>> from sampling.core.errors import InvalidRequest
        >>> print(InvalidRequest("temperature", 2.1, "a number from 0 to 2"))
        temperature: got 2.1, must be a number from 0 to 2
    """


@contextmanager
def reading_request() -> Generator[None]:
    """Raise what is refused inside as `InvalidRequest`: the checks of arguments read the fields of requests, too."""
    try:
        yield
    except InvalidRequest:
        raise
    except InvalidArgument as error:
        raise InvalidRequest(error.param, error.value, error.allowed) from None


def restored(
    kind: type[InvalidArgument], message: str, param: str, value: object, allowed: str
) -> InvalidArgument:
    """Return the error that another process has sent."""
    error = kind.__new__(kind, message)
    error.param, error.value, error.allowed = param, value, allowed
    return error


def shortened(text: str, most: int) -> str:
    """Return a text in at most so many characters: its beginning and its end.

    Example:
        >>> from sampling.core.errors import shortened
        >>> shortened("response_format.schema.properties.name", 21)
        'response_...ties.name'
    """
    if len(text) <= most:
        return text
    end = (most - 3) // 2
    return f"{text[: most - 3 - end]}...{text[len(text) - end :]}"


def one_line(text: str, most: int = LONGEST_MESSAGE) -> str:
    """Return a text of anybody's as one line of at most so many characters that can be printed."""
    return shortened(printable(shortened(text, most)), most)


def listed(names: Collection[object], most: int = 120) -> str:
    """Names with commas between; of a long list the first ones, and how many there are.

    Example:
        >>> from sampling.core.errors import listed
        >>> listed(["one", "two"])
        'one, two'
        >>> listed(range(1000), most=20)
        '0, 1, 2, 3, 4, ... (1000 in all)'
    """
    kept: list[str] = []
    room = most
    for name in names:
        word = shortened(str(name), LONGEST_VALUE)
        room -= len(word) + 2
        if room < 0 and kept:
            return f"{', '.join(kept)}, ... ({len(names)} in all)"
        kept.append(word)
    return ", ".join(kept)


def shown(value: object) -> str:
    """Return the beginning of a value's `repr`, at most 80 characters, at no cost that grows with the value of a JSON text.

    Example:
        >>> from sampling.core.errors import shown
        >>> shown({"a": [1, "two"]})
        "{'a': [1, 'two']}"
        >>> shown("x" * 1000000)
        "'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx..."
    """
    text = ""
    for piece in pieces(value):
        text += piece
        if len(text) > LONGEST_VALUE:
            return text[: LONGEST_VALUE - 3] + "..."
    return text


def pieces(value: object) -> Iterator[str]:
    """Yield a value's `repr` bit by bit, so that who has enough can stop; of a long string or number only the beginning."""
    if type(value) is dict:
        yield "{"
        for index, (key, item) in enumerate(cast("dict[object, object]", value).items()):
            yield ", " if index else ""
            yield from pieces(key)
            yield ": "
            yield from pieces(item)
        yield "}"
    elif type(value) in BRACKETS:
        opening, closing = BRACKETS[type(value)]
        yield opening
        for index, item in enumerate(cast("Sequence[object]", value)):
            yield ", " if index else ""
            yield from pieces(item)
        yield "," + closing if type(value) is tuple and len(value) == 1 else closing
    elif type(value) in (str, bytes):
        yield repr(cast("str | bytes", value)[: LONGEST_VALUE + 1])
    elif isinstance(value, int) and value.bit_length() > BITS_SHOWN:
        # Python refuses to write thousands of digits
        yield f"an integer of about {round(value.bit_length() * math.log10(2))} digits"
    else:
        yield whole_repr(value)


def whole_repr(value: object) -> str:
    """Return a value's `repr`, or what kind of value it is where it has none."""
    try:
        return repr(value)
    except Exception:  # a value's own failure must not hide what is said about it
        return f"{type(value).__name__} that cannot be shown"


def printable(text: str) -> str:
    r"""Return what somebody else said, on one line that does nothing to a terminal and can be encoded: the rest as escapes.

    Example:
        >>> from sampling.core.errors import printable
        >>> print(printable("an engine\x1b[2J\n"))
        an engine\x1b[2J\n
    """
    return text if text.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


class CheckpointError(SamplingError, ValueError):
    """A model directory cannot be used; the message names the file and what is wrong with it."""


class Overloaded(SamplingError):
    """Something could not be begun in time: as many are at work as may be. Later it may go."""


class RowError(SamplingError):
    """One row of a batch cannot go on; the others do. What kind of trouble it is, its subclass says."""


class UnsampleableRow(RowError):
    """No token can be drawn from a row: NaN, +infinity, or nothing left; the message names the stage that did it."""


class CacheFull(RowError):
    """A row's tokens do not fit its key/value cache or history; the message names the capacity."""


class NotEnoughMemory(RowError):
    """Memory ends: keys and values of more tokens do not fit; the message names `max_tokens`."""

    param = "max_tokens"

    def __init__(self, reason: str) -> None:
        words = "must be smaller, or the prompt shorter, or n smaller"
        super().__init__(f"{self.param}: memory ends ({reason}); {words}")
        self.reason = reason

    def __reduce__(self) -> tuple[object, ...]:
        """Return what crosses the border of a process."""
        return type(self), (self.reason,)
