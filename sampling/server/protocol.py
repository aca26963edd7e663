"""One connection and its requests, as HTTP has them: uvicorn's, with deadlines, and with answers that are ours."""

from __future__ import annotations

import asyncio
import logging
import sys
from typing import Any, cast

import h11
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn import Config
from uvicorn.protocols.http.h11_impl import STATUS_PHRASES, H11Protocol
from uvicorn.server import ServerState

from sampling.server.cors import headers_for
from sampling.server.deadline import Deadline
from sampling.server.errors import (
    ApiError,
    connections_full,
    head_too_large,
    invalid_http,
    late_head,
    shutting_down,
)
from sampling.server.heads import fault_of_head, origin_form
from sampling.server.logs import Seldom, log
from sampling.server.options import ServerOptions
from sampling.server.outgoing import Outgoing
from sampling.server.replies import error_response

LARGEST_HEAD = 2**14  # bytes of a request's line and headers
MOST_LATE = 2**18  # bytes that are kept of what comes while a request is answered
LEAST_TAKEN = 2**16  # bytes that a client takes in time, where it does not take all
ALONE = 0.02  # seconds after a client's end of file before it is asked whether it still listens


class HttpConnection(H11Protocol):
    """A connection whose client may do anything.

    Uvicorn reads and writes HTTP with h11, and calls the application. Here, besides: deadlines for a request's head and for
    what the client does not take; errors as JSON; an answer for a client that has closed its side and still listens; notice of
    one that has left after bytes too many; and a body that nobody wants is not read.

    Args:
        options: The deadlines and bounds.
        refusals: Logs connections that are refused.
        config: Uvicorn's.
        server_state: Uvicorn's.
        app_state: Uvicorn's.
    """

    def __init__(
        self,
        options: ServerOptions,
        refusals: Seldom,
        *,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._options, self._refusals = options, refusals
        self._app, self.app = cast("ASGIApp", self.app), cast("Any", self._serve)
        self._head = Deadline(self.loop, lambda: self._answer(late_head(options.head_timeout)))
        self._taking = Deadline(self.loop, self._miss_taking)
        self._question = Deadline(self.loop, self._ask)
        self._refusal: ApiError | None = None
        self._half_closed = False
        self._untaken = self._late = 0
        self._seen = b""  # of a request's head
        self._patience = ALONE

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Begin."""
        self._out = Outgoing(transport, self.loop)
        self._out.set_write_buffer_limits(high=0)
        super().connection_made(cast("asyncio.Transport", self._out))
        if len(self.connections) > self._options.max_connections:
            self.connections.discard(self)
            self._refusals("connection_refused", most=self._options.max_connections)
            self._answer(connections_full(self._options.max_connections))
        else:
            # let the client begin in time
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        self._out.lost()
        for deadline in (self._head, self._taking, self._question):
            deadline.stop()
        self._unset_keepalive_if_required()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read what came; between requests line ends mean nothing (RFC 9112, 2.2)."""
        if self._out.is_closing() or self.conn.their_state in (h11.ERROR, h11.MUST_CLOSE, h11.CLOSED):
            self._out.discard(data)
        elif self._answering and not self.cycle.more_body:
            self._keep(data)
        elif self._head.running or self.conn.their_state is not h11.IDLE or (data := data.lstrip(b"\r\n")):
            if self.conn.their_state is h11.IDLE:
                self._seen = (self._seen + data)[:LARGEST_HEAD]
            super().data_received(data)
            self._await_head()

    def eof_received(self) -> bool:  # pyright: ignore[reportIncompatibleMethodOverride]: as asyncio has it
        """Take note that the client sends no more; true while there is something to answer."""
        self._half_closed = self._answering and not self.cycle.more_body and not self._out.is_closing()
        if self._half_closed:
            self._begin_to_ask()
        return self._half_closed

    def pause_writing(self) -> None:
        """Note that the client does not take everything at once."""
        super().pause_writing()
        self._await_taking()

    def resume_writing(self) -> None:
        """Note that the client has taken everything."""
        self._taking.stop()
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:
        """Answer what h11 cannot read; uvicorn calls this while it handles h11's exception."""
        error = cast("h11.RemoteProtocolError", sys.exception())
        too_large = error.error_status_hint == 431
        self._refuse(head_too_large(LARGEST_HEAD) if too_large else invalid_http(error))

    def on_response_complete(self) -> None:
        """Go on to the next request, which may have begun."""
        late, _ = self.conn.trailing_data
        self.conn = h11.Connection(h11.SERVER, LARGEST_HEAD)
        self._late, self._refusal, self._seen = 0, None, b""
        super().on_response_complete()
        if late:
            self.data_received(late)
        if self._half_closed:
            self._begin_to_ask() if self._answering else self._out.close()

    def _unsupported_upgrade_warning(self) -> None:
        """Say nothing: an upgrade is an offer, such as Java's to speak HTTP/2."""

    def shutdown(self) -> None:
        """Finish what has begun; what is not whole has not."""
        if self._out.is_closing():
            return
        if self._answering and self.cycle.more_body:
            self._refuse(shutting_down())
        super().shutdown()

    @property
    def _answering(self) -> bool:
        """Whether a request is at work whose answer is not complete."""
        return self.cycle is not None and not self.cycle.response_complete  # pyright: ignore[reportUnnecessaryComparison]

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Call the application, as uvicorn does for a request."""
        cycle, fault = self.cycle, fault_of_head(scope, LARGEST_HEAD)
        if fault is not None:
            cycle.keep_alive = False
        app = self._app if fault is None else self._response(fault)

        async def receiving() -> Message:
            message = await receive()
            if self._refusal is not None:
                raise self._refusal
            return message

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start" and (cycle.more_body or not cycle.keep_alive):
                message = {**message, "headers": [*message["headers"], (b"connection", b"close")]}
                self._out.gently = cycle.more_body
            await send(message)

        await app(origin_form(scope), receiving, sending)
        if not cycle.response_complete:
            cycle.disconnected = True
            self._out.abort()

    def _refuse(self, error: ApiError) -> None:
        """Answer in place of going on to read: through the application where it has the request, which logs and counts it."""
        if not self._answering:
            self._answer(error)
        elif not self.cycle.response_started:
            self._refusal = error
            self.cycle.message_event.set()

    def _answer(self, error: ApiError) -> None:
        """Answer below the application, and end."""
        response = self._response(error)
        headers = [*self.server_state.default_headers, *response.raw_headers, (b"connection", b"close")]
        for event in (
            h11.Response(status_code=error.status, headers=headers, reason=STATUS_PHRASES[error.status]),
            h11.Data(data=bytes(response.body)),
            h11.EndOfMessage(),
        ):
            self._out.write(self.conn.send(event))
        self._out.gently = not self._half_closed
        self._out.close()

    def _response(self, error: ApiError) -> Response:
        """Return the response to an error, for pages of other origins, too."""
        response = error_response(error)
        response.headers.update(headers_for(self._options.cors, self._seen))
        return response

    def _keep(self, data: bytes) -> None:
        """Keep the beginning of the next request until this one is answered; whoever sends very much is cut off."""
        self.conn.receive_data(data)
        self._late += len(data)
        if self._late > MOST_LATE:
            self._out.abort()

    def _await_head(self) -> None:
        """Let a head that has begun come to its end in time; after a whole request, go on reading to see the client leave."""
        if self.conn.their_state is h11.IDLE:
            self._head.start(self._options.head_timeout)
            return
        self._head.stop()
        if self.conn.their_state is not h11.SEND_BODY:
            self.flow.resume_reading()

    def _await_taking(self) -> None:
        """Let the client take what is sent in time."""
        self._untaken = self._out.get_write_buffer_size()
        self._taking.start(self._options.write_timeout)

    def _miss_taking(self) -> None:
        if self._untaken - self._out.get_write_buffer_size() >= LEAST_TAKEN:
            self._await_taking()
            return
        seconds, unsent = self._options.write_timeout, self._untaken
        log("client_does_not_read", logging.WARNING, seconds=seconds, unsent_bytes=unsent)
        self._out.abort()

    def _begin_to_ask(self) -> None:
        """Ask whether the client still listens after a moment, then after twice as much, and so on."""
        self._patience = ALONE
        self._question.start(self._patience)

    def _ask(self) -> None:
        waiting = self._answering and not self.cycle.response_started and not self._out.is_closing()
        if waiting and self._out.send_ahead():
            self._patience *= 2
            self._question.start(self._patience)
