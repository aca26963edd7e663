"""A server that sends bytes as they are, HTTP or not."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress

Script = Callable[[], Iterable[bytes | float]]  # what is sent, and how many seconds to wait in between


@contextmanager
def sending(script: Script) -> Iterator[str]:
    """Answer every request by a script until the other side has gone; gives the URL."""
    listener = socket.create_server(("127.0.0.1", 0))
    over = threading.Event()

    def answer(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            receive(connection)
            for part in script():
                if over.is_set():
                    break
                time.sleep(part) if isinstance(part, float) else connection.sendall(part)

    def accept() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                threading.Thread(target=answer, args=(connection,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        over.set()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def receive(connection: socket.socket) -> None:
    """Read one request to its end: a connection that is closed with something unread is reset."""
    with connection.makefile("rb") as request:
        length = 0
        while (line := request.readline()) not in (b"\r\n", b""):
            name, _, value = line.lower().partition(b":")
            length = int(value) if name == b"content-length" else length
        request.read(length)


def dripped(data: bytes, pause: float = 0.05) -> Iterator[bytes | float]:
    """A byte now and then."""
    for byte in data:
        yield bytes([byte])
        yield pause
