"""`sampling serve` as a process."""

from __future__ import annotations

import http.client
import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from server.live import CHAT, PATIENCE, read_reply

SERVE = [sys.executable, "-m", "sampling", "serve"]


class Served:
    """A server process."""

    def __init__(self, process: subprocess.Popen[str], log: Path) -> None:
        self.process, self.log = process, log
        assert process.stdout is not None
        self.line = process.stdout.readline()
        found = re.search(r"http://127\.0\.0\.1:(\d+)", self.line)
        assert found, log.read_text()
        self.port = int(found[1])

    def ask(self, body: dict[str, object]) -> http.client.HTTPConnection:
        """Send a request."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        connection.request("POST", CHAT, json.dumps(body).encode())
        return connection

    def refuses(self) -> bool:
        """Whether nobody listens any more."""
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE).close()
        except ConnectionRefusedError:
            return True
        return False

    def waiting(self) -> float:
        """How many requests wait."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        connection.request("GET", "/metrics")
        text = read_reply(connection).content.decode()
        connection.close()
        return float(re.findall(r"^sampling_requests_waiting (.*)$", text, re.MULTILINE)[0])


@contextmanager
def served(folder: Path, *flags: str, **environment: str) -> Iterator[Served]:
    """Start `sampling serve`."""
    log = folder / "log"
    with log.open("w") as errors:
        process = subprocess.Popen(
            [*SERVE, "--port", "0", *flags],
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env=os.environ | environment,
        )
    try:
        yield Served(process, log)
    finally:
        process.kill()
        process.communicate()
