"""A recorded trace as a target."""

from __future__ import annotations

from pathlib import Path

from sampling.conformance.trace.record import Record, read_trace
from sampling.conformance.typed import typed


class TraceTarget:
    """Completions that somebody has recorded.

    Args:
        path: A file as in docs/trace_format.md.

    Raises:
        InvalidArgument: It cannot be read.
    """

    kind = "trace"

    def __init__(self, path: str | Path) -> None:
        typed("trace", path, str | Path, "the path of a file")
        self.records: list[Record] = read_trace(Path(path))
        self.name = ", ".join(sorted({record.engine for record in self.records}))
        self.version = ", ".join(sorted({record.version for record in self.records if record.version}))
