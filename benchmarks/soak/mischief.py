"""Clients that misbehave, each in one way; what comes of it is told in a word, and is one of a few that are right."""

from __future__ import annotations

import json
import random
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from benchmarks.soak.disconnects import ENDLESS, plans
from benchmarks.soak.disconnects import leave as leave_as_planned
from benchmarks.soak.serving import CHAT, PATIENCE, Address
from benchmarks.soak.wire import head, status_of

MOMENT = 0.2  # seconds
HEALTH = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"
KEPT = 2**12  # bytes of an answer
RECEIVES = 4096  # bytes that a client which does not read holds

Json = Any


@dataclass(frozen=True)
class Mischief:
    """One way to misbehave.

    Args:
        act: Does it; returns the status of the answer, or in a word how it went.
        right: What may come of it.
    """

    act: Callable[[Address, random.Random], str]
    right: frozenset[str]


def connected(address: Address, sent: bytes, receives: int | None = None) -> socket.socket:
    """A connection on which some bytes are sent."""
    connection = socket.socket()
    connection.settimeout(PATIENCE)
    if receives is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receives)
    connection.connect(("127.0.0.1", address.port))
    connection.sendall(sent)
    return connection


def asking(fields: Json) -> bytes:
    """A chat completion request."""
    body = json.dumps(fields).encode()
    start = f"POST {CHAT} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
    return start.encode() + body


def heard(connection: socket.socket) -> str:
    """How the server answers and ends a connection: the first status, or `closed`, `reset`, `open`."""
    answer = b""
    try:
        while part := connection.recv(65536):
            answer = (answer + part)[:KEPT]
    except ConnectionResetError:
        return "reset"
    except TimeoutError:
        return "open"
    return status_of(answer)


def told(address: Address, sent: bytes) -> str:
    """Send bytes, and hear what the server says."""
    with connected(address, sent) as connection:
        return heard(connection)


def greedy(chance: random.Random) -> bytes:
    """A request whose answer is long, streamed or not."""
    stream = chance.random() < 0.5
    return asking(
        ENDLESS | {"n": 8, "max_tokens": 200, "stream": stream, "logprobs": True, "top_logprobs": 20}
    )


def never_read(address: Address, chance: random.Random) -> str:
    """Ask for much, read nothing for a while, and then whatever comes."""
    with connected(address, greedy(chance), RECEIVES) as connection:
        connection.recv(1, socket.MSG_PEEK)
        time.sleep(chance.uniform(10, 30))
        return heard(connection)  # the rest, or that nothing more comes


def read_in_drops(address: Address, chance: random.Random) -> str:
    """Ask for much, and read byte by byte for a while."""
    with connected(address, greedy(chance), RECEIVES) as connection:
        for _ in range(100):
            if not connection.recv(1):
                return "closed"
            time.sleep(chance.uniform(0, 0.1))
    return "left"


def half_a_head(address: Address, chance: random.Random) -> str:
    """Send the beginning of a head."""
    return told(address, HEALTH[: chance.randint(1, len(HEALTH) - 1)])


def half_a_body(address: Address, chance: random.Random) -> str:
    """Send the beginning of a body."""
    whole = asking(ENDLESS)
    return told(address, whole[: chance.randint(whole.index(b"{"), len(whole) - 1)])


def dripped_body(address: Address, chance: random.Random) -> str:
    """Send a body byte by byte for as long as the server takes it."""
    with connected(address, head(f"POST {CHAT} HTTP/1.1", "1000")) as connection:
        try:
            for _ in range(999):
                connection.sendall(b" ")
                time.sleep(chance.uniform(0, MOMENT))
        except OSError:
            pass
        return heard(connection)


def late_bytes(address: Address, chance: random.Random) -> str:
    """Send more than the request, and leave while it decodes."""
    late = chance.choice([b"\n", b"x", HEALTH, b"\0" * chance.randint(1, 60_000)])
    with connected(address, asking(ENDLESS | {"stream": chance.random() < 0.5}) + late):
        time.sleep(chance.uniform(0, MOMENT))
    return "left"


def leave(address: Address, chance: random.Random) -> str:
    """Leave in the middle of an answer, or before it."""
    (plan,) = plans(1, chance.randrange(2**32))
    leave_as_planned(address, plan)
    return "left"


def oversized(address: Address, chance: random.Random) -> str:
    """Say, or send, too large a body."""
    size = chance.choice([2**21, 2**23, 2**40])
    with connected(address, head(f"POST {CHAT} HTTP/1.1", str(size))) as connection:
        try:
            for _ in range(min(size, 2**23) // 2**16):
                connection.sendall(b" " * 2**16)
        except OSError:
            return "reset"
        return heard(connection)


def endless_chunks(address: Address, chance: random.Random) -> str:
    """Send chunks without end."""
    chunk = b"%x\r\n" % 2**14 + b" " * 2**14 + b"\r\n"
    with connected(address, head(f"POST {CHAT} HTTP/1.1", None, b"Transfer-Encoding: chunked")) as connection:
        try:
            for _ in range(chance.randint(65, 200)):
                connection.sendall(chunk)
        except OSError:
            return "reset"
        return heard(connection)


def idle(address: Address, chance: random.Random) -> str:
    """Open connections, use some of them, and let them be."""
    connections = [connected(address, chance.choice([b"", b"\r\n", HEALTH])) for _ in range(4)]
    words = {heard(connection) for connection in connections}
    for connection in connections:
        connection.close()
    return "closed" if words <= {"closed", "200"} else str(sorted(words))


def no_http(address: Address, chance: random.Random) -> str:
    """Send noise that has line ends."""
    return told(address, b"\x16" + chance.randbytes(chance.randint(1, 20_000)) + b"\r\n\r\n")


def half_closed(address: Address, chance: random.Random) -> str:
    """Close one side, and wait for the answer."""
    with connected(address, asking(ENDLESS | {"max_tokens": 8, "seed": chance.randrange(9)})) as connection:
        connection.shutdown(socket.SHUT_WR)
        return heard(connection)


MISCHIEF = {
    "never reads": Mischief(never_read, frozenset({"200", "reset"})),
    "reads in drops": Mischief(read_in_drops, frozenset({"left", "reset"})),
    "half a head": Mischief(half_a_head, frozenset({"408"})),
    "half a body": Mischief(half_a_body, frozenset({"408"})),
    "a body byte by byte": Mischief(dripped_body, frozenset({"408", "reset"})),
    "late bytes": Mischief(late_bytes, frozenset({"left"})),
    "leaves": Mischief(leave, frozenset({"left"})),
    "too large a body": Mischief(oversized, frozenset({"413", "reset"})),
    "chunks without end": Mischief(endless_chunks, frozenset({"413", "reset"})),
    "idle": Mischief(idle, frozenset({"closed"})),
    "no HTTP": Mischief(no_http, frozenset({"400"})),
    "one side closed": Mischief(half_closed, frozenset({"200"})),
}
