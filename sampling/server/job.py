"""Completions on their way through the server, seen from both sides."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

from sampling.chat.completion import Completion, TokenEvent
from sampling.chat.stream import Writer, server_sent_event
from sampling.server.errors import ApiError

Chunks = list[dict[str, Any]]


@dataclass(frozen=True)
class Ended:
    """The last event of a job, with the error of one that failed."""

    error: ApiError | None = None


class Outlet:
    """The events of a request's jobs, on their way to its client.

    Args:
        jobs: How many jobs it has.
        most_unread: Most bytes of events that are kept until they are sent.

    Attributes:
        overflow: Set once the client has left more unread than is kept; nothing is delivered from then on.
    """

    def __init__(self, jobs: int, most_unread: int) -> None:
        self._unfinished, self._most_unread, self._unread = jobs, most_unread, 0
        self._events: asyncio.Queue[bytes | Ended] = asyncio.Queue()
        self.overflow = asyncio.Event()

    def put(self, event: Chunks | Ended) -> None:
        """Hand events over."""
        item = event if isinstance(event, Ended) else encoded(event)
        self._unread += 0 if isinstance(item, Ended) else len(item)
        if self._unread > self._most_unread:
            self.overflow.set()
        if not self.overflow.is_set():
            self._events.put_nowait(item)

    async def events(self) -> AsyncIterator[bytes]:
        """Server-sent events as they come, until all jobs have ended, or one has failed.

        Raises:
            ApiError: Why it failed.
        """
        while self._unfinished:
            event = await self._events.get()
            if not isinstance(event, Ended):
                self._unread -= len(event)
                yield event
            elif event.error is not None:
                raise event.error
            else:
                self._unfinished -= 1


class Job:
    """A completion that waits, decodes, or has ended.

    The decoding thread calls `begin`, `start` and `take`, since a chunk says what was true in its step; the event loop calls
    `deliver`.

    Args:
        completion: What is to be decoded.
        outlet: Where its events go.
        writer: Makes chunks of what happens; None where the answer comes whole.

    Attributes:
        following: The request's next job, which waits until this one has its rows: a request has one place in the queue.
        entered: When it came, in seconds of the monotonic clock.
        begun: When it got its rows.
        sampled: Whether it has a token.
        over: Whether its last event is delivered.
    """

    def __init__(self, completion: Completion, outlet: Outlet, writer: Writer | None) -> None:
        self.completion, self.outlet, self._writer = completion, outlet, writer
        self.following: Job | None = None
        self.entered = time.monotonic()
        self.begun: float | None = None
        self.sampled = self.over = False

    @property
    def rows(self) -> int:
        """How many rows of the batch it needs."""
        return self.completion.prepared.request.n

    @property
    def queued(self) -> float:
        """Seconds that it waited, or has waited so far."""
        return (self.begun or time.monotonic()) - self.entered

    def begin(self) -> None:
        """Note that it has its rows."""
        self.begun = time.monotonic()

    def start(self) -> Chunks:
        """Return what a stream begins with, once the prompt is through."""
        return self._writer.start() if self._writer else []

    def take(self, events: Sequence[TokenEvent]) -> Chunks:
        """Return the chunks for what happened in a step, where they are wanted."""
        self.sampled = True
        return self._writer.write(events) if self._writer else []

    def deliver(self, event: Chunks | Ended) -> None:
        """Hand events over."""
        self.over = isinstance(event, Ended)
        self.outlet.put(event)


def encoded(events: Sequence[dict[str, Any] | str]) -> bytes:
    """Server-sent events as they are sent; as values they would take many times the memory."""
    return "".join(server_sent_event(event) for event in events).encode()
