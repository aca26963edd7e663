"""Structured logs: one JSON object a line, on standard error, without the contents of messages."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime

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
    """Send the library's log, and uvicorn's warnings, to standard error."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines())
    for name, level in (("sampling", logging.INFO), ("uvicorn.error", logging.WARNING)):
        source = logging.getLogger(name)
        source.handlers, source.propagate = [handler], False
        source.setLevel(level)
