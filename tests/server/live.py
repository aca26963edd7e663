"""A server on a real socket, and plain HTTP to talk to it."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sampling.chat.language_model import LanguageModel
from sampling.server import ServerOptions, create_app
from sampling.server.address import bound_socket
from sampling.server.run import Server, configuration
from sampling.server.service import Service

QUESTION = [{"role": "user", "content": "What is the capital of Turkey?"}]
ANSWER = "The capital of Turkey is Ankara."
CHAT = "/v1/chat/completions"
PATIENCE = 60.0  # seconds that nothing takes unless it hangs


@dataclass
class Reply:
    """A response, read to its end."""

    status: int
    headers: dict[str, str]
    content: bytes

    @property
    def json(self) -> Any:
        """The body."""
        return json.loads(self.content)

    @property
    def events(self) -> list[Any]:
        """The server-sent events: JSON, or what is none."""
        assert self.headers["content-type"].startswith("text/event-stream")
        *events, rest = self.content.decode().split("\n\n")
        assert rest == ""
        data = [event.removeprefix("data: ") for event in events]
        return [json.loads(text) if text.startswith("{") else text for text in data]

    @property
    def error(self) -> dict[str, Any]:
        """The error that the body is, and is nothing else."""
        body = self.json
        assert set(body) == {"error"}
        assert set(body["error"]) == {"message", "type", "param", "code"}
        return body["error"]


@dataclass
class Live:
    """A running server."""

    port: int
    service: Service

    def send(self, path: str, body: bytes | None = None, method: str | None = None, **headers: str) -> Reply:
        """Send one request and read the response."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method or ("GET" if body is None else "POST"), path, body, named)
            return read_reply(connection)
        finally:
            connection.close()

    def chat(self, messages: list[dict[str, str]] | None = None, **fields: Any) -> Reply:
        """Ask for a chat completion."""
        request = {"model": self.service.names[0], "messages": messages or QUESTION, **fields}
        return self.send(CHAT, json.dumps(request).encode())

    @contextmanager
    def asked(self, **fields: Any) -> Iterator[http.client.HTTPConnection]:
        """A connection on which a chat completion is asked for, its response not read yet."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        request = {"model": self.service.names[0], "messages": QUESTION, **fields}
        try:
            connection.request("POST", CHAT, json.dumps(request).encode())
            yield connection
        finally:
            connection.close()

    def metric(self, name: str) -> float:
        """The value of one metric, from its text; 0 for labels that are not there yet."""
        lines = self.send("/metrics").content.decode().splitlines()
        assert any(line.startswith(name.partition("{")[0].removesuffix("_total")) for line in lines)
        return next((float(line.split()[1]) for line in lines if line.startswith(f"{name} ")), 0.0)

    def reaches(self, name: str, value: float) -> bool:
        """Whether a metric comes to a value."""
        return eventually(lambda: self.metric(name) == value)


def read_reply(connection: http.client.HTTPConnection) -> Reply:
    """Read a response to its end."""
    response = connection.getresponse()
    headers = {name.lower(): value for name, value in response.getheaders()}
    return Reply(response.status, headers, response.read())


def read_raw(connection: socket.socket) -> Reply:
    """Read a response to a request that was sent by hand."""
    response = http.client.HTTPResponse(connection)
    response.begin()
    headers = {name.lower(): value for name, value in response.getheaders()}
    try:
        return Reply(response.status, headers, response.read())
    finally:
        response.close()


def running(server: Live) -> float:
    """How many requests decode or wait."""
    return server.metric("sampling_requests_running") + server.metric("sampling_requests_waiting")


def eventually(true: Callable[[], bool]) -> bool:
    """Whether something becomes true."""
    deadline = time.monotonic() + PATIENCE
    while not true():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.005)
    return True


@contextmanager
def live(model: LanguageModel, options: ServerOptions) -> Iterator[Live]:
    """Serve a model from another thread of this process."""
    app = create_app(model, options)
    listening, taken = threading.Event(), bound_socket("127.0.0.1", 0)
    server = Server(configuration(app), ready=listening.set, drain=lambda: None)
    thread = threading.Thread(target=server.run, args=([taken],))
    port = taken.getsockname()[1]
    thread.start()
    try:
        assert listening.wait(PATIENCE)
        yield Live(port, app.state.service)
    finally:
        server.should_exit = True
        thread.join(PATIENCE)
        assert not thread.is_alive()


def half_request(port: int, text: bytes) -> socket.socket:
    """A connection that has sent the beginning of a request."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
    connection.sendall(text)
    return connection
