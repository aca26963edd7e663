"""Functions as targets: what is verified."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from sampling.conformance.endings import CouldNotRun, NotTestable, Refused
from sampling.conformance.sampling_case import SamplingCase
from sampling.core.errors import InvalidArgument, shown

Seed = int | None
Tokens = NDArray[np.int64]
LARGEST_BATCH = 2**24  # logits of a call of `many`: engines copy them several times


class CallableTarget:
    """A sampler that is a function of logits, parameters and a past.

    It may have attributes that answer more at a time: `many(logits, params, prompt_ids, output_ids, seeds)` gives one
    token for each seed; `report(logits, params, prompt_ids, output_ids, seed)` gives one API choice for a model that says
    the same at every position, and `choices(...)` the n of them.

    Args:
        function: `f(logits, params, prompt_ids, output_ids, seed) -> int`: float32 [V], request fields by name, the
            prompt, what was sampled before, and the seed or None. It raises on what it does not support.
        name: What it is called; by default the function's `name` or `__qualname__`.
        version: Its version; by default the function's `version`.

    Raises:
        InvalidArgument: The function cannot be called.
    """

    kind = "callable"

    def __init__(self, function: Callable[..., int], name: str = "", version: str = "") -> None:
        if not callable(function):
            raise InvalidArgument("target", function, "a callable")
        own = getattr(function, "name", "") or getattr(function, "__qualname__", type(function).__name__)
        self.function = function
        self.name = name or str(own)
        self.version = version or str(getattr(function, "version", ""))

    @property
    def batched(self) -> bool:
        """Whether many draws cost little more than one."""
        return callable(getattr(self.function, "many", None))

    @property
    def reports(self) -> bool:
        """Whether it gives what an API answers."""
        return callable(getattr(self.function, "report", None))

    def draw(self, question: SamplingCase, seeds: Sequence[Seed]) -> Tokens:
        """Return one token for each seed, int64 [N]; None is an unseeded request.

        Raises:
            Refused: It raised.
            CouldNotRun: What it returned is no token id.
        """
        many: Any = getattr(self.function, "many", None) or self._one_by_one
        width = len(question.logits)
        most = max(1, LARGEST_BATCH // width)
        parts = [list(seeds[start : start + most]) for start in range(0, len(seeds), most)]
        drawn = [tokens_of(self._called(many, question, part), len(part), width) for part in parts]
        return np.concatenate(drawn)

    def single(self, question: SamplingCase, seed: Seed) -> int:
        """One token, by a call of its own.

        Raises:
            Refused: It raised.
            CouldNotRun: What it returned is no token id.
        """
        drawn = self._called(self.function, question, seed)
        return int(tokens_of([drawn], 1, len(question.logits))[0])

    def report(self, question: SamplingCase, seed: Seed) -> dict[str, Any]:
        """One API choice.

        Raises:
            NotTestable: It has no `report`.
            Refused: It raised.
            CouldNotRun: What it returned is no choice.
        """
        return choice_of(self._called(self._optional("report"), question, seed))

    def choices(self, question: SamplingCase, seed: Seed) -> list[dict[str, Any]]:
        """Return the choices of one request, `n` among its parameters.

        Raises:
            NotTestable: It has no `choices`.
            Refused: It raised.
            CouldNotRun: What it returned is no list of choices.
        """
        given = self._called(self._optional("choices"), question, seed)
        if not isinstance(given, list):
            raise CouldNotRun(f"`choices` returned {shown(given)}, no list")
        return [choice_of(one) for one in cast("list[object]", given)]

    def _optional(self, name: str) -> Callable[..., Any]:
        found = getattr(self.function, name, None)
        if not callable(found):
            raise NotTestable(f"the callable has no `{name}`, which would give what an API answers")
        return found

    def _called(self, function: Callable[..., Any], question: SamplingCase, seed: object) -> Any:
        """Return the function's answer to a question, which is its own to change."""
        past = list(question.prompt_ids), list(question.output_ids)
        try:
            return function(question.logits.copy(), dict(question.params), *past, seed)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # whatever a stranger's sampler raises
            raise Refused(f"{described(question.params)} refused: {type(error).__name__}: {error}") from error

    def _one_by_one(
        self,
        logits: NDArray[np.float32],
        params: Mapping[str, Any],
        prompt_ids: list[int],
        output_ids: list[int],
        seeds: Sequence[Seed],
    ) -> list[Any]:
        """Return a call for every seed, none of which sees what another has changed."""
        return [
            self.function(logits.copy(), dict(params), list(prompt_ids), list(output_ids), seed)
            for seed in seeds
        ]


def described(params: Mapping[str, Any]) -> str:
    """Parameters in words."""
    return (
        ", ".join(f"{name} {shown(value)}" for name, value in params.items()) or "a request of no parameters"
    )


def tokens_of(drawn: Any, count: int, width: int) -> Tokens:
    """Check that something is so many token ids.

    Raises:
        CouldNotRun: It is not.
    """
    try:
        items = [item if type(item) is int else plainly(item) for item in drawn]
    except TypeError as error:
        raise CouldNotRun(f"got {shown(drawn)}, which are no tokens") from error
    if len(items) != count:
        raise CouldNotRun(f"asked for {count} tokens, got {len(items)}")
    kinds = set(map(type, items))
    if kinds != {int} or not 0 <= min(items) <= max(items) < width:
        wrong = next(item for item in items if type(item) is not int or not 0 <= item < width)
        raise CouldNotRun(f"got {shown(wrong)}, which is no token id below {width}")
    return np.array(items, dtype=np.int64)


def plainly(item: Any) -> Any:
    """Return a number of numpy or torch as Python's; anything else as it is."""
    try:
        return item.item()
    except (AttributeError, ValueError, RuntimeError):
        return item


def choice_of(given: object) -> dict[str, Any]:
    """Check that something looks like an API choice.

    Raises:
        CouldNotRun: It does not.
    """
    if not isinstance(given, dict) or not isinstance(cast("dict[str, Any]", given).get("message"), dict):
        raise CouldNotRun(f"got {shown(given)}, which is no choice with a message")
    return cast("dict[str, Any]", given)
