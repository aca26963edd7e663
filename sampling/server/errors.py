"""Every error that a client can get, as a status and a body."""

from __future__ import annotations

import errno
from collections.abc import Mapping
from typing import Any

from h11 import RemoteProtocolError
from starlette.exceptions import HTTPException

from sampling.core.errors import (
    CheckpointError,
    InvalidArgument,
    InvalidRequest,
    NotEnoughMemory,
    Overloaded,
    RowError,
    listed,
)
from sampling.server.paths import CHAT_PATHS, MODELS_PATHS, TEXT_PATHS

BAD_REQUEST = "invalid_request_error"
LATER = {"Retry-After": "1"}  # seconds


class ApiError(Exception):
    """An answer that is an error.

    Args:
        status: The HTTP status.
        message: What is wrong, for people.
        kind: The body's `type`.
        param: The field that is to blame, if one is.
        code: A word for programs, if there is one.
        headers: Headers that belong to the status.
    """

    def __init__(
        self,
        status: int,
        message: str,
        kind: str = BAD_REQUEST,
        *,
        param: str | None = None,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.kind, self.param, self.code = status, message, kind, param, code
        self.headers = dict(headers or {})

    @property
    def body(self) -> dict[str, Any]:
        """The response's body."""
        fields = {"message": self.message, "type": self.kind, "param": self.param, "code": self.code}
        return {"error": fields}


def unauthorized() -> ApiError:
    """Refuse a request without the bearer token, or with a wrong one."""
    words = "a valid API key is needed: send the header Authorization: Bearer KEY"
    headers = {"WWW-Authenticate": "Bearer"}
    return ApiError(401, words, "authentication_error", code="invalid_api_key", headers=headers)


def unknown_model(name: str, served: tuple[str, ...]) -> ApiError:
    """Refuse a request for a model that is not served."""
    error = InvalidRequest("model", name, f"one of {listed(served)}")
    return ApiError(404, str(error), "not_found_error", param="model", code="model_not_found")


def not_for_pages() -> ApiError:
    """Refuse a browser's question for an origin, a method or a header that is not allowed."""
    words = "pages of this origin may not send this request; serve with --cors ORIGIN for those that may"
    return ApiError(400, words, code="cors_not_allowed")


def body_too_large(limit: int) -> ApiError:
    """Refuse a body of more bytes than are read."""
    return ApiError(413, f"the body must have at most {limit} bytes", code="body_too_large")


def queue_full(waiting: int) -> ApiError:
    """Refuse a request because as many wait as may wait."""
    words = f"{waiting} requests wait already, and no more may; try again later"
    return ApiError(429, words, "rate_limit_error", code="queue_full", headers=LATER)


def shutting_down() -> ApiError:
    """Refuse a request because the server takes no new work."""
    words = "the server takes no requests: it is shutting down"
    return ApiError(503, words, "server_error", code="shutting_down")


def connections_full(most: int) -> ApiError:
    """Refuse a connection because as many are open as may be."""
    words = f"{most} connections are open, and no more may be; try again later"
    return ApiError(503, words, "server_error", code="too_many_connections", headers=LATER)


def no_turn(seconds: float) -> ApiError:
    """Refuse a request because those before it were not checked in time."""
    return overloaded(f"the request could not be checked within {seconds:g} seconds, others come first")


def overloaded(why: str) -> ApiError:
    """Refuse what asks for too much at a time."""
    words = f"{why}; try again later"
    return ApiError(503, words, "server_error", code="overloaded", headers=LATER)


def late_head(seconds: float) -> ApiError:
    """Refuse a request whose head did not come to its end in time."""
    words = f"the head of a request must be complete within {seconds:g} seconds"
    return ApiError(408, words, code="request_timeout")


def late_body(seconds: float) -> ApiError:
    """Refuse a request whose body did not come to its end in time."""
    words = f"body: must be complete within {seconds:g} seconds"
    return ApiError(408, words, param="body", code="request_timeout")


def head_too_large(most: int) -> ApiError:
    """Refuse a head of more bytes than are read."""
    words = f"the head of a request must have at most {most} bytes of line and headers"
    return ApiError(431, words, code="head_too_large")


def invalid_http(error: RemoteProtocolError) -> ApiError:
    """Refuse what h11 cannot read, with those of its words that are its own."""
    words = f"the request is not HTTP/1.1: {str(error).partition(': bytearray')[0]}"
    return ApiError(error.error_status_hint, words, code="invalid_http")


def other_version(version: str) -> ApiError:
    """Refuse another version of HTTP."""
    words = f"the version of HTTP must be 1.0 or 1.1, not {version}"
    return ApiError(505, words, code="invalid_http")


def two_lengths() -> ApiError:
    """Refuse a body whose end is told in two ways."""
    words = "the request must have Content-Length or Transfer-Encoding, not both"
    return ApiError(400, words, code="invalid_http")


def internal() -> ApiError:
    """Answer for a fault of the server."""
    words = "the server failed on this request; its log says why, under the response's x-request-id"
    return ApiError(500, words, "server_error", code="internal_error")


def not_enough_memory(error: NotEnoughMemory, *, alone: bool) -> ApiError:
    """Refuse what does not fit into memory: for good where nobody else has any of it, else for now."""
    words = f"{error}; --max-context bounds it for all requests"
    if alone:
        return ApiError(400, words, param=error.param, code="out_of_memory")
    words = f"{words}; other requests take memory, too: try again later"
    return ApiError(503, words, "server_error", param=error.param, code="out_of_memory", headers=LATER)


def routing(error: HTTPException) -> ApiError:
    """Refuse a path that does not exist, or not with that method."""
    allowed = ", ".join(sorted((error.headers or {}).get("Allow", "others").split(", ")))
    words = {
        404: f"there is no such path: completions are all that is offered, of chats at POST {CHAT_PATHS[0]}, of texts at "
        f"POST {TEXT_PATHS[0]}; models are listed at GET {MODELS_PATHS[0]}",
        405: f"the path does not take this method; it takes {allowed}",
    }
    codes = {404: "not_found", 405: "method_not_allowed"}
    message = words.get(error.status_code, error.detail)
    return ApiError(error.status_code, message, code=codes.get(error.status_code), headers=error.headers)


def api_error(error: BaseException) -> ApiError:
    """Return the answer to any exception."""
    match error:
        case ApiError():
            return error
        case InvalidArgument():
            return ApiError(400, str(error), param=error.param)
        case NotEnoughMemory():
            return not_enough_memory(error, alone=False)
        case RowError():
            return ApiError(500, str(error), "server_error", code="row_error")
        case CheckpointError():  # its chat template, such as it is, can serve no request
            return ApiError(500, str(error), "server_error", code="checkpoint_error")
        case Overloaded():
            return overloaded(str(error))
        case HTTPException():
            return routing(error)
        case OSError(errno=errno.EMFILE | errno.ENFILE):
            return overloaded("the server has no file descriptor left")
        case _:
            return internal()
