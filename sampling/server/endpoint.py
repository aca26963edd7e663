"""What all endpoints of completions do: check, wait for rows, decode, answer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Protocol

from anyio import CapacityLimiter, to_thread
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from sampling.chat.completion import Completion
from sampling.chat.stream import DONE, Writer
from sampling.server.connection import disconnect, read_body, unless_gone
from sampling.server.errors import api_error
from sampling.server.job import Job, Outlet, encoded
from sampling.server.records import record_of
from sampling.server.replies import json_response
from sampling.server.service import Service
from sampling.server.turns import AT_ONCE, Turns
from sampling.server.values import read_object

STREAM_HEADERS = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-store")]


class Answer(Protocol):
    """What has a response in the end."""

    def response(self, collect: Callable[[Iterator[dict[str, Any]]], object]) -> dict[str, Any]:
        """Return it."""
        ...


@dataclass(frozen=True)
class Asked:
    """A request that has been checked.

    Args:
        answer: What is answered.
        completions: What has to be decoded for it.
        writers: Who makes chunks of each; none where the answer comes whole.
    """

    answer: Answer
    completions: Sequence[Completion]
    writers: Sequence[Writer]

    def jobs(self, most_unread: int) -> list[Job]:
        """Return a job for each completion, whose events go out together."""
        outlet = Outlet(len(self.completions), most_unread)
        writers = self.writers or [None] * len(self.completions)
        jobs = [Job(one, outlet, writer) for one, writer in zip(self.completions, writers, strict=True)]
        for job, following in pairwise(jobs):
            job.following = following
        return jobs


class CompletionEndpoint(ABC):
    """Answers requests that take decoding."""

    def __init__(self, service: Service, turns: Turns) -> None:
        self.service, self._turns = service, turns
        self._answers = CapacityLimiter(AT_ONCE)

    @abstractmethod
    def asked(self, request: Mapping[str, object]) -> Asked:
        """Check a request."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, and count it."""
        status = "500"
        try:
            await self._answer(scope, receive, send)
            status = str(record_of(scope).status)
        except ClientDisconnect:
            status = "disconnected"
            raise
        except Exception as error:
            status = str(api_error(error).status)
            raise
        finally:
            self.service.metrics.requests.labels(status).inc()

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check off the event loop, wait for rows, decode, answer; after that the rows are free, whatever happened."""
        queue, record, options = self.service.worker.queue, record_of(scope), self.service.options
        queue.require_room()  # before work is done for nothing
        body = await read_body(scope, receive, options.max_body, options.body_timeout)
        with queue.place():
            checking = self._turns.check(body, lambda text: self.asked(read_object(text)))
            asked = await unless_gone(checking, disconnect(receive))
            record.request_id = asked.completions[0].id
            jobs = asked.jobs(options.max_unread)
            queue.submit(jobs[0])
        outlet = jobs[0].outlet
        try:
            answer = (
                stream(outlet, send) if asked.writers else self._whole(asked, outlet, scope, receive, send)
            )
            await unless_gone(answer, disconnect(receive), outlet.overflow.wait())
        finally:
            queue.give_up(jobs)
            record.fields |= log_fields(jobs)

    async def _whole(self, asked: Asked, outlet: Outlet, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the response once it is complete; it may be long, so a few are written at a time."""
        async for _ in outlet.events():
            pass
        response = await to_thread.run_sync(completed, asked.answer, limiter=self._answers)
        await response(scope, receive, send)


def completed(answer: Answer) -> Response:
    """Return the response of an answer that is complete; not all of its parts are in memory as values at a time."""
    return json_response(answer.response(collect=iter))


async def stream(outlet: Outlet, send: Send) -> None:
    """Send chunks as they come; what fails before the first is an ordinary error."""
    begun = False
    try:
        async for events in outlet.events():
            if not begun:
                await send({"type": "http.response.start", "status": 200, "headers": STREAM_HEADERS})
                begun = True
            await send_events(events, send)
    except Exception as error:
        if not begun:
            raise
        await send_events(encoded([api_error(error).body]), send)
    else:
        await send_events(encoded([DONE]), send)
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def send_events(events: bytes, send: Send) -> None:
    """Send some server-sent events together."""
    if events:
        await send({"type": "http.response.body", "body": events, "more_body": True})


def log_fields(jobs: Sequence[Job]) -> dict[str, object]:
    """Return what the log says about the jobs of a request."""
    completions = [job.completion for job in jobs]
    request, usage = completions[0].prepared.request, [completion.usage() for completion in completions]
    return {
        "model": request.model,
        "stream": request.stream,
        "n": request.n,
        "prompt_tokens": sum(one["prompt_tokens"] for one in usage),
        "completion_tokens": sum(one["completion_tokens"] for one in usage),
        "finish_reasons": [choice.finish_reason for one in completions for choice in one.choices],
        "queue_seconds": round(jobs[0].queued, 6),
        **({"unread": True} if jobs[0].outlet.overflow.is_set() else {}),
    }
