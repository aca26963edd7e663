"""Jobs that wait for rows: all that the event loop and the decoding thread share."""

from __future__ import annotations

import threading
from collections import deque

from sampling.server.errors import queue_full, shutting_down
from sampling.server.job import Job


class JobQueue:
    """First in, first out; bounded.

    Args:
        most_waiting: How many jobs may wait; those do not count for which rows are free.
        free: How many rows are free.

    Attributes:
        draining: Whether new jobs are refused. A signal handler may set it, so no lock guards it.
    """

    def __init__(self, most_waiting: int, free: int) -> None:
        self.draining = False
        self._most_waiting, self._free = most_waiting, free
        self._changed = threading.Condition()
        self._waiting: deque[Job] = deque()
        self._given_up: list[Job] = []
        self._closed = True

    def __len__(self) -> int:
        """How many jobs wait."""
        return len(self._waiting)

    def submit(self, job: Job) -> None:
        """Put a job at the end.

        Raises:
            ApiError: The queue is full, or the server is shutting down.
        """
        with self._changed:
            self.require_room(job.rows)
            self._waiting.append(job)
            self._changed.notify()

    def require_room(self, rows: int = 1) -> None:
        """Refuse a job of so many rows where there is no place for it.

        Raises:
            ApiError: The queue is full, or the server is shutting down.
        """
        if self.draining or self._closed:
            raise shutting_down()
        with self._changed:
            if self._without_rows(rows) > self._most_waiting:
                raise queue_full(self._most_waiting)

    def give_up(self, job: Job) -> None:
        """Take a job out, wherever it is by now; nothing happens if it has ended."""
        if job.over:
            return
        with self._changed:
            if job in self._waiting:
                self._waiting.remove(job)
            else:
                self._given_up.append(job)
            self._changed.notify()

    def open(self) -> None:
        """Let jobs in."""
        self._closed = False

    def close(self) -> None:
        """Let no more jobs in, and wake the decoding thread for the last time."""
        with self._changed:
            self._closed = True
            self._changed.notify()

    def wait(self, *, busy: bool) -> bool:
        """Sleep until there is something to do, not at all when busy; false once the queue is closed."""
        with self._changed:
            self._changed.wait_for(lambda: busy or self._closed or self._waiting or self._given_up)
            return not self._closed

    def given_up(self) -> list[Job]:
        """The jobs that were given up after they had left the queue, each once."""
        with self._changed:
            jobs, self._given_up = self._given_up, []
        return jobs

    def next(self, free: int) -> Job | None:
        """Take the job that has waited longest, if so many free rows suffice for it."""
        with self._changed:
            fits = bool(self._waiting) and self._waiting[0].rows <= free
            job = self._waiting.popleft() if fits else None
            self._free = free - job.rows if job else free
        return job

    def _without_rows(self, last: int) -> int:
        """How many jobs have to wait once one of so many rows has joined."""
        free, wanted = self._free, [*(job.rows for job in self._waiting), last]
        for index, rows in enumerate(wanted):
            free -= rows
            if free < 0:
                return len(wanted) - index
        return 0
