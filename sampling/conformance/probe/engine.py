"""What a probe is asked through: prompts go in, tokens come out, many requests at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, cast

from sampling.conformance.endings import CheckEnded, CouldNotRun, Refused
from sampling.conformance.semantics import Semantics
from sampling.conformance.target import described
from sampling.core.errors import InvalidArgument, shown
from sampling.probe import Probe

Choices = list[list[int]]
Prompts = Literal["ids", "text"]


@dataclass(frozen=True)
class Ask:
    """A request.

    Args:
        prompt: Token ids; the last one chooses the state.
        params: Request fields as the API names them.
        length: Tokens of each choice.
        n: Choices.
        seed: None for none.
    """

    prompt: tuple[int, ...]
    params: Mapping[str, Any] = field(default_factory=dict[str, Any])
    length: int = 1
    n: int = 1
    seed: int | None = None


class Engine(Protocol):
    """An engine that has loaded a probe."""

    @property
    def name(self) -> str:
        """What it is called."""
        ...

    @property
    def version(self) -> str:
        """Its version."""
        ...

    def speak(self, semantics: Semantics) -> None:
        """Take the names that a dialect has for fields."""

    def answer(self, requests: Sequence[Ask]) -> list[Choices | CheckEnded]:
        """Answer requests: by request the tokens of each choice, or why there are none."""
        ...

    def close(self) -> None:
        """Close what is open."""


class FunctionEngine:
    """A Python function that takes prompts.

    Args:
        function: `f(prompt, params, max_tokens, n, seed)`: token ids or text, request fields by name, and the seed or None. It
            returns for each of n choices its token ids or its text, and raises on what it does not support.
        probe: What it has loaded.
        prompts: Whether it takes token ids or text.

    Raises:
        InvalidArgument: No such way to take prompts.
    """

    def __init__(self, function: Callable[..., Any], probe: Probe, prompts: Prompts = "ids") -> None:
        if prompts not in ("ids", "text"):
            raise InvalidArgument("prompts", prompts, "'ids' or 'text'")
        self.function, self.probe, self.prompts = function, probe, prompts
        self.name = str(
            getattr(function, "name", "") or getattr(function, "__qualname__", type(function).__name__)
        )

    @property
    def version(self) -> str:
        """The function's `version`."""
        return str(getattr(self.function, "version", ""))

    def speak(self, semantics: Semantics) -> None:
        """Take nothing: fields have the API's names."""

    def answer(self, requests: Sequence[Ask]) -> list[Choices | CheckEnded]:
        """Answer one request after the other."""
        return [self._answer(request) for request in requests]

    def _answer(self, asked: Ask) -> Choices | CheckEnded:
        prompt = self.probe.text_of(asked.prompt) if self.prompts == "text" else list(asked.prompt)
        try:
            given = self.function(prompt, dict(asked.params), asked.length, asked.n, asked.seed)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # whatever a stranger's engine raises
            fields = {**asked.params, **({"n": asked.n} if asked.n > 1 else {})}
            return Refused(f"{described(fields)} refused: {type(error).__name__}: {error}")
        try:
            return [self._tokens(choice, asked.length) for choice in checked(given, asked.n)]
        except CouldNotRun as end:
            return end

    def _tokens(self, choice: object, most: int) -> list[int]:
        if isinstance(choice, str):
            found = self.probe.tokens_of(choice)
        else:
            found = [int(token) for token in cast("Sequence[int]", choice)]
        if not 0 < len(found) <= most or not all(0 <= token < self.probe.vocab for token in found):
            raise CouldNotRun(f"got {shown(choice)}, which is no text or list of ids, of 1 to {most} tokens")
        return found

    def close(self) -> None:
        """Close nothing."""


def checked(given: object, n: int) -> list[object]:
    """Return the choices that a function gave.

    Raises:
        CouldNotRun: They are not n.
    """
    if isinstance(given, str) or not isinstance(given, Sequence) or len(given) != n:
        raise CouldNotRun(f"got {shown(given)}, no list of {n} choices")
    if not all(isinstance(choice, Sequence) for choice in given):
        raise CouldNotRun(f"got {shown(given)}, whose choices are no texts or lists of ids")
    return list(given)
