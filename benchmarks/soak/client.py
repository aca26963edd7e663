"""A client that asks for chat completions and reads what comes, whole or in chunks."""

from __future__ import annotations

import http.client
import json
import time
from dataclasses import dataclass
from typing import Any

from benchmarks.soak.answers import comparable, complaint, read_answer
from benchmarks.soak.serving import CHAT, Address

Json = Any


@dataclass(frozen=True)
class Reply:
    """What came of a request.

    Args:
        seconds: Until the last byte.
        first_seconds: Until the first content or the end.
        answer: What has to be the same each time; None if the request failed.
        problem: Why it failed, if it did.
        seed: The seed that the server chose, if it did.
    """

    seconds: float
    first_seconds: float
    answer: Json = None
    problem: str | None = None
    seed: int | None = None


def ask(address: Address, request: Json, connection: http.client.HTTPConnection | None = None) -> Reply:
    """Ask for a completion.

    Args:
        address: The server's.
        request: The request.
        connection: An open connection to use; else one of its own.
    """
    own = connection or address.connect()
    started = time.perf_counter()
    try:
        own.request("POST", CHAT, json.dumps(request).encode())
        response = own.getresponse()
        first, content = read_all(response)
    except (OSError, http.client.HTTPException) as error:
        own.close()
        return Reply(time.perf_counter() - started, 0.0, problem=repr(error))
    finally:
        if connection is None:
            own.close()
    ended = time.perf_counter()
    return judged(request, response.status, content, ended - started, first - started)


def read_all(response: http.client.HTTPResponse) -> tuple[float, bytes]:
    """When the first content came, and all of the body."""
    lines, first = [], 0.0
    while line := response.readline():
        lines.append(line)
        if not first and b'"content": ' in line:
            first = time.perf_counter()
    response.close()  # which `readline` does not do at the end of a body
    return first, b"".join(lines)


def judged(request: Json, status: int, content: bytes, seconds: float, first: float) -> Reply:
    """The reply, and whether it is complete."""
    if status != 200:
        return Reply(seconds, first, problem=f"{status}: {content[:200]!r}")
    stream, logprobs = bool(request.get("stream")), bool(request.get("logprobs"))
    try:
        answer = read_answer(content, stream=stream, logprobs=logprobs)
    except ValueError as error:
        return Reply(seconds, first, problem=str(error))
    return Reply(seconds, first, comparable(answer), complaint(answer, request), answer.get("seed"))
