"""The errors a caller can expect, each with one clear message."""

from __future__ import annotations


class SamplingError(Exception):
    """Base of every error this library raises on purpose."""


class InvalidRequest(SamplingError, ValueError):
    """A field of a request, or a parameter, has a value that is not allowed.

    Args:
        param: Name of the field, as a caller wrote it.
        value: The value that was given.
        allowed: What would have been allowed, in words that follow "must be".

    Example:
        >>> from sampling.errors import InvalidRequest
        >>> print(InvalidRequest("temperature", 2.1, "a number from 0 to 2"))
        temperature: got 2.1, must be a number from 0 to 2
    """

    def __init__(self, param: str, value: object, allowed: str) -> None:
        self.param = param.encode(errors="backslashreplace").decode()  # a lone surrogate can not be sent
        super().__init__(f"{self.param}: got {shown(value)}, must be {allowed}")
        self.value = value
        self.allowed = allowed

    def __reduce__(self) -> tuple[object, ...]:
        """What crosses the border of a process: a value that may not be able to is put into words."""
        plain = self.value is None or isinstance(self.value, str | int | float)
        value = self.value if plain else shown(self.value)
        return restored, (type(self), str(self), self.param, value, self.allowed)


def restored(
    kind: type[InvalidRequest], message: str, param: str, value: object, allowed: str
) -> InvalidRequest:
    """The error that another process has sent."""
    error = kind.__new__(kind, message)
    error.param, error.value, error.allowed = param, value, allowed
    return error


def shown(value: object) -> str:
    """A value in at most 80 characters, whatever it is."""
    try:
        text = repr(value)
    except (RecursionError, ValueError):  # nested too deeply, or an integer of thousands of digits
        return f"{type(value).__name__} too large to show"
    return text if len(text) <= 80 else text[:77] + "..."


def printable(text: str) -> str:
    r"""What somebody else said, on one line that does nothing to a terminal and can be encoded: the rest as escapes.

    Example:
        >>> from sampling.errors import printable
        >>> print(printable("an engine\x1b[2J\n"))
        an engine\x1b[2J\n
    """
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


class CheckpointError(SamplingError, ValueError):
    """A model directory can not be used; the message names the file and what is wrong with it."""


class RowError(SamplingError):
    """One row of a batch can not be sampled; the message names the row and the stage."""
