"""Structured logs: one JSON object a line, on standard error, without the contents of messages."""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TextIO

from sampling.core.errors import shortened
from sampling.server.log_writer import LineWriter

LONGEST_TEXT = 8000  # characters of a traceback

logger = logging.getLogger("sampling.server")


def log(
    event: str, level: int = logging.INFO, *, failure: BaseException | None = None, **fields: object
) -> None:
    """Log one event, a word or two, with its fields and the traceback of a failure that belongs to it."""
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
        """Return the line: time, level, event and the event's own fields."""
        fields = {"level": record.levelname.lower(), "event": shortened(record.getMessage(), LONGEST_TEXT)}
        if record.exc_info:
            fields["traceback"] = shortened(self.formatException(record.exc_info), LONGEST_TEXT)
        return line_of(record.created, {**fields, **getattr(record, "fields", {})})


def line_of(seconds: float, fields: Mapping[str, object]) -> str:
    """Return a line that says when, in Unix seconds, and what."""
    when = datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
    return json.dumps({"time": when, **fields}, default=str)


def dropped_line(count: int) -> str:
    """Return the line that tells of lines that nobody took."""
    return line_of(time.time(), {"level": "warning", "event": "log_lines_dropped", "count": count})


@contextmanager
def logging_to_standard_error() -> Generator[None]:
    """Send the library's log, and the warnings of everything else, to standard error; nothing waits for its reader."""
    stream: TextIO | None = sys.stderr
    if stream is None:  # it was closed when the process began, and its number may be that of anything now
        yield
        return
    writer = LineWriter(stream.fileno(), dropped_line)
    writer.setFormatter(JsonLines())
    root, own = logging.getLogger(), logging.getLogger("sampling")
    handlers, level = root.handlers, own.level
    root.handlers = [writer]
    own.setLevel(logging.INFO)
    logging.captureWarnings(True)
    try:
        yield
    finally:
        logging.captureWarnings(False)
        root.handlers = handlers
        own.setLevel(level)
        writer.close()
