"""The application: routes, and what is around them."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from prometheus_client import CONTENT_TYPE_LATEST
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sampling.chat.loaded_model import LoadedModel
from sampling.core.errors import InvalidArgument
from sampling.server.chat import ChatEndpoint
from sampling.server.cors import CrossOrigin
from sampling.server.errors import ApiError, shutting_down
from sampling.server.middleware import BearerKey, LastResort, RequestLogMiddleware
from sampling.server.models import Models
from sampling.server.openapi import description
from sampling.server.options import ServerOptions
from sampling.server.paths import (
    CHAT_PATHS,
    DETOKENIZE_PATHS,
    MODELS_PATHS,
    TEXT_PATHS,
    TOKENIZE_PATHS,
    TOKENIZER_INFO_PATHS,
)
from sampling.server.replies import answer_error, json_response
from sampling.server.service import Service
from sampling.server.text import TextEndpoint
from sampling.server.tokenizer import TokenizerEndpoints
from sampling.server.turns import Turns


def create_app(loaded: LoadedModel, options: ServerOptions | None = None) -> Starlette:
    """Make an ASGI application that serves a model; its lifespan starts and stops the decoding thread.

    Args:
        loaded: The model, such as `sampling.load` gives it.
        options: How to serve it.

    Returns:
        The application; `app.state.service` is what it serves.

    Raises:
        InvalidArgument: The options do not fit the model.
    """
    service = Service(loaded, options or ServerOptions())
    read = OtherEndpoints(service)
    turns = Turns()
    chat, text = ChatEndpoint(service, turns), TextEndpoint(service, turns)
    models, tokenizer = Models(service), TokenizerEndpoints(service, turns)
    routes = [
        *(Route(path, chat, methods=["POST"]) for path in CHAT_PATHS),
        *(Route(path, text, methods=["POST"]) for path in TEXT_PATHS),
        *(Route(path, tokenizer.tokenize, methods=["POST"]) for path in TOKENIZE_PATHS),
        *(Route(path, tokenizer.detokenize, methods=["POST"]) for path in DETOKENIZE_PATHS),
        *(Route(path, tokenizer.info) for path in TOKENIZER_INFO_PATHS),
        *(Route(path, models.all) for path in MODELS_PATHS),
        *(Route(f"{path}/{{model:path}}", models.one) for path in MODELS_PATHS),
        Route("/health", read.health),
        Route("/metrics", read.metrics),
        Route("/openapi.json", read.openapi),
    ]

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncGenerator[None]:
        service.warm_up()
        service.worker.start()
        try:
            yield
        finally:
            service.worker.stop()

    app = Starlette(
        routes=routes,
        middleware=middleware(service.options),
        exception_handlers=dict.fromkeys((HTTPException, ApiError, InvalidArgument), answer_error),
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False
    app.state.service = service
    return app


def middleware(options: ServerOptions) -> list[Middleware]:
    """Return what is around the routes, outermost first: pages of other origins can read errors, too."""
    pages = [Middleware(CrossOrigin, options.cors)] if options.cors else []
    return [
        Middleware(RequestLogMiddleware),
        *pages,
        Middleware(LastResort),
        Middleware(BearerKey, options.api_key),
    ]


class OtherEndpoints:
    """What can be read about a server."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def health(self, _: Request) -> Response:
        """Whether requests are taken."""
        worker = self._service.worker
        if worker.queue.draining or not worker.alive:
            raise shutting_down()
        return json_response({"status": "ok"})

    async def metrics(self, _: Request) -> Response:
        """Return the metrics in Prometheus' format."""
        return Response(self._service.metrics.text(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def openapi(self, _: Request) -> Response:
        """Return the description of this interface."""
        return json_response(description(self._service))
