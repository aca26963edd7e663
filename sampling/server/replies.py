"""Values and errors as responses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from sampling.server.errors import api_error
from sampling.server.json_text import json_bytes


def json_response(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return a value as the body of a response."""
    return Response(json_bytes(value), status, headers, media_type="application/json")


def error_response(error: Exception) -> Response:
    """Return the response to an exception."""
    answer = api_error(error)
    return json_response(answer.body, answer.status, answer.headers)


async def answer_error(_: Request, error: Exception) -> Response:
    """As `error_response`, where an application expects a handler."""
    return error_response(error)
