"""A chat completion as an endpoint sends it, read strictly: what is not there or of another type is no answer.

What a check looks at is read when it looks, so that a part that is wrong ends no check that does without it.
"""

from __future__ import annotations

import math
from collections import Counter
from functools import cached_property
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sampling.conformance.endpoint.trouble import Malformed, Missing, Unheeded
from sampling.core.errors import shown

LONGEST_NAME = 512  # characters of a model's name, or of a fingerprint
LONGEST_TEXT = 2**16  # characters of a message: none of those that are asked for has thousands of tokens
MOST_CHOICES = 128  # as many as the API gives
SENTINEL = -1000.0  # a log probability below this stands for none
ROUNDING = 1e-3  # what it may add to a log probability of 0

Byte = Annotated[int, Field(ge=0, le=255)]
Natural = Annotated[int, Field(ge=0)]
Name = Annotated[str, Field(min_length=1, max_length=LONGEST_NAME)]


class Part(BaseModel):
    """A JSON object; fields that are not named here are nobody's business."""

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore")


T = TypeVar("T", bound=Part)


class Entry(Part):
    """A token and its log probability, which may be any number: what it is worth is for the checks to say."""

    token: str
    logprob: float
    bytes: Annotated[list[Byte], Field(fail_fast=True)] | None = None
    id: Any = None

    @property
    def token_id(self) -> int | None:
        """The token's id, where an engine tells it; the API does not."""
        return self.id if type(self.id) is int and self.id >= 0 else None

    @property
    def possible(self) -> bool:
        """Whether the value is a log probability, and not one that stands for none."""
        return SENTINEL < self.logprob <= ROUNDING


def looks_like(sampled: Entry, listed: Entry) -> bool:
    """Whether an entry of the list may be that of the sampled token: parts of characters look alike where no ids are told."""
    if sampled.token_id is not None and listed.token_id is not None:
        return sampled.token_id == listed.token_id
    return (sampled.token, sampled.bytes) == (listed.token, listed.bytes)


class Position(Entry):
    """The sampled token of one position, and the alternatives."""

    top_logprobs: Annotated[list[Entry], Field(fail_fast=True)] = []


class Logprobs(Part):
    """The `logprobs` of a choice."""

    content: Annotated[list[Position], Field(fail_fast=True)] | None = None


class Message(Part):
    """The message of a choice."""

    content: Annotated[str, Field(max_length=LONGEST_TEXT)] | None = None


class Choice(Part):
    """One of the n choices."""

    message: Message
    finish_reason: Any = None
    logprobs: Any = None

    @property
    def text(self) -> str:
        """The content."""
        return self.message.content or ""

    @property
    def entered(self) -> bool:
        """Whether there are tokens with log probabilities."""
        try:
            return bool(self.positions)
        except Missing:
            return False

    @cached_property
    def positions(self) -> list[Position]:
        """The tokens with their log probabilities.

        Raises:
            Missing: There are none.
            Malformed: They are of another form.
        """
        told = None if self.logprobs is None else part(Logprobs, self.logprobs, "logprobs").content
        if not told:
            words = "no log probabilities in the answer, though `logprobs` was true"
            raise Unheeded(words) if self.logprobs is None else Missing(words)
        return told


class Usage(Part):
    """Token counts."""

    prompt_tokens: Natural
    completion_tokens: Natural


class Reply(Part):
    """The response of a chat completion."""

    choices: Annotated[list[Choice], Field(min_length=1, max_length=MOST_CHOICES, fail_fast=True)]
    usage: Any = None
    system_fingerprint: Annotated[str, Field(max_length=LONGEST_NAME)] | None = None

    @property
    def counts(self) -> Usage | None:
        """The token counts; None where none are told.

        Raises:
            Malformed: They are of another form.
        """
        return None if self.usage is None else part(Usage, self.usage, "usage")


class Delta(Part):
    """What a chunk adds to a message."""

    content: str | None = None


class ChunkChoice(Part):
    """What a chunk adds to a choice."""

    index: int = 0
    delta: Delta
    finish_reason: Any = None


class Chunk(Part):
    """One event of a stream."""

    choices: Annotated[list[ChunkChoice], Field(fail_fast=True)]


def first_tokens(reply: Reply, count: int) -> Reply:
    """Return the first tokens of all choices of a reply that lists them; why they end is not known.

    Raises:
        Missing: Not all its choices list their tokens.
    """
    choices = [first_of(choice, count) for choice in reply.choices]
    usage = None
    if reply.counts is not None:
        sampled = sum(len(choice.positions) for choice in choices)
        usage = {"prompt_tokens": reply.counts.prompt_tokens, "completion_tokens": sampled}
    return Reply(choices=choices, usage=usage, system_fingerprint=reply.system_fingerprint)


def first_of(choice: Choice, count: int) -> Choice:
    """Return the first tokens of a choice."""
    kept = choice.positions[:count]
    told = [position.bytes for position in kept]
    if all(part is not None for part in told):
        text = b"".join(bytes(part or ()) for part in told).decode(errors="replace")
    else:
        text = "".join(position.token for position in kept)
    return Choice(message=Message(content=text), logprobs={"content": [p.model_dump() for p in kept]})


def values_of(position: Position) -> dict[str, float]:
    """Return the listed log probabilities by text, those that stand for none and texts of several tokens left out."""
    times = Counter(entry.token for entry in position.top_logprobs)
    return {e.token: e.logprob for e in position.top_logprobs if e.possible and times[e.token] == 1}


def unlikely(position: Position) -> str:
    """Why the values of a position cannot all be log probabilities; nothing if they can."""
    values = [entry.logprob for entry in (position, *position.top_logprobs)]
    wrong = next((value for value in values if not -math.inf < value <= ROUNDING), None)
    if wrong is not None:
        return f"{wrong:g} is no log probability"
    mass = sum(math.exp(entry.logprob) for entry in position.top_logprobs)
    return f"the listed probabilities add up to {mass:.6f}" if mass > 1 + ROUNDING else ""


class Model(Part):
    """A model in the list of models."""

    id: Name


class Models(Part):
    """The list of models."""

    data: Annotated[list[Any], Field(min_length=1)]


def read(kind: type[T], text: str) -> T:
    """Read JSON as one of the kinds above.

    Raises:
        Malformed: It is not JSON, or not of that form; the message names the first field that is wrong.
    """
    try:
        return kind.model_validate_json(text)
    except ValidationError as error:
        raise malformed(error, "") from None


def part(kind: type[T], value: object, where: str) -> T:
    """Read a part of an answer, by its name there, as one of the kinds above.

    Raises:
        Malformed: It is of another form.
    """
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        raise malformed(error, where) from None


def malformed(error: ValidationError, where: str) -> Malformed:
    """Return what is wrong, in a line."""
    first = error.errors(include_url=False)[0]
    named = ".".join([*([where] if where else []), *map(str, first["loc"])]) or "the answer"
    return Malformed(f"{named}: {first['msg']} (got {shown(first['input'])})")
