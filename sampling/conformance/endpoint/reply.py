"""A chat completion as an endpoint sends it, read strictly: what is not there or of another type is no answer."""

from __future__ import annotations

from typing import Annotated, TypeVar

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError

from sampling.conformance.endpoint.trouble import Malformed, Missing
from sampling.errors import shown

Byte = Annotated[int, Field(ge=0, le=255)]


class Part(BaseModel):
    """A JSON object; fields that are not named here are nobody's business."""

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore")


T = TypeVar("T", bound=Part)


class Entry(Part):
    """A token and its log probability."""

    token: str
    logprob: FiniteFloat
    bytes: list[Byte] | None = None


class Position(Entry):
    """The sampled token of one position, and the alternatives."""

    top_logprobs: list[Entry] = []


class Logprobs(Part):
    """The `logprobs` of a choice."""

    content: list[Position] | None = None


class Message(Part):
    """The message of a choice."""

    content: str | None = None


class Choice(Part):
    """One of the n choices."""

    message: Message
    finish_reason: str | None = None
    logprobs: Logprobs | None = None

    @property
    def text(self) -> str:
        """The content."""
        return self.message.content or ""

    @property
    def positions(self) -> list[Position]:
        """The tokens with their log probabilities.

        Raises:
            Missing: There are none.
        """
        if self.logprobs is None or not self.logprobs.content:
            raise Missing("no log probabilities in the answer, though `logprobs` was true")
        return self.logprobs.content


class Usage(Part):
    """Token counts."""

    prompt_tokens: int
    completion_tokens: int


class Reply(Part):
    """The response of a chat completion."""

    choices: Annotated[list[Choice], Field(min_length=1)]
    usage: Usage | None = None
    model: str | None = None
    system_fingerprint: str | None = None


class Delta(Part):
    """What a chunk adds to a message."""

    content: str | None = None


class ChunkChoice(Part):
    """What a chunk adds to a choice."""

    index: int = 0
    delta: Delta
    finish_reason: str | None = None


class Chunk(Part):
    """One event of a stream."""

    choices: list[ChunkChoice]


def read(kind: type[T], text: str) -> T:
    """Read JSON as one of the kinds above.

    Raises:
        Malformed: It is not JSON, or not of that form; the message names the first field that is wrong.
    """
    try:
        return kind.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "the answer"
        raise Malformed(f"{where}: {first['msg']} (got {shown(first['input'])})") from None
