"""What happens around every request: an id, a log line, a last resort, and the check of the key."""

from __future__ import annotations

import hmac
import logging
import time

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sampling.core.errors import one_line
from sampling.server.errors import unauthorized
from sampling.server.logs import log
from sampling.server.records import record_of
from sampling.server.replies import error_response

OPEN_PATHS = ("/health",)
LONGEST_PATH = 200  # characters of one in the log


class RequestLogMiddleware:
    """Gives every request an id and a log line."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        record, started = record_of(scope), time.monotonic()

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                record.status = message["status"]
                MutableHeaders(scope=message)["x-request-id"] = record.request_id
            await send(message)

        try:
            await self.app(scope, receive, sending)
        finally:
            log(
                "request",
                request_id=record.request_id,
                method=scope["method"],
                path=one_line(scope["path"], LONGEST_PATH),
                status=record.status,
                seconds=round(time.monotonic() - started, 6),
                **record.fields,
            )


class LastResort:
    """Answers with 500 where nobody else answers."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        record = record_of(scope)
        try:
            await self.app(scope, receive, send)
        except ClientDisconnect:
            record.fields["disconnected"] = True
        except Exception as error:
            log("request_failed", logging.ERROR, failure=error, request_id=record.request_id)
            if record.status is None:
                await error_response(error)(scope, receive, send)


class BearerKey:
    """Lets requests through that bring the key; where that is None, everybody's."""

    def __init__(self, app: ASGIApp, key: str | None) -> None:
        self.app, self._key = app, key

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or scope["path"] in OPEN_PATHS or self._opens(Headers(scope=scope)):
            await self.app(scope, receive, send)
        else:
            await error_response(unauthorized())(scope, receive, send)

    def _opens(self, headers: Headers) -> bool:
        if self._key is None:
            return True
        scheme, _, given = headers.get("authorization", "").partition(" ")
        same = hmac.compare_digest(given.strip().encode("latin-1"), self._key.encode())
        return same and scheme.lower() == "bearer"
