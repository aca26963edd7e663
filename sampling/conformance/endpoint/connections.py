"""Connections to an endpoint: each exchange has one deadline from the first byte to the last, and answers of bounded size."""

from __future__ import annotations

import os
from collections.abc import Mapping
from concurrent.futures import CancelledError, Future
from contextlib import ExitStack
from dataclasses import dataclass
from threading import Condition
from typing import Any

import anyio
import httpx2
from anyio.from_thread import start_blocking_portal

from sampling.conformance.endpoint.trouble import Malformed

LARGEST_ANSWER = 2**24  # bytes, decompressed


class Passing(Exception):
    """A failure that another try may mend.

    Args:
        words: What happened.
        wait: Seconds that the endpoint asks to wait.
        status: Of HTTP; 0 where there was no answer.
    """

    def __init__(self, words: str, wait: float | None = None, status: int = 0) -> None:
        super().__init__(words)
        self.wait, self.status = wait, status


class Unreached(Passing):
    """No answer at all: nobody listens there, the connection broke, or time was up."""


@dataclass(frozen=True)
class Answer:
    """What came back: the status of HTTP, the body, decompressed, and the header `retry-after`."""

    status: int
    body: bytes
    retry_after: str | None


class Gate:
    """Lets so many requests through at a time: half as many after an answer that asks for fewer, then slowly more again.

    Source: Chiu and Jain, "Analysis of the increase and decrease algorithms for congestion avoidance in computer
    networks", 1989.
    """

    def __init__(self, most: int) -> None:
        self._most, self._limit, self._inside = most, float(most), 0
        self._changed = Condition()

    def __enter__(self) -> None:
        with self._changed:
            while self._inside >= max(int(self._limit), 1):
                self._changed.wait()
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._inside -= 1
            self._changed.notify_all()

    @property
    def limit(self) -> int:
        """How many are let through now."""
        return max(int(self._limit), 1)

    def told(self, *, fewer: bool) -> None:
        """Take in whether an answer asks for fewer."""
        with self._changed:
            wider = self._limit + 1 / self._limit
            self._limit = max(self._limit / 2, 1.0) if fewer else min(wider, float(self._most))
            self._changed.notify_all()


class Connections:
    """Sends requests, from any thread, through an event loop of their own: what waits there can be given up at any time.

    Args:
        headers: Of each request.
        transport: What carries the requests; None for a network.
    """

    def __init__(self, headers: Mapping[str, str], transport: httpx2.AsyncBaseTransport | None) -> None:
        self._coming: set[Future[Answer]] = set()
        self._opened = ExitStack()
        self._loop = self._opened.enter_context(start_blocking_portal())
        http = httpx2.AsyncClient(headers=headers, timeout=None, transport=transport)
        self._http = self._opened.enter_context(self._loop.wrap_async_context_manager(http))

    def close(self) -> None:
        """Close them all."""
        self._opened.close()

    def give_up(self) -> None:
        """End all exchanges that are under way."""
        for coming in [*self._coming]:
            coming.cancel()

    def send(self, method: str, url: str, body: Mapping[str, Any] | None, seconds: float) -> Answer:
        """Send one request and wait for the whole answer: so many seconds for name look-up, connection, head and body together.

        Raises:
            Unreached: There is none, or not in time.
            Malformed: It is too long.
        """
        coming = self._loop.start_task_soon(self._exchange, method, url, body, seconds)
        self._coming.add(coming)
        try:
            return coming.result()
        except CancelledError:
            raise Passing("given up") from None
        finally:
            coming.cancel()  # where Ctrl+C has ended the wait
            self._coming.discard(coming)

    async def _exchange(
        self, method: str, url: str, body: Mapping[str, Any] | None, seconds: float
    ) -> Answer:
        try:
            with anyio.fail_after(seconds):
                async with self._http.stream(method, url, json=body) as response:
                    whole = await bounded(response)
        except TimeoutError:
            raise Unreached(f"the answer took longer than {seconds:g} s") from None
        except (httpx2.HTTPError, httpx2.StreamError, httpx2.InvalidURL) as error:
            raise Unreached(f"{type(error).__name__}: {reason(error)}".removesuffix(": ")) from None
        return Answer(response.status_code, whole, response.headers.get("retry-after"))


def reason(error: BaseException) -> str:
    """Return what the system said first, such as "Connection refused"; where it said nothing, what the error says."""
    first = error
    while below := first.__cause__ or first.__context__:
        first = below.exceptions[0] if isinstance(below, BaseExceptionGroup) else below
    if isinstance(first, OSError) and first.errno is not None and first.errno > 0:
        return os.strerror(first.errno)
    return str(error)


async def bounded(response: httpx2.Response) -> bytes:
    """Return the body of a response.

    Raises:
        Malformed: It is too long.
    """
    whole = bytearray()
    async for part in response.aiter_bytes():
        whole += part
        if len(whole) > LARGEST_ANSWER:
            raise Malformed(f"the answer is longer than {LARGEST_ANSWER} bytes")
    return bytes(whole)
