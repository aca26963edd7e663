"""What a client sends, and whether it is still there."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import TypeVar

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect, Request
from starlette.types import Receive, Scope

from sampling.server.errors import body_too_large, late_body

T = TypeVar("T")


async def read_body(scope: Scope, receive: Receive, limit: int, seconds: float) -> bytes:
    """Read a request's body in so many seconds; one of more bytes than the limit is not read any further.

    Raises:
        ApiError: The body is longer, or says so, or does not come to an end in time.
        ClientDisconnect: The client left.
    """
    if int(Headers(scope=scope).get("content-length", 0)) > limit:
        raise body_too_large(limit)
    body = bytearray()
    try:
        async with asyncio.timeout(seconds):
            async for part in Request(scope, receive).stream():
                body += part
                if len(body) > limit:
                    raise body_too_large(limit)
    except TimeoutError:
        raise late_body(seconds) from None
    return bytes(body)


async def unless_gone(work: Coroutine[None, None, T], *gone: Coroutine[None, None, object]) -> T:
    """Return what has come of some work; stop as soon as one of `gone` comes to its end, since then the client is gone.

    Raises:
        ClientDisconnect: One of them came before the end.
    """
    working, watching = asyncio.ensure_future(work), [asyncio.ensure_future(one) for one in gone]
    tasks = [working, *watching]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for one in watching:
            one.cancel()
        unfinished = working.cancel()
        await asyncio.wait(tasks)
    if unfinished:
        raise ClientDisconnect
    return working.result()


async def disconnect(receive: Receive) -> None:
    """Wait until the client has left."""
    while (await receive())["type"] != "http.disconnect":
        pass
