"""The log: JSON lines on standard error, which nothing waits for."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import threading
import warnings

import pytest
from server.command import SERVE, Served
from server.live import PATIENCE, QUESTION, eventually, read_reply

from sampling.server.log_writer import LineWriter
from sampling.server.logs import JsonLines, dropped_line, log, logging_to_standard_error

PIPE = 65536  # bytes that a pipe holds


@pytest.fixture
def pipe():
    """A pipe that nobody reads unless the test does."""
    ends = os.pipe()
    yield ends
    for end in ends:
        os.close(end)


def record(text: str) -> logging.LogRecord:
    return logging.LogRecord("sampling", logging.INFO, "", 0, text, None, None)


def lines_of(end: int, last: str) -> list[str]:
    """Read lines until one comes."""
    with os.fdopen(os.dup(end)) as reader:
        lines: list[str] = []
        while not lines or lines[-1] != last:
            lines.append(reader.readline().rstrip("\n"))
        return lines


def test_what_nobody_reads_is_dropped_and_counted(pipe):
    writer = LineWriter(pipe[1], lambda count: f"{count} dropped", most_waiting=5)
    writer.emit(record("x" * 2 * PIPE))  # the writing thread waits for a reader
    assert eventually(lambda: writer._lines.empty())
    for index in range(12):
        writer.emit(record(str(index)))  # five wait
    assert lines_of(pipe[0], "4")[1:] == ["0", "1", "2", "3", "4"]
    assert eventually(lambda: writer._lines.empty())
    writer.emit(record("after"))
    writer.emit(record("last"))
    assert lines_of(pipe[0], "last") == ["7 dropped", "after", "last"]
    writer.close()


def test_the_end_does_not_wait_for_a_reader(pipe, monkeypatch):
    monkeypatch.setattr("sampling.server.log_writer.PATIENCE", 0.01)
    writer = LineWriter(pipe[1], str, most_waiting=2)
    for _ in range(5):
        writer.emit(record("x" * 2 * PIPE))
    closing = threading.Thread(target=writer.close, daemon=True)
    closing.start()
    closing.join(PATIENCE)
    assert not closing.is_alive()
    os.read(pipe[0], PIPE)


def test_the_end_waits_for_what_is_read(pipe):
    writer = LineWriter(pipe[1], str)
    for index in range(1000):
        writer.emit(record(f"{index:060}"))
    reading = threading.Thread(target=lines_of, args=(pipe[0], f"{999:060}"))
    reading.start()
    writer.close()
    reading.join(PATIENCE)
    assert not reading.is_alive()


def test_a_descriptor_that_does_not_block_gets_every_line_whole(pipe):
    os.set_blocking(pipe[1], False)
    writer = LineWriter(pipe[1], str)
    texts = [str(index) * 5000 for index in range(40)]
    for text in texts:
        writer.emit(record(text))
    assert lines_of(pipe[0], texts[-1]) == texts
    writer.close()


def test_a_reader_that_has_left_disturbs_nobody():
    reading, writing = os.pipe()
    writer = LineWriter(writing, str)
    os.close(reading)
    for _ in range(100):
        writer.emit(record("x"))
    writer.close()
    os.close(writing)
    assert eventually(lambda: not writer._thread.is_alive())


@pytest.fixture
def logged(monkeypatch, tmp_path):
    """Runs something beside the log, and gives the lines."""

    def run(do):
        path = tmp_path / "log"
        with path.open("w") as errors:
            monkeypatch.setattr(sys, "stderr", errors)
            with logging_to_standard_error():
                do()
        return [json.loads(line) for line in path.read_text().splitlines()]

    return run


def test_everything_that_is_logged_or_warned_of_is_json(logged):
    def speak():
        log("request", status=200, path="/\ud800")
        logging.getLogger("sampling.generate.decode").info("an announcement")
        logging.getLogger("uvicorn.error").warning("a warning")
        logging.getLogger("uvicorn.error").info("not this")
        logging.getLogger("asyncio").error("an error")
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.warn("of Python's", stacklevel=1)

    lines = logged(speak)
    assert [line["level"] for line in lines] == ["info", "info", "warning", "error", "warning"]
    assert lines[0]["path"] == "/\ud800"
    assert "of Python's" in lines[4]["event"]


def test_a_line_is_short_whatever_failed(logged):
    def fail():
        try:
            raise KeyError("k" * 1_000_000)
        except KeyError as error:
            log("request_failed", failure=error)

    (line,) = logged(fail)
    assert len(json.dumps(line)) < 10_000
    assert "test_logs.py" in line["traceback"]


def test_a_record_that_does_not_fit_together_ends_nobody(logged):
    def speak():
        logging.getLogger("some.library").warning("%d files", "many")
        log("next")

    assert [line["event"] for line in logged(speak)] == ["log_lines_dropped", "next"]


def test_the_loggers_are_as_before_afterwards(logged):
    before = logging.getLogger().handlers
    logged(lambda: None)
    assert logging.getLogger().handlers is before


def test_the_line_about_dropped_lines_has_the_form_of_the_others():
    line = json.loads(dropped_line(7))
    assert set(line) == {"time", "level", "event", "count"}
    assert set(json.loads(JsonLines().format(record("x")))) <= set(line)


@pytest.mark.parametrize("reader", ["asleep", "gone", "never there"])
def test_a_server_answers_though_nobody_reads_its_log(tmp_path, reader):
    reading, writing = os.pipe()
    command = SERVE if reader != "never there" else ["sh", "-c", 'exec "$@" 2>&-', "sh", *SERVE]
    process = subprocess.Popen([*command, "--port", "0"], stdout=subprocess.PIPE, stderr=writing, text=True)
    try:
        os.close(writing)
        if reader == "gone":
            os.close(reading)
        server = Served(process, tmp_path)
        connection = server.ask({"model": "sampling-toy", "messages": QUESTION, "max_tokens": 3})
        assert read_reply(connection).json["usage"]["completion_tokens"] == 3
        for _ in range(PIPE // 150):  # a line has more bytes
            connection.request("GET", "/health")
            assert read_reply(connection).status == 200
        connection.close()
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0
        if reader == "asleep":
            text = os.read(reading, PIPE).decode()
            assert len(text) > 0.9 * PIPE
            assert all(json.loads(line)["event"] == "request" for line in text.splitlines()[:-1])
            os.close(reading)
    finally:
        process.kill()
        process.communicate()
