"""The chat completion endpoint."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import cast

from anyio import CapacityLimiter, to_thread
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from sampling.chat.completion import Completion
from sampling.chat.request import ChatRequest
from sampling.chat.stream import DONE
from sampling.core.errors import InvalidRequest
from sampling.core.reading import read_json
from sampling.server.connection import disconnect, read_body, unless_gone
from sampling.server.errors import api_error, no_turn
from sampling.server.job import Job, encoded
from sampling.server.records import record_of
from sampling.server.replies import json_response
from sampling.server.service import Service
from sampling.server.values import require_few_values

AT_ONCE = 4  # threads that check requests, and as many that write answers: each may hold the others up
LARGE = 2**16  # bytes of a body whose check may take a while: those are checked one at a time
TURN = 60.0  # seconds that a request may wait for its check
STREAM_HEADERS = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-store")]


class ChatEndpoint:
    """Answers chat completion requests."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._small, self._large = asyncio.Semaphore(AT_ONCE), asyncio.Semaphore(1)
        self._answers = CapacityLimiter(AT_ONCE)

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
            self._service.metrics.requests.labels(status).inc()

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check off the event loop, wait for rows, decode, answer; after that the rows are free, whatever happened."""
        queue, record, options = self._service.worker.queue, record_of(scope), self._service.options
        queue.require_room()  # before work is done for nothing
        body = await read_body(scope, receive, options.max_body, options.body_timeout)
        with queue.place():
            completion = await unless_gone(self._checked(body), disconnect(receive))
            record.request_id = completion.id
            job = Job(completion, options.max_unread)
            queue.submit(job)
        try:
            answer = (
                stream(job, send)
                if completion.prepared.request.stream
                else self._whole(job, scope, receive, send)
            )
            await unless_gone(answer, disconnect(receive), job.overflow.wait())
        finally:
            queue.give_up(job)
            record.fields |= log_fields(job)

    async def _checked(self, body: bytes) -> Completion:
        """Check a request, all of it, on one of a few threads.

        Raises:
            ApiError: It is not its turn in time.
        """
        turns = self._large if len(body) > LARGE else self._small
        try:
            async with asyncio.timeout(TURN):
                await turns.acquire()
        except TimeoutError:
            raise no_turn(TURN) from None
        try:
            return await to_thread.run_sync(self._completion, body)
        finally:
            turns.release()

    def _completion(self, body: bytes) -> Completion:
        require_few_values(body)
        value = read_json(body)
        if not isinstance(value, Mapping):
            raise InvalidRequest("body", value, "a JSON object")
        request = ChatRequest.parse(cast("Mapping[str, object]", value), self._service.dialect)
        return self._service.completion(request)

    async def _whole(self, job: Job, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the response once it is complete; it may be long, so a few are written at a time."""
        async for _ in job.events():
            pass
        response = await to_thread.run_sync(completed, job.completion, limiter=self._answers)
        await response(scope, receive, send)


def completed(completion: Completion) -> Response:
    """Return the response of a completion that has ended; not all of its parts are in memory as values at a time."""
    return json_response(completion.response(collect=iter))


async def stream(job: Job, send: Send) -> None:
    """Send chunks as they come; what fails before the first is an ordinary error."""
    begun = False
    try:
        async for events in job.events():
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


def log_fields(job: Job) -> dict[str, object]:
    """Return what the log says about a job."""
    completion, usage = job.completion, job.completion.usage()
    return {
        "model": completion.prepared.request.model,
        "stream": completion.prepared.request.stream,
        "n": completion.prepared.request.n,
        "prompt_tokens": usage["prompt_tokens"],
        "completion_tokens": usage["completion_tokens"],
        "finish_reasons": [choice.finish_reason for choice in completion.choices],
        "queue_seconds": round(job.queued, 6),
        **({"unread": True} if job.overflow.is_set() else {}),
    }
