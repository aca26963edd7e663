"""`sampling serve` as a process: its line, its signals and its exit codes."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys

import pytest
from server.command import served
from server.live import CHAT, PATIENCE, QUESTION, eventually, half_request, read_raw, read_reply

from sampling.server import PAGE_MODEL
from sampling.toy import CHECKPOINT

END_TOKENS = {
    str(token): -100
    for token in json.loads((CHECKPOINT / "generation_config.json").read_text())["eos_token_id"]
}
LONG = {
    "model": "sampling-toy",
    "messages": QUESTION,
    "logit_bias": END_TOKENS,
}  # lasts as long as the context


@pytest.mark.parametrize("kind", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_everything_finish_and_the_exit_code_is_0(tmp_path, kind):
    with served(tmp_path, "--max-batch", "1") as server:
        running = server.ask({**LONG, "stream": True})
        response = running.getresponse()
        response.readline()
        waiting = server.ask({**LONG, "temperature": 0, "max_tokens": 5})
        assert eventually(lambda: server.waiting() == 1)
        body = json.dumps(LONG).encode()
        head = f"POST {CHAT} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        late = half_request(server.port, head + body[:10])
        server.process.send_signal(kind)
        assert eventually(server.refuses)
        late.sendall(body[10:])
        refused = read_raw(late)
        assert (refused.status, refused.error["code"]) == (503, "shutting_down")
        assert response.read().endswith(b"data: [DONE]\n\n")
        assert read_reply(waiting).json["usage"]["completion_tokens"] == 5
        for connection in (running, waiting, late):
            connection.close()
        assert server.process.wait(PATIENCE) == 0
        events = [json.loads(line) for line in server.log.read_text().splitlines()]
    assert [event["status"] for event in events if event["path"] == CHAT] == [503, 200, 200]
    assert [event["finish_reasons"] for event in events[-2:]] == [["length"], ["length"]]
    assert "Turkey" not in json.dumps(events)


def test_a_second_signal_ends_at_once(tmp_path):
    with served(tmp_path) as server:
        running = server.ask({**LONG, "n": 16, "stream": True})
        response = running.getresponse()
        response.readline()
        server.process.send_signal(signal.SIGTERM)
        assert eventually(server.refuses)
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(PATIENCE) == -signal.SIGTERM
        assert b"[DONE]" not in response.fp.read()
        response.close()
        running.close()


@pytest.fixture(scope="module")
def named(tmp_path_factory):
    """A server with names and a key."""
    folder = tmp_path_factory.mktemp("named")
    with served(folder, "--served-model-name", "one", "two", SAMPLING_API_KEY="TOKEN") as server:
        yield server


def test_the_key_may_come_from_the_environment(named):
    connection = named.ask({"model": PAGE_MODEL, "messages": QUESTION})
    assert read_reply(connection).status == 401
    connection.close()


def test_the_first_line_says_what_is_served_and_where(named):
    assert named.line.startswith(f"one, two, {PAGE_MODEL}: serving on http://127.0.0.1:")


def run(*flags: str, hidden: str = "") -> tuple[int, str, str]:
    """Run `sampling serve` until it gives up, a package hidden from it."""
    hide = f"import sys; sys.modules[{hidden!r}] = None; " if hidden else "import sys; "
    code = f"{hide}from sampling.cli.main import main; sys.exit(main(sys.argv[1:]))"
    done = subprocess.run(
        [sys.executable, "-c", code, "serve", *flags], capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("package", ["starlette", "uvicorn", "prometheus_client"])
def test_a_missing_extra_is_one_line(package):
    words = "sampling serve: needs the extra 'serve': pip install 'sampling-reference[serve]'\n"
    assert run(hidden=package) == (2, "", words)


def test_a_port_in_use_is_one_line():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        code, out, err = run("--port", port)
    assert (code, out) == (2, "")
    assert err == f"sampling serve: 127.0.0.1:{port}: Address already in use\n"


ERRORS = [
    (("--port", "70000"), "sampling serve: port: got 70000, must be an integer from 0 to 65535"),
    (("--port", "http"), "sampling serve: port: got 'http', must be"),
    (("--max-batch", "0"), "sampling serve: max_batch: got 0, must be"),
    (
        ("--max-batch", "2000000000", "--port", "0"),
        "sampling serve: max_batch: got 2000000000, must be so few",
    ),
    (("--max-queue", "-1"), "sampling serve: max_queue: got -1, must be"),
    (
        ("--max-context", "999999", "--port", "0"),
        "sampling serve: max_context: got 999999, must be an integer from 2 to ",
    ),
    (("--max-body", "1.5"), "sampling serve: max_body: got 1.5, must be"),
    (("--max-unread", "0"), "sampling serve: max_unread: got 0, must be"),
    (("--max-connections", "0"), "sampling serve: max_connections: got 0, must be"),
    (("--keep-alive", "0"), "sampling serve: keep_alive: got 0, must be a number from 0.001 to 86400"),
    (("--head-timeout", "nan"), "sampling serve: head_timeout: got nan, must be"),
    (("--body-timeout", "inf"), "sampling serve: body_timeout: got inf, must be"),
    (("--write-timeout", "soon"), "sampling serve: write_timeout: got 'soon', must be"),
    (("--api-key", "two words"), "sampling serve: api_key: got another one, must be"),
    (("--api-key", ""), "sampling serve: api_key: got another one, must be"),
    (("--dialect", "gpt"), "sampling serve: dialect: got 'gpt', must be one of qstash"),
    (("--model", "/no/such/place", "--port", "0"), "sampling serve: /no/such/place: not a directory"),
]


@pytest.mark.parametrize(("flags", "message"), ERRORS, ids=[str(index) for index in range(len(ERRORS))])
def test_errors_are_one_line_and_exit_code_two(capsys, flags, message):
    from sampling.cli.main import main

    assert main(["serve", *flags]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith(message)
    assert printed.err.count("\n") == 1
