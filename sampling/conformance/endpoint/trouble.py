"""What keeps a check of an endpoint from an answer; none of it is a pass."""

from __future__ import annotations

from sampling.conformance import endings


class Unanswered(endings.CouldNotRun):
    """No answer after all retries: silence, a broken connection, or an error of the server's own."""


class Malformed(endings.CouldNotRun):
    """An answer that is not what the API says."""


class Spent(endings.CouldNotRun):
    """The budget of requests is used up."""


class Missing(endings.Refused):
    """A well-formed answer without what was asked for."""


class Refused(endings.Refused):
    """The endpoint refuses a request as wrong.

    Args:
        status: Of HTTP, 400 to 499.
        words: What the endpoint says.
    """

    def __init__(self, status: int, words: str) -> None:
        super().__init__(f"refused with HTTP {status}: {words}")
        self.status = status
