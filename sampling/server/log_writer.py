"""Lines to a file descriptor, written by a thread of their own: whoever has a line to say never waits for its reader."""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import select
import threading
from collections.abc import Callable

MOST_WAITING = 4096  # lines
PATIENCE = 1.0  # seconds that the last lines get at the end


class LineWriter(logging.Handler):
    """Writes log records as lines; what its reader does not take in time is dropped, and counted.

    Python's own writers hold a lock while they wait for a full pipe, which would stop every thread that has something to log,
    and the end of the process. Here one thread waits, without a lock, and the process ends without it.

    Args:
        descriptor: An open file, such as 2.
        dropped: Makes the line that tells how many were dropped.
        most_waiting: How many lines may wait to be written.
    """

    def __init__(
        self, descriptor: int, dropped: Callable[[int], str], most_waiting: int = MOST_WAITING
    ) -> None:
        super().__init__()
        # closed elsewhere, its number could become that of a connection
        self._descriptor = os.dup(descriptor)
        self._tell_dropped = dropped
        self._dropped = 0
        self._ended = False
        self._lines: queue.Queue[str | None] = queue.Queue(most_waiting)
        self._thread = threading.Thread(target=self._run, name="logging", daemon=True)
        self._thread.start()

    def emit(self, record: logging.LogRecord) -> None:
        """Hand a line over; the lock of `logging` is held, for as long as that takes."""
        try:
            line = self.format(record)
        except Exception:  # somebody else's record that does not fit together must not end whoever logs it
            self._dropped += 1
            return
        lines = f"{self._tell_dropped(self._dropped)}\n{line}\n" if self._dropped else f"{line}\n"
        try:
            self._lines.put_nowait(lines)
            self._dropped = 0
        except queue.Full:
            self._dropped += 1

    def close(self) -> None:
        """Write what waits, if somebody reads it; `logging` closes every handler once more at the end."""
        if self._ended:
            return
        self._ended = True
        with contextlib.suppress(queue.Full):
            self._lines.put(None, timeout=PATIENCE)
            self._thread.join(PATIENCE)
        super().close()

    def _run(self) -> None:
        while (lines := self._lines.get()) is not None:
            with contextlib.suppress(OSError):  # nobody is there to read it any more
                write_all(self._descriptor, lines.encode(errors="backslashreplace"))
        os.close(self._descriptor)


def write_all(descriptor: int, data: bytes) -> None:
    """Write all of some bytes, however long that takes; the descriptor may be one that does not block by itself."""
    left = memoryview(data)
    while left:
        try:
            left = left[os.write(descriptor, left) :]
        except BlockingIOError:
            select.select([], [descriptor], [])
