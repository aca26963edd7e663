"""Servers for the tests: the built-in checkpoint on a free port of this machine, and a gate that holds decoding up."""

from __future__ import annotations

import math
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from server.live import PATIENCE, Live, live

from sampling import load
from sampling.chat.batch import ChatBatch
from sampling.chat.language_model import LanguageModel
from sampling.server import PAGE_MODEL, ServerOptions
from sampling.server.protocol import HttpConnection


@pytest.fixture(scope="session")
def toy() -> LanguageModel:
    """The built-in checkpoint."""
    return load(None)


@pytest.fixture(scope="session")
def server(toy: LanguageModel) -> Iterator[Live]:
    """A server as `sampling serve` starts it."""
    with live(toy, ServerOptions(names=("sampling-toy", PAGE_MODEL))) as running:
        yield running


@pytest.fixture
def serving(toy: LanguageModel) -> Iterator[Callable[..., Live]]:
    """Starts servers with options of a test's own."""
    with ExitStack() as stack:
        yield lambda **options: stack.enter_context(live(toy, ServerOptions(**options)))


class Gate:
    """Holds every step of every batch up until the test lets it through."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._allowed: float = 0
        self._held = False

    def pass_through(self) -> None:
        """Wait for leave to step."""
        with self._changed:
            self._held = True
            self._changed.notify_all()
            assert self._changed.wait_for(lambda: self._allowed > 0, PATIENCE)
            self._held = False
            self._allowed -= 1

    def let(self, steps: int) -> None:
        """Let some steps through, and wait until the next one is held up."""
        with self._changed:
            self._allowed += steps
            self._changed.notify_all()
            assert self._changed.wait_for(lambda: self._held and self._allowed == 0, PATIENCE)

    def open(self) -> None:
        """Hold nothing up any more."""
        with self._changed:
            self._allowed = math.inf
            self._changed.notify_all()


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    """Holds decoding up."""
    held, step = Gate(), ChatBatch.step

    def held_step(batch: ChatBatch):
        held.pass_through()
        return step(batch)

    monkeypatch.setattr(ChatBatch, "step", held_step)
    yield held
    held.open()


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets the server's side of every connection hold little: what its system keeps unsent is no matter of these tests."""
    made = HttpConnection.connection_made

    def connection_made(connection, transport):
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        made(connection, transport)

    monkeypatch.setattr(HttpConnection, "connection_made", connection_made)
