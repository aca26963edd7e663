"""Checks of requests, off the event loop: a few at a time, a large one alone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from anyio import to_thread

from sampling.server.errors import no_turn

AT_ONCE = 4  # threads that check requests, and as many that write answers: each may hold the others up
LARGE = 2**16  # bytes of a body whose check may take a while: those are checked one at a time
TURN = 60.0  # seconds that a request may wait for its check

T = TypeVar("T")


class Turns:
    """Lets requests be checked in the order in which they come."""

    def __init__(self) -> None:
        self._small, self._large = asyncio.Semaphore(AT_ONCE), asyncio.Semaphore(1)

    async def check(self, body: bytes, check: Callable[[bytes], T]) -> T:
        """Check a request, all of it, on one of a few threads.

        Raises:
            ApiError: It is not its turn in time.
        """
        turns = self._large if len(body) > LARGE else self._small
        try:
            async with asyncio.timeout(TURN):
                await turns.acquire()
        except TimeoutError:
            raise no_turn(TURN) from None
        try:
            return await to_thread.run_sync(check, body)
        finally:
            turns.release()
