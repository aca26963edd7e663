"""Servers for clients that others wrote: in this process, on a socket, as a command."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, ExitStack, contextmanager
from typing import TypeVar

import httpx2
import pytest
from openai import AsyncOpenAI
from server.command import served
from server.live import PATIENCE, Live, live
from starlette.applications import Starlette

from sampling import load
from sampling.chat.language_model import LanguageModel
from sampling.server import PAGE_MODEL, ServerOptions, create_app

TOKEN = "TOKEN"
Answer = TypeVar("Answer")


class InProcess:
    """An application without a socket, on an event loop of its own.

    Args:
        app: The application; its lifespan has begun.
        runner: The loop.
    """

    def __init__(self, app: Starlette, runner: asyncio.Runner) -> None:
        self._app, self._runner = app, runner

    def ask(
        self, question: Callable[[AsyncOpenAI], Awaitable[Answer]], key: str = TOKEN, *, strict: bool = True
    ) -> Answer:
        """What a function gets out of the official client, which validates every response if strict, and never retries."""

        async def asking() -> Answer:
            async with AsyncOpenAI(
                api_key=key,
                base_url="http://sampling/v1",
                max_retries=0,
                http_client=httpx2.AsyncClient(transport=httpx2.ASGITransport(self._app)),
                _strict_response_validation=strict,
            ) as client:
                return await asyncio.wait_for(question(client), PATIENCE)

        return self._runner.run(asking())


@contextmanager
def in_process(model: LanguageModel, **options: object) -> Iterator[InProcess]:
    """Serve a model to clients of this process."""
    app = create_app(model, ServerOptions(**options))
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        runner.run(stack.enter_async_context(app.router.lifespan_context(app)))
        try:
            yield InProcess(app, runner)
        finally:
            runner.run(stack.aclose())


@pytest.fixture(scope="session")
def toy() -> LanguageModel:
    """The built-in checkpoint."""
    return load(None)


@pytest.fixture(scope="module")
def serving(toy: LanguageModel) -> Iterator[Callable[..., InProcess]]:
    """Starts servers in this process."""
    with ExitStack() as stack:
        yield lambda **options: stack.enter_context(in_process(toy, **options))


@pytest.fixture(scope="session")
def listening(toy: LanguageModel) -> Iterator[Live]:
    """A server on a socket, as `sampling serve` starts it."""
    with live(toy, ServerOptions(names=("sampling-toy", PAGE_MODEL))) as running:
        yield running


@pytest.fixture(scope="session")
def command(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of `sampling serve --api-key TOKEN`, a process."""
    with served(tmp_path_factory.mktemp("serve"), "--api-key", TOKEN) as server:
        yield f"http://127.0.0.1:{server.port}"
        server.process.terminate()
        assert server.process.wait(PATIENCE) == 0
