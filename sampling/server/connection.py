"""What a client sends, and whether it is still there."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect, Request
from starlette.types import Receive, Scope

from sampling.errors import InvalidRequest
from sampling.server.errors import body_too_large

PATIENCE = 60.0  # seconds that a body may take


async def read_body(scope: Scope, receive: Receive, limit: int) -> bytes:
    """Read a request's body.

    Args:
        scope: The connection's.
        receive: The connection's.
        limit: Most bytes; a longer body is not read any further.

    Raises:
        ApiError: The body is longer, or says so.
        InvalidRequest: It does not come to an end in time, so that a half-sent one can not keep a server from ending.
        ClientDisconnect: The client left.
    """
    if int(Headers(scope=scope).get("content-length", 0)) > limit:
        raise body_too_large(limit)
    body = bytearray()
    try:
        async with asyncio.timeout(PATIENCE):
            async for part in Request(scope, receive).stream():
                body += part
                if len(body) > limit:
                    raise body_too_large(limit)
    except TimeoutError:
        raise InvalidRequest("body", Unfinished(), f"complete within {PATIENCE:g} seconds") from None
    return bytes(body)


class Unfinished:
    """What errors show in place of a body that did not end."""

    def __repr__(self) -> str:
        return "a part of it"


async def unless_disconnected(work: Coroutine[None, None, None], receive: Receive) -> None:
    """Do some work, and stop as soon as the client has left.

    Raises:
        ClientDisconnect: It left before the end.
    """
    tasks = working, watching = asyncio.ensure_future(work), asyncio.ensure_future(disconnect(receive))
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        watching.cancel()
        unfinished = working.cancel()
        await asyncio.wait(tasks)
    if unfinished:
        raise ClientDisconnect
    working.result()


async def disconnect(receive: Receive) -> None:
    """Wait until the client has left."""
    while (await receive())["type"] != "http.disconnect":
        pass
