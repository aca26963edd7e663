"""A connection's way out: it ends gently, and it can find out whether somebody still listens."""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import Any

START = b"HTTP/1.1 "  # how every response begins
LINGER = 2.0  # seconds in which a client that still sends may take notice of the answer
MOST_DISCARDED = 2**24  # bytes that are read in that time, and forgotten
RESET = struct.pack("ii", 1, 0)  # to linger on, for no second


class Outgoing:
    """The transport of a server's connection, as the event loop gives it, but for how it writes and how it ends.

    Attributes:
        gently: Whether `close` lets the client take notice of the answer although it still sends. A connection that is closed
            while bytes come in is reset, and with it the answer is lost.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport, self._loop = transport, loop
        self._ahead = 0  # bytes of the next response that are written already
        self._discarded = 0
        self._lingering: asyncio.TimerHandle | None = None
        self._over = self.gently = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send bytes, those left out that were sent ahead."""
        self._transport.write(bytes(data)[self._ahead :] if self._ahead else data)
        self._ahead = 0

    def send_ahead(self) -> bool:
        """Send one byte more of how the next response begins, whatever it is; false if there is none left.

        A client that has closed its side may still listen, and gets this byte early. Where nobody listens any more, the byte is
        answered by a reset, which the next one meets.
        """
        if self._ahead == len(START):
            return False
        self._transport.write(START[self._ahead : self._ahead + 1])
        self._ahead += 1
        return True

    def discard(self, data: bytes) -> None:
        """Forget what came after the end."""
        self._discarded += len(data)
        if self._discarded > MOST_DISCARDED:
            self.abort()

    def close(self) -> None:
        """End it once everything is sent."""
        if self.gently and not self.is_closing():
            self._transport.resume_reading()  # to see the client's end
            self._transport.write_eof()
            self._lingering = self._loop.call_later(LINGER, self._transport.abort)
        elif not self.gently:
            self._transport.close()

    def abort(self) -> None:
        """End it at once, and forget what is unsent: by a reset, so that what has come does not look whole."""
        if self._over:
            return
        self._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self._transport.abort()

    def lost(self) -> None:
        """Take note that it has ended."""
        self._over = True
        if self._lingering is not None:
            self._lingering.cancel()

    def is_closing(self) -> bool:
        """Whether its end has begun."""
        return self._lingering is not None or self._transport.is_closing()

    def __getattr__(self, name: str) -> Any:
        """Return what else a transport has."""
        return getattr(self._transport, name)
