"""HTTP by hand: bytes to a server, and what comes back."""

from __future__ import annotations

import http.client
import io
import json
import socket
import struct

from server.live import CHAT, PATIENCE, QUESTION, Live, Reply


def connect(server: Live, sent: bytes = b"", *, receives: int | None = None) -> socket.socket:
    """A connection on which some bytes are sent.

    Args:
        server: Where to.
        sent: The bytes.
        receives: About how many bytes the client's side holds unread.
    """
    connection = socket.socket()
    connection.settimeout(PATIENCE)
    if receives is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receives)
    connection.connect(("127.0.0.1", server.port))
    connection.sendall(sent)
    return connection


def head(*lines: str, line: str = f"POST {CHAT} HTTP/1.1") -> bytes:
    """A request's line and headers."""
    return "\r\n".join([line, "Host: x", *lines, "", ""]).encode("latin-1")


def chat(server: Live, *lines: str, version: str = "1.1", **fields: object) -> bytes:
    """A chat completion request."""
    whole = {"model": server.service.names[0], "messages": QUESTION, "temperature": 0, **fields}
    body = json.dumps(whole).encode()
    return head(f"Content-Length: {len(body)}", *lines, line=f"POST {CHAT} HTTP/{version}") + body


def endless(server: Live, **fields: object) -> dict[str, object]:
    """Fields of a request that lasts as long as the context does: its end token is banned."""
    end = server.service.loaded.tokenizer.eos_token_id
    ends = {str(token): -100 for token in {end, *server.service.loaded.model.config.eos_token_ids}}
    return {"logit_bias": ends, **fields}


def read_to_end(connection: socket.socket) -> bytes:
    """All bytes until the server closes."""
    received = b""
    while part := connection.recv(65536):
        received += part
    return received


class Received(io.BytesIO):
    """Bytes that responses are read from, one after another, as `http.client` reads them from a socket."""

    def makefile(self, *_: object) -> Received:
        """The bytes as a file."""
        return self

    def close(self) -> None:
        """Stay open for the next response."""


def replies(content: bytes) -> list[Reply]:
    """The responses that some bytes are, one after another and nothing else."""
    found: list[Reply] = []
    received = Received(content)
    while received.tell() < len(content):
        response = http.client.HTTPResponse(received)
        response.begin()
        headers = {name.lower(): value for name, value in response.getheaders()}
        found.append(Reply(response.status, headers, response.read()))
    return found


def leave(connection: socket.socket, way: str) -> None:
    """End a connection: `close` it as programs do, or `reset` it."""
    if way == "reset":
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
