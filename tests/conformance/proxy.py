"""A server in front of another that changes what passes through it."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from server.live import PATIENCE

Fields = dict[str, Any]


class Handler(BaseHTTPRequestHandler):
    """Passes a request on, and the answer back."""

    protocol_version = "HTTP/1.1"
    port: int
    ask: Callable[[Fields], Fields]
    answer: Callable[[Fields, Fields], Fields]
    stream: Callable[[bytes], bytes]

    def do_GET(self) -> None:
        """Pass on as it is."""
        self.passed_on("GET", None, lambda body: body)

    def do_POST(self) -> None:
        """Change the request, then the answer."""
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        kind = type(self)

        def changed(body: bytes) -> bytes:
            told = json.loads(body)
            return json.dumps(kind.answer(asked, told) if "choices" in told else told).encode()

        stream = asked.get("stream", False)
        body = json.dumps(kind.ask(dict(asked))).encode()
        self.passed_on("POST", body, kind.stream if stream else changed)

    def passed_on(self, method: str, body: bytes | None, change: Callable[[bytes], bytes]) -> None:
        """Ask the other server."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        connection.request(method, self.path, body)
        response = connection.getresponse()
        content = change(response.read())
        connection.close()
        self.send_response(response.status)
        self.send_header("Content-Type", response.getheader("content-type", ""))
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the name that http.server gives it)
        """Say nothing."""


@contextmanager
def served(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """Serve from another thread; gives the URL."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(PATIENCE)


@contextmanager
def proxy(
    port: int,
    ask: Callable[[Fields], Fields] = lambda asked: asked,
    answer: Callable[[Fields, Fields], Fields] = lambda asked, told: told,
    stream: Callable[[bytes], bytes] = lambda whole: whole,
) -> Iterator[str]:
    """A proxy in front of a port of this machine; gives its URL.

    Args:
        port: Of the server.
        ask: What becomes of a request.
        answer: What becomes of a request's answer.
        stream: What becomes of a stream.
    """
    changes = {"ask": ask, "answer": answer, "stream": stream}
    changing = type(
        "Changing", (Handler,), {"port": port, **{name: staticmethod(f) for name, f in changes.items()}}
    )
    with served(changing) as url:
        yield url
