"""What keeps a check of an endpoint from an answer; none of it is a pass."""

from __future__ import annotations

from sampling.conformance import endings
from sampling.conformance.verdict import Verdict


class Unanswered(endings.CouldNotRun):
    """No answer after all retries: silence, a broken connection, or an error of the server's own."""


class Failing(Unanswered):
    """An error of the server's own, at each try; as a request differs from others that are answered, it says something.

    Args:
        status: Of HTTP, 500 or 501.
        words: What the endpoint says, and after how many tries.
    """

    def __init__(self, status: int, words: str) -> None:
        super().__init__(words)
        self.status, self.words = status, words


class Malformed(endings.CouldNotRun):
    """An answer that is not what the API says."""


class Spent(endings.CouldNotRun):
    """The budget of requests is used up."""


class Unfenced(endings.NotTestable):
    """Biases do not force tokens, so that no support can be fenced.

    Args:
        refusal: What the endpoint says to a bias; nothing where it takes one.
    """

    def __init__(self, refusal: str = "") -> None:
        why = f" ({refusal})" if refusal else ""
        super().__init__(f"biases of +100 do not force tokens, so that no support can be fenced{why}")
        self.refusal = refusal


class Missing(endings.Refused):
    """A well-formed answer without what was asked for."""


class Unheeded(Missing):
    """An answer without what a field asks for that was taken."""

    verdict = Verdict.IGNORED


class Unended(Malformed):
    """A stream that is whole but for its end mark."""

    verdict = Verdict.DEVIATES


class Refused(endings.Refused):
    """The endpoint refuses a request as wrong.

    Args:
        status: Of HTTP: 400 to 499, or 500 and 501 where the server itself fails at this request and at no other.
        words: What the endpoint says.
    """

    def __init__(self, status: int, words: str) -> None:
        super().__init__(f"refused with HTTP {status}: {words}")
        self.status = status
