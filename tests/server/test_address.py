"""The address of a server: nobody else's, and whoever can reach it is known."""

from __future__ import annotations

import json
import re
import socket
import sys

import pytest

import sampling.cli.serve
from sampling.cli.main import main
from sampling.server.address import bound_socket, is_private, listen, url_of

IN_USE = "Address already in use"


def has_ipv6() -> bool:
    try:
        bound_socket("::1", 0).close()
    except OSError:
        return False
    return True


needs_ipv6 = pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")
PAIRS = [
    ("127.0.0.1", "127.0.0.1"),
    ("127.0.0.1", "localhost"),
    ("localhost", "127.0.0.1"),
    ("0.0.0.0", "127.0.0.1"),
    ("127.0.0.1", "0.0.0.0"),
    pytest.param("::1", "::1", marks=needs_ipv6),
    pytest.param("::", "127.0.0.1", marks=needs_ipv6),
    pytest.param("::1", "::", marks=needs_ipv6),
]


@pytest.mark.parametrize(("first", "second"), PAIRS)
@pytest.mark.parametrize("listening", [False, True], ids=["loading", "listening"])
def test_two_servers_do_not_get_one_address(first, second, listening):
    with bound_socket(first, 0) as taken:
        if listening:
            listen(taken, 1)
        port = taken.getsockname()[1]
        named = f"[{second}]" if ":" in second else second
        with pytest.raises(OSError, match=f"^{re.escape(named)}:{port}: {IN_USE}$"):
            bound_socket(second, port)


def used(taken: socket.socket) -> None:
    """Take a connection and close it first, so that it keeps the address for a while."""
    listen(taken, 1)
    with socket.create_connection(taken.getsockname()[:2]) as client:
        accepted, _ = taken.accept()
        accepted.close()
        assert client.recv(1) == b""


def test_a_server_can_be_started_again_at_once_and_is_alone_again():
    with bound_socket("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        used(taken)
    with socket.socket() as plain, pytest.raises(OSError, match=IN_USE):
        plain.bind(("127.0.0.1", port))  # as it is without SO_REUSEADDR
    with bound_socket("127.0.0.1", port) as again:
        used(again)
        with pytest.raises(OSError, match=IN_USE):
            bound_socket("127.0.0.1", port)
    bound_socket("127.0.0.1", port).close()


def test_of_two_that_start_after_another_has_ended_one_is_told_at_the_end():
    with bound_socket("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        used(taken)
    with bound_socket("127.0.0.1", port) as first, bound_socket("127.0.0.1", port) as second:
        listen(first, 1)
        with pytest.raises(OSError, match=f"^127.0.0.1:{port}: {IN_USE}$"):
            listen(second, 1)


def test_a_server_whose_address_is_listened_on_ends_with_that_error(toy, monkeypatch):
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", 0))
        port = other.getsockname()[1]

        def bound(host, _):
            late = socket.socket()
            late.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            late.bind((host, port))
            other.listen()
            return late

        monkeypatch.setattr(sampling.cli.serve, "bound_socket", bound)
        monkeypatch.setattr(sampling.cli.serve, "load_with_progress", lambda _: toy)
        code, error = run(monkeypatch, "--port", str(port))
    assert (code, error) == (2, [f"sampling serve: 127.0.0.1:{port}: {IN_USE}"])


def run(monkeypatch, *flags):
    """Run the command in this process; its exit code and what it writes to standard error."""
    reading, writing = socket.socketpair()
    with reading, writing.makefile("w") as errors:
        monkeypatch.setattr(sys, "stderr", errors)
        code = main(["serve", *flags])
        errors.flush()
        writing.close()
        monkeypatch.undo()
        errors.close()
        return code, b"".join(iter(lambda: reading.recv(1000), b"")).decode().splitlines()


BAD_HOSTS = ["no.such.host.invalid", "256.1.1.1", "a" * 100, "x..y", "1.2.3.4", "\0", "::g", "ü" * 70]


@pytest.mark.parametrize("host", BAD_HOSTS)
def test_a_host_that_is_none_is_one_short_line(capsys, host):
    assert main(["serve", "--host", host, "--port", "0"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("sampling serve: ")
    assert ":0: " in error
    assert error.count("\n") == 1
    assert len(error) < 500


REACHABLE = [
    ("127.0.0.1", True),
    ("127.9.9.9", True),
    ("localhost", True),
    ("0.0.0.0", False),
    pytest.param("::1", True, marks=needs_ipv6),
    pytest.param("::ffff:127.0.0.1", True, marks=needs_ipv6),
    pytest.param("::", False, marks=needs_ipv6),
]


@pytest.mark.parametrize(("host", "private"), REACHABLE)
def test_who_can_reach_an_address_is_known(host, private):
    with bound_socket(host, 0) as taken:
        assert is_private(taken) == private
        assert url_of(taken).startswith("http://")


@pytest.mark.parametrize(
    ("flags", "warned"),
    [
        (("--host", "0.0.0.0"), True),
        (("--host", "127.0.0.1"), False),
        (("--host", "0.0.0.0", "--api-key", "KEY"), False),
        pytest.param(("--host", "::"), True, marks=needs_ipv6),
    ],
)
def test_a_server_that_anybody_can_use_says_so(toy, monkeypatch, flags, warned):
    monkeypatch.setattr(sampling.cli.serve, "load_with_progress", lambda _: toy)
    monkeypatch.setattr(sampling.cli.serve, "serve", lambda *_, **__: None)
    code, lines = run(monkeypatch, "--port", "0", *flags)
    assert code == 0
    events = [json.loads(line) for line in lines]
    assert [(event["level"], event["event"]) for event in events] == [("warning", "no_api_key")] * warned
    assert all("--api-key" in event["message"] and flags[1] in event["address"] for event in events)
