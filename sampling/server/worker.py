"""The thread that decodes: jobs get rows, run together, and leave."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial

from sampling.chat.batch import ChatBatch
from sampling.chat.completion import Completion, TokenEvent
from sampling.core.errors import NotEnoughMemory
from sampling.server.errors import ApiError, api_error, internal, not_enough_memory, shutting_down
from sampling.server.job import Chunks, Ended, Job
from sampling.server.logs import log
from sampling.server.metrics import Metrics
from sampling.server.queue import JobQueue


class Worker:
    """Decodes jobs in one batch, on one thread that sleeps while there is nothing to do.

    A fault in a job ends that job. A fault of the batch ends the jobs in it; the next one gets a new batch.
    """

    def __init__(self, new_batch: Callable[[], ChatBatch], most_waiting: int, metrics: Metrics) -> None:
        self._new_batch, self._metrics = new_batch, metrics
        self._batch: ChatBatch | None = new_batch()
        self._rows = self._batch.rows
        self._running: dict[Completion, Job] = {}
        self._undelivered: list[tuple[Job, Chunks | Ended]] = []
        self._thread: threading.Thread | None = None
        self.queue = JobQueue(most_waiting, self._rows)
        metrics.rows.set(self._rows)
        metrics.requests_entering.set_function(lambda: self.queue.entering)
        metrics.requests_waiting.set_function(lambda: len(self.queue))

    def start(self) -> None:
        """Start the thread, from the event loop that will await the jobs."""
        self.queue.open()
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._run, name="decoding", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Cancel pending jobs and join the thread."""
        self.queue.close()
        if self._thread is not None:
            self._thread.join()

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread is not None and self._thread.is_alive()

    def _run(self) -> None:
        """Decode until the queue is closed."""
        while self.queue.wait(busy=bool(self._running)):
            try:
                self._turn()
            except Exception as error:
                self._start_over(error)
            self._report()
        while (job := self.queue.next(self._rows)) is not None:
            self._end(job, shutting_down())
        self._end_all(shutting_down())
        self._report()

    def _turn(self) -> None:
        """Everything between two sleeps: who left, who comes, some of their prompts, one step."""
        for job in self.queue.given_up():
            if self._running.pop(job.completion, None) is not None:
                self._current().remove(job.completion)
        while (job := self.queue.next(self._free)) is not None:
            self._admit(job)
        self._report()
        if self._running:
            self._prefill()
        if self._running and self._current().decoding:
            self._step()

    def _admit(self, job: Job) -> None:
        """Promise a job its rows."""
        try:
            self._current().add(job.completion)
        except Exception as error:
            self._end(job, error)
            return
        job.begin()
        self._running[job.completion] = job
        self._metrics.queue_seconds.observe(job.queued)

    def _prefill(self) -> None:
        """Read the next parts of prompts."""
        for completion, prefill in self._current().prefill():
            job = self._running[completion]
            if completion.error is not None:
                self._end(job, completion.error)
                continue
            self._metrics.prefill_seconds.observe(prefill.seconds)
            self._metrics.tokens.labels("prompt").inc(len(completion.prepared.prompt_ids))
            if self._tell(job, job.start) and not completion.running:
                self._end(job)
        self._report()

    def _step(self) -> None:
        """One token for every choice."""
        with self._metrics.step_seconds.time():
            stepped = self._current().step()
        for completion, events in stepped:
            self._advance(self._running[completion], events)

    def _advance(self, job: Job, events: Sequence[TokenEvent]) -> None:
        """Tell a job what has become of it in a step."""
        completion = job.completion
        if completion.error is not None:
            self._end(job, completion.error)
            return
        self._metrics.tokens.labels("completion").inc(len(events))
        if not job.sampled:
            self._metrics.first_token_seconds.observe(time.monotonic() - job.entered)
        if self._tell(job, partial(job.take, events)) and not completion.running:
            self._end(job)

    def _tell(self, job: Job, chunks: Callable[[], Chunks]) -> bool:
        """Hand a job chunks; one that cannot be told is given up."""
        try:
            self._undelivered.append((job, chunks()))
        except Exception as error:
            if job.completion.running:
                self._current().remove(job.completion)
            self._end(job, error)
            return False
        return True

    def _end(self, job: Job, error: Exception | None = None) -> None:
        """Give a job its last event."""
        self._running.pop(job.completion, None)
        answer = None if error is None else self._answer(error)
        self._undelivered.append((job, Ended(answer)))
        if answer is not None and answer.status == 500 and error is not answer:
            log("request_failed", logging.ERROR, failure=error, request_id=job.completion.id)

    def _answer(self, error: Exception) -> ApiError:
        """Return what a job is told; where memory ends it matters whether others have a part of it."""
        if isinstance(error, NotEnoughMemory):
            return not_enough_memory(error, alone=not self._running)
        return api_error(error)

    def _end_all(self, error: ApiError) -> None:
        for job in [*self._running.values()]:
            self._end(job, error)

    def _start_over(self, error: Exception) -> None:
        """Give the batch up, and everything in it."""
        self._batch = None
        ids = [completion.id for completion in self._running]
        log("batch_failed", logging.ERROR, failure=error, request_ids=ids)
        self._end_all(internal())

    def _current(self) -> ChatBatch:
        """Return the batch; a new one if the last was given up."""
        if self._batch is None:
            self._batch = self._new_batch()
        return self._batch

    @property
    def _free(self) -> int:
        return self._rows if self._batch is None else self._batch.free_rows

    def _report(self) -> None:
        """Hand events to the event loop, and say how full the batch is."""
        self._metrics.rows_running.set(self._rows - self._free)
        self._metrics.requests_running.set(len(self._running))
        events, self._undelivered = self._undelivered, []
        if not events:
            return
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody listens any more
            self._loop.call_soon_threadsafe(deliver, events)


def deliver(events: Sequence[tuple[Job, Chunks | Ended]]) -> None:
    """Hand each job its events."""
    for job, item in events:
        job.deliver(item)
