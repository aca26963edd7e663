"""Endpoints without a network: what answers is a function."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx2
from conformance.proxy import Fields

from sampling.chat.language_model import LanguageModel
from sampling.conformance.endpoint.retries import RetryPolicy
from sampling.conformance.endpoint.target import EndpointTarget
from sampling.core.errors import InvalidArgument
from sampling.dialects import Dialect


class Fault(Exception):
    """An error of the server's own."""


SOON = RetryPolicy(seconds=5.0, tries=2, pause=0.001)


def answering(answer: Callable[[httpx2.Request], httpx2.Response], **settings: Any) -> EndpointTarget:
    """An endpoint whose answers a function gives."""
    given = {"model": "m", "patience": SOON, **settings}
    return EndpointTarget("http://endpoint", transport=httpx2.MockTransport(answer), **given)


def saying(body: object, status: int = 200) -> Callable[[httpx2.Request], httpx2.Response]:
    """One and the same answer to everything; text stays as it is."""
    text = body if isinstance(body, str) else json.dumps(body)
    return lambda request: httpx2.Response(status, text=text)


def event(data: str) -> str:
    """One server-sent event."""
    return f"data: {data}\n\n"


def in_process(
    toy: LanguageModel,
    *,
    dialect: str | Dialect = "qstash",
    ask: Callable[[Fields], Fields] = lambda asked: asked,
    answer: Callable[[Fields, Fields], Fields] = lambda asked, told: told,
    **settings: Any,
) -> EndpointTarget:
    """The library's own answers, and what becomes of requests and answers on the way."""

    def answered(request: httpx2.Request) -> httpx2.Response:
        fields = json.loads(request.content)
        try:
            told = toy.chat(**ask(dict(fields)), dialect=dialect)
        except InvalidArgument as error:
            return httpx2.Response(400, json={"error": {"message": str(error)}})
        except Fault as error:
            return httpx2.Response(500, json={"error": {"message": str(error)}})
        if fields.get("stream"):
            return httpx2.Response(200, text="".join(map(event, [*map(json.dumps, told), "[DONE]"])))
        return httpx2.Response(200, json=answer(fields, told))

    return answering(answered, **settings)
