"""Requests over real sockets, as bytes: HTTP itself broken, too."""

from __future__ import annotations

import re
import socket

from hypothesis import strategies as st

from benchmarks.soak.bodies import Draw, Sent, sent_requests

STATUS = re.compile(rb"HTTP/1\.1 (?!100)(\d{3}) ")
METHODS = (
    "POST",
    "POST",
    "POST",
    "GET",
    "PUT",
    "DELETE",
    "HEAD",
    "OPTIONS",
    "TRACE",
    "BREW",
    "post",
    "P\x00ST",
)
TARGETS = (
    "/v1/models",
    "/",
    "/v1/chat/completions/",
    "/..%2f",
    "/%ff",
    "*",
    "http://x/health",
    "/health?a=%00",
    "x" * 9000,
)
VERSIONS = ("HTTP/1.1", "HTTP/1.1", "HTTP/1.1", "HTTP/1.0", "HTTP/2", "HTTP/9.9", "")
LENGTHS = (
    "-1",
    "abc",
    "1e3",
    "0x10",
    "99999999999999999999",
    "5, 5",
    "\N{ARABIC-INDIC DIGIT ONE}",
    "+5",
    " 5 ",
)
UNFINISHED = ("line", "length", "header", "chunks", "cut", "junk")  # kinds that may leave the server waiting
LINES = (
    b"X: " + b"a" * 70_000,
    b"no colon",
    b": empty",
    b"X\x00: y",
    b"X: \xff\xfe",
    b"Expect: 100-continue",
    b"Transfer-Encoding: gzip",
    b"Upgrade: websocket\r\nConnection: Upgrade",
    b"Connection: close",
)


@st.composite
def wire_requests(draw: Draw) -> tuple[str, bytes]:
    """A kind, and the bytes of a request; what is broken is the body, or one thing about HTTP."""
    sent = draw(sent_requests())
    kind = draw(st.sampled_from(["body", "body", "line", "length", "header", "chunks", "cut", "junk"]))
    return (sent.kind if kind == "body" else kind), written(draw, kind, sent)


def written(draw: Draw, kind: str, sent: Sent) -> bytes:
    """A request with one thing broken."""
    size, line = str(len(sent.body)), f"POST {sent.path} HTTP/1.1"
    match kind:
        case "line":
            words = (METHODS, (*TARGETS, sent.path), VERSIONS)
            return head(" ".join(draw(st.sampled_from(some)) for some in words), size) + sent.body
        case "length":
            return head(line, draw(st.sampled_from(LENGTHS) | st.integers(0, 9999).map(str))) + sent.body
        case "header":
            return head(line, size, draw(st.sampled_from(LINES))) + sent.body
        case "chunks":
            sizes = draw(st.sampled_from(["%x", "%X;a=b", "0%x", "-%x", "x%x", "%xffffffff", ""]))
            chunk = (sizes.replace("%x", f"{len(sent.body):x}").replace("%X", f"{len(sent.body):X}")).encode()
            ends = draw(st.sampled_from([b"0\r\n\r\n", b"0\r\nA: b\r\n\r\n", b"\r\n", b""]))
            start = head(line, None, b"Transfer-Encoding: chunked")
            return start + chunk + b"\r\n" + sent.body + b"\r\n" + ends
        case "cut":
            whole = head(line, size) + sent.body
            return whole[: draw(st.integers(0, len(whole)))]
        case "junk":
            return draw(st.binary(max_size=300))
        case _:
            return (
                head(
                    line,
                    size,
                    *(f"{name}: {value}".encode("latin-1") for name, value in sent.headers.items()),
                )
                + sent.body
            )


def head(line: str, length: str | None, *lines: bytes) -> bytes:
    """The head of a request; the server is to close the connection after it."""
    sized = [] if length is None else [f"Content-Length: {length}".encode()]
    return b"\r\n".join([line.encode(), b"Host: x", b"Connection: close", *sized, *lines, b"", b""])


def exchange(port: int, request: bytes, patience: float) -> bytes:
    """Send bytes, and read what the server answers until it closes the connection.

    Args:
        port: The server's.
        request: The bytes.
        patience: Seconds without a byte after which the client leaves.

    Raises:
        TimeoutError: The server has not closed the connection.
    """
    answer = b""
    with socket.create_connection(("127.0.0.1", port), timeout=patience) as connection:
        try:
            connection.sendall(request)
            while part := connection.recv(65536):
                answer += part
        except (ConnectionResetError, BrokenPipeError):
            pass  # closed before all was read: it was too much
    return answer


def status_of(answer: bytes) -> str:
    """The status, or that the server has hung up."""
    found = STATUS.search(answer)
    return found[1].decode() if found else "closed"
