"""Jobs that wait for rows: all that the event loop and the decoding thread share."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Generator, Sequence
from contextlib import contextmanager

from sampling.server.errors import queue_full, shutting_down
from sampling.server.job import Job


class JobQueue:
    """First in, first out; bounded.

    Args:
        most_waiting: How many jobs may wait, and requests that are still checked; those do not count for which rows are free.
        free: How many rows are free.

    Attributes:
        draining: Whether new jobs are refused. A signal handler may set it, so no lock guards it.
        entering: How many requests are checked, or wait for that.
    """

    def __init__(self, most_waiting: int, free: int) -> None:
        self.draining = False
        self.entering = 0
        self._most_waiting, self._free = most_waiting, free
        self._changed = threading.Condition()
        self._waiting: deque[Job] = deque()
        self._given_up: list[Job] = []
        self._closed = True

    def __len__(self) -> int:
        """How many jobs wait."""
        return len(self._waiting)

    def require_room(self) -> None:
        """Refuse one request more where there is no place for it.

        Raises:
            ApiError: The queue is full, or the server is shutting down.
        """
        with self._changed:
            self._require(self.entering * [1] + [1])  # at least; what they ask for is not known yet

    @contextmanager
    def place(self) -> Generator[None]:
        """Keep a place for a request while it is checked.

        Raises:
            ApiError: The queue is full, or the server is shutting down.
        """
        with self._changed:
            self.require_room()
            self.entering += 1
        try:
            yield
        finally:
            with self._changed:
                self.entering -= 1

    def submit(self, job: Job) -> None:
        """Put the job of a request that has its place at the end.

        Raises:
            ApiError: There is no place for so many rows, or the server is shutting down.
        """
        with self._changed:
            self._require([job.rows])
            self._waiting.append(job)
            self._changed.notify()

    def give_up(self, jobs: Sequence[Job]) -> None:
        """Take the jobs of a request out, wherever they are by now; nothing happens to those that have ended."""
        with self._changed:
            for job in jobs:
                job.following = None
                if job in self._waiting:
                    self._waiting.remove(job)
                elif not job.over:
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
        """Return the jobs that were given up after they had left the queue, each once."""
        with self._changed:
            jobs, self._given_up = self._given_up, []
        return jobs

    def next(self, free: int) -> Job | None:
        """Take the job that has waited longest, if so many free rows suffice for it."""
        with self._changed:
            fits = bool(self._waiting) and self._waiting[0].rows <= free
            job = self._waiting.popleft() if fits else None
            if job and job.following:  # behind those of others
                self._waiting.append(job.following)
            self._free = free - job.rows if job else free
        return job

    def _require(self, more: list[int]) -> None:
        """Refuse jobs of so many rows each."""
        if self.draining or self._closed:
            raise shutting_down()
        if self._without_rows(more) > self._most_waiting:
            raise queue_full(self._most_waiting)

    def _without_rows(self, more: list[int]) -> int:
        """How many jobs have to wait once some more, of so many rows each, have joined."""
        free, wanted = self._free, [*(job.rows for job in self._waiting), *more]
        for index, rows in enumerate(wanted):
            free -= rows
            if free < 0:
                return len(wanted) - index
        return 0
