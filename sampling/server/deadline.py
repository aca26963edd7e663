"""A time by which something has to have happened."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Deadline:
    """Calls a function unless it is stopped in time."""

    def __init__(self, loop: asyncio.AbstractEventLoop, missed: Callable[[], None]) -> None:
        self._loop, self._missed = loop, missed
        self._timer: asyncio.TimerHandle | None = None

    @property
    def running(self) -> bool:
        """Whether it is still to come."""
        return self._timer is not None

    def start(self, seconds: float) -> None:
        """Let it come after some seconds from now; one that is running already stays as it is."""
        if self._timer is None:
            self._timer = self._loop.call_later(seconds, self._come)

    def stop(self) -> None:
        """Let it not come."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _come(self) -> None:
        self._timer = None
        self._missed()
