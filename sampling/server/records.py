"""What is known about one HTTP request, for its log line and its headers."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import Any

from starlette.types import Scope

KEY = "sampling.record"


@dataclass
class Record:
    """One request.

    Args:
        request_id: The completion's id, once there is one.
        status: The response's status, once it has begun.
        fields: What else its log line says.
    """

    request_id: str = field(default_factory=lambda: f"req-{uuid.uuid4().hex}")
    status: int | None = None
    fields: dict[str, Any] = field(default_factory=dict[str, Any])


def record_of(scope: Scope) -> Record:
    """Return the record of the request at hand."""
    return scope.setdefault(KEY, Record())
