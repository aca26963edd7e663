"""A listening socket that rests where the process can take no more connections."""

from __future__ import annotations

import errno
import socket
import time
from typing import Any

EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
REST = 0.5  # seconds; asyncio itself tries again after one


class Listener(socket.socket):
    """A socket on which one attempt to accept a connection fails at a time.

    Where file descriptors are used up, asyncio tries as often as the backlog is long, logs each failure and schedules as many
    attempts more. Here the second attempt finds nobody who waits: one line a second, until a descriptor is free.
    """

    _tired = float("-inf")

    def accept(self) -> tuple[socket.socket, Any]:
        """Take the next connection.

        Raises:
            BlockingIOError: There is none, or there was no descriptor for one just now.
            OSError: There is no descriptor for it.
        """
        if time.monotonic() < self._tired + REST:
            raise BlockingIOError(errno.EAGAIN, "resting")
        try:
            return super().accept()
        except OSError as error:
            if error.errno in EXHAUSTED:
                self._tired = time.monotonic()
            raise
