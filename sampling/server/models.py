"""The models that a server has, as OpenAI lists them."""

from __future__ import annotations

import time
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from sampling.server.errors import unknown_model
from sampling.server.replies import json_response
from sampling.server.service import Service


class Models:
    """The endpoints that tell which models there are."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._created = int(time.time())

    async def all(self, _: Request) -> Response:
        """All names that the model answers to."""
        return json_response({"object": "list", "data": [self._entry(name) for name in self._service.names]})

    async def one(self, request: Request) -> Response:
        """One of them; a name may hold slashes, written as they are or as %2F.

        Raises:
            ApiError: It is none of them.
        """
        name = request.path_params["model"]
        if name not in self._service.names:
            raise unknown_model(name, self._service.names)
        return json_response(self._entry(name))

    def _entry(self, name: str) -> dict[str, Any]:
        """Return a model as OpenAI describes it, and what vLLM adds: what it is a name of, and its context in tokens."""
        return {
            "id": name,
            "object": "model",
            "created": self._created,
            "owned_by": "sampling",
            "root": self._service.loaded.name,
            "max_model_len": self._service.context,
        }
