"""Servers, each in a process of its own."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

PATIENCE = 600.0  # seconds until a server answers


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


@contextmanager
def serving(
    command: Sequence[str], python: str | Path = sys.executable, folder: Path | None = None
) -> Generator[str]:
    """Run a server until the block ends, and all processes that it started with it.

    Args:
        command: Arguments of Python; "PORT" among them becomes a free port.
        python: Which Python.
        folder: Where it runs; here when left out.

    Yields:
        The URL of its API.

    Raises:
        RuntimeError: It ended, or did not listen in time; the message is the end of its log.
    """
    port = free_port()
    with tempfile.NamedTemporaryFile("w+", suffix=".log") as log:
        filled = [str(python), *(str(port) if part == "PORT" else part for part in command)]
        process = subprocess.Popen(
            filled, stdout=log, stderr=subprocess.STDOUT, cwd=folder, start_new_session=True
        )
        try:
            wait_for(process, port, log.name)
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            with suppress(ProcessLookupError):  # it has ended by itself
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def wait_for(process: subprocess.Popen[bytes], port: int, log: str) -> None:
    """Wait until the server listens."""
    started = time.monotonic()
    while time.monotonic() - started < PATIENCE and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise RuntimeError(Path(log).read_text()[-400:])
