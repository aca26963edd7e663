"""Structured logs: one JSON object a line, on standard error, without the contents of messages."""

from __future__ import annotations

import json
import logging
import time
from datetime import UTC, datetime

LEVELS = {"sampling": logging.INFO, "uvicorn.error": logging.WARNING, "asyncio": logging.WARNING}

logger = logging.getLogger("sampling.server")


def log(
    event: str, level: int = logging.INFO, *, failure: BaseException | None = None, **fields: object
) -> None:
    """Log one event.

    Args:
        event: What happened, a word or two.
        level: As in `logging`.
        failure: An exception whose traceback belongs to it.
        fields: What else there is to say.
    """
    logger.log(level, event, exc_info=failure, extra={"fields": fields})


class Seldom:
    """Logs one event a second at most, with how many there were since the line before."""

    def __init__(self) -> None:
        self._next, self._count = 0.0, 0

    def __call__(self, event: str, **fields: object) -> None:
        """Log it, as `log` does, as a warning."""
        self._count += 1
        if time.monotonic() >= self._next:
            logger.warning(event, extra={"fields": {**fields, "times": self._count}})
            self._next, self._count = time.monotonic() + 1, 0


class JsonLines(logging.Formatter):
    """Makes a log record one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """The line: time, level, event and the event's own fields."""
        when = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        fields = {"time": when, "level": record.levelname.lower(), "event": record.getMessage()}
        if record.exc_info:
            fields["traceback"] = self.formatException(record.exc_info)
        return json.dumps({**fields, **getattr(record, "fields", {})}, default=str)


def log_to_standard_error() -> None:
    """Send the library's log, and the warnings of uvicorn and asyncio, to standard error."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines())
    for name, level in LEVELS.items():
        source = logging.getLogger(name)
        source.handlers, source.propagate = [handler], False
        source.setLevel(level)
