"""An endpoint that serves a probe: chat completions, or completions of text."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import Field

from sampling.conformance.endings import CheckEnded, Refused
from sampling.conformance.endpoint.client import Client
from sampling.conformance.endpoint.manners import Manners
from sampling.conformance.endpoint.reply import LONGEST_TEXT, MOST_CHOICES, Choice, Message, Part, Reply, read
from sampling.conformance.endpoint.trouble import Malformed
from sampling.conformance.probe.engine import Ask, Choices
from sampling.conformance.semantics import Semantics
from sampling.probe import Probe

CHAT, TEXT = "/chat/completions", "/completions"


class TextChoice(Part):
    """A choice of a text completion."""

    text: Annotated[str, Field(max_length=LONGEST_TEXT)]
    finish_reason: Any = None


class TextReply(Part):
    """A text completion."""

    choices: Annotated[list[TextChoice], Field(min_length=1, max_length=MOST_CHOICES, fail_fast=True)]
    system_fingerprint: str | None = None


class TextClient(Client):
    """Sends a message's content as a prompt to an endpoint of text completions, and reads its text as a message."""

    def __init__(self, url: str, **settings: Any) -> None:
        super().__init__(url.rstrip("/").removesuffix(TEXT) + CHAT, **settings)
        self.url = self.url.removesuffix(CHAT) + TEXT

    def shaped(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Return the body of a request."""
        messages: Sequence[Mapping[str, str]] = fields["messages"]
        prompt = "".join(message["content"] for message in messages)
        return {"prompt": prompt, **{name: value for name, value in fields.items() if name != "messages"}}

    def reply_of(self, text: str) -> Reply:
        """Return a response from its body."""
        told = read(TextReply, text)
        choices = [
            Choice(message=Message(content=choice.text), finish_reason=choice.finish_reason)
            for choice in told.choices
        ]
        return Reply(choices=choices, system_fingerprint=told.system_fingerprint)


def client_of(url: str, **settings: Any) -> Client:
    """Return the client of an endpoint: of text completions where its URL ends like theirs."""
    root = url.rstrip("/") if isinstance(url, str) else url  # pyright: ignore[reportUnnecessaryIsInstance]
    text = isinstance(root, str) and root.endswith(TEXT) and not root.endswith(CHAT)  # pyright: ignore[reportUnnecessaryIsInstance]
    return TextClient(url, **settings) if text else Client(url, **settings)


class EndpointEngine:
    """An endpoint as an engine.

    Args:
        client: The endpoint.
        probe: What it serves.
    """

    def __init__(self, client: Client, probe: Probe) -> None:
        self.client, self.probe = client, probe
        self.manners = Manners(client)

    @property
    def name(self) -> str:
        """The model and where it is."""
        return f"{self.client.named or 'a model'} at {self.client.url.removesuffix(CHAT)}"

    @property
    def version(self) -> str:
        """The last `system_fingerprint` that was received."""
        return self.client.fingerprint

    def speak(self, semantics: Semantics) -> None:
        """Take the names that a dialect has for fields."""
        self.manners = Manners(self.client, semantics)

    def answer(self, requests: Sequence[Ask]) -> list[Choices | CheckEnded]:
        """Answer requests, as many at a time as may be."""
        said = [asked for asked in requests if not unsayable(asked)]
        replies = iter(self.manners.ask_all([self._fields(asked) for asked in said]))
        return [unsayable(asked) or self._told(next(replies), asked) for asked in requests]

    def _fields(self, asked: Ask) -> dict[str, Any]:
        seeded = {} if asked.seed is None else {"seed": asked.seed}
        messages = [{"role": "user", "content": self.probe.text_of(asked.prompt)}]
        return {"messages": messages, "max_tokens": asked.length, "n": asked.n, **asked.params, **seeded}

    def _told(self, reply: Reply | CheckEnded, asked: Ask) -> Choices | CheckEnded:
        if isinstance(reply, CheckEnded):
            return reply
        if len(reply.choices) != asked.n:
            return Malformed(f"{len(reply.choices)} choices for n = {asked.n}")
        return [self._ids(choice) for choice in reply.choices]

    def _ids(self, choice: Choice) -> list[int]:
        """Return the tokens of a choice; one that ends of itself, which no state says, ends with such a token."""
        found = self.probe.tokens_of(choice.text)
        return [*found, self.probe.end] if choice.finish_reason == "stop" or not found else found

    def close(self) -> None:
        """Close the connections."""
        self.client.close()


def unsayable(asked: Ask) -> Refused | None:
    """Return a refusal of what JSON has no number for."""
    found = [
        name for name, value in asked.params.items() if isinstance(value, float) and not math.isfinite(value)
    ]
    return Refused(f"JSON has no number {asked.params[found[0]]} for {found[0]}") if found else None
