"""Clients that keep a server from ending, or take all its descriptors."""

from __future__ import annotations

import errno
import json
import resource
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
from server.command import Served, served
from server.live import QUESTION, eventually, half_request, live, read_raw, running
from server.raw import chat, connect, endless, head, read_to_end, replies

from sampling.server import ServerOptions

HEALTH = head(line="GET /health HTTP/1.1")


def logged(server: Served) -> list[dict[str, object]]:
    """The lines of the log, each of them JSON."""
    return [json.loads(line) for line in server.log.read_text().splitlines()]


@pytest.mark.usefixtures("narrow")
def test_the_end_waits_for_nobody_who_does_not_go_on(toy, caplog):
    options = ServerOptions(write_timeout=0.2, keep_alive=3600, head_timeout=3600, body_timeout=3600)
    halves = {
        b"": [],
        b"POST ": [],
        HEALTH: [200],
        HEALTH + b"GET /": [200],
        head("Content-Length: 100") + b"{": [503],
        head("Transfer-Encoding: chunked") + b"1\r\n{": [503],
    }
    with ExitStack() as clients:
        with live(toy, options) as server:
            long = endless(server, n=4, logprobs=True, top_logprobs=20, max_tokens=40)
            for stream in (False, True):
                unread = clients.enter_context(
                    connect(server, chat(server, stream=stream, **long), receives=4096)
                )
                assert unread.recv(1) == b"H"  # and no more is read
            waiting = [clients.enter_context(connect(server, half)) for half in halves]
            finishing = clients.enter_context(connect(server, chat(server, max_tokens=4)))
            assert eventually(lambda: running(server) > 0)
        # what a signal begins is over here
        assert [reply.status for reply in replies(read_to_end(finishing))] == [200]
        for client, statuses in zip(waiting, halves.values(), strict=True):
            assert [reply.status for reply in replies(read_to_end(client))] == statuses
    assert sum(record.getMessage() == "client_does_not_read" for record in caplog.records) == 2


@pytest.mark.skipif(sys.platform != "linux", reason="counts the descriptors of another process in /proc")
def test_a_server_without_descriptors_says_so_once_a_second_and_recovers(tmp_path):
    body = json.dumps({"model": "sampling-toy", "messages": QUESTION, "max_tokens": 1}).encode()
    asking = head(f"Content-Length: {len(body)}") + body
    with served(tmp_path) as server, ExitStack() as open_ones:
        with half_request(server.port, asking) as client:
            assert read_raw(client).status == 200  # everything that a request opens is open
        own = len([*Path(f"/proc/{server.process.pid}/fd").iterdir()])
        _, most = resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (own + 4, most))
        started = time.monotonic()
        clients = [open_ones.enter_context(half_request(server.port, HEALTH)) for _ in range(12)]
        assert eventually(lambda: len(lines_of_accepting(server)) >= 2)  # it has tried again
        assert len(lines_of_accepting(server)) <= 2 + (time.monotonic() - started)
        for client in clients:  # as each leaves, the next is let in
            assert read_raw(client).json == {"status": "ok"}
            client.close()
        with half_request(server.port, asking) as client:
            assert read_raw(client).status == 200


def test_a_request_for_which_there_is_no_descriptor_may_come_again(server, monkeypatch):
    def started(*_: object) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    with monkeypatch.context() as patch:
        patch.setattr("sampling.server.service.Service.completion", started)
        reply = server.chat()
    assert (reply.status, reply.error["code"]) == (503, "overloaded")
    assert int(reply.headers["retry-after"]) >= 1
    assert server.chat(max_tokens=1).status == 200


def lines_of_accepting(server: Served) -> list[dict[str, object]]:
    """What the log says about connections that cannot be taken."""
    return [line for line in logged(server) if "Too many open files" in str(line.get("traceback"))]
