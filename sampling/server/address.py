"""The address that a server has for itself."""

from __future__ import annotations

import errno
import ipaddress
import socket
from typing import Any

from sampling.server.listener import Listener


def bound_socket(host: str, port: int) -> socket.socket:
    """Take an address, with port 0 any free one; connections are refused until a server listens on it.

    Raises:
        OSError: The address cannot be had, or another server has it already; the message names it.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        # Where a name has addresses of both kinds, clients try the old kind at the latest after the new one.
        family, kind, protocol, _, address = min(found, key=lambda entry: entry[0] != socket.AF_INET)
        taken = Listener(family, kind, protocol)
    except (OSError, ValueError) as error:
        raise unavailable(host, port, error) from error
    try:
        bind(taken, address)
    except OSError as error:
        taken.close()
        raise unavailable(host, port, error) from error
    return taken


def bind(taken: socket.socket, address: Any) -> None:
    """Bind a socket so that nobody else can, who may still be loading a model and does not listen yet.

    With SO_REUSEADDR both would get the address, and one of them would only notice at the end. Without it the connections of
    a server that has ended keep the address for a minute; then, and only then, it is needed.
    """
    try:
        taken.bind(address)
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(address)


def listen(taken: socket.socket, backlog: int) -> None:
    """Listen on an address that was bound; connections get SO_REUSEADDR from it, which the next server will need.

    Raises:
        OSError: Another server listens there; the message names the address.
    """
    taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        taken.listen(backlog)
    except OSError as error:
        host, port = taken.getsockname()[:2]
        raise unavailable(host, port, error) from error


def unavailable(host: str, port: int, error: Exception) -> OSError:
    """Return the error of an address that cannot be had."""
    reason = error.strerror if isinstance(error, OSError) else error
    return OSError(f"{place(host, port)}: {reason}")


def place(host: str, port: int) -> str:
    """Return a host and a port as URLs have them."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def url_of(taken: socket.socket) -> str:
    """Return the URL of a server on a socket."""
    return f"http://{place(*taken.getsockname()[:2])}"


def is_private(taken: socket.socket) -> bool:
    """Whether only programs on this machine can reach a socket."""
    address = ipaddress.ip_address(taken.getsockname()[0].partition("%")[0])
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback
