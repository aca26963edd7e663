"""`sampling serve` as a process of its own, and what can be seen of it from outside."""

from __future__ import annotations

import http.client
import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PATIENCE = 120.0  # seconds that nothing takes unless it hangs
CHAT = "/v1/chat/completions"

Json = Any


@dataclass(frozen=True)
class Address:
    """Where a server listens on this machine.

    Args:
        port: Its port.
    """

    port: int

    def connect(self) -> http.client.HTTPConnection:
        """A connection, not open yet."""
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)

    def metric(self, name: str) -> float:
        """The value of one metric; 0 for labels that are not there yet."""
        connection = self.connect()
        try:
            connection.request("GET", "/metrics")
            text = connection.getresponse().read().decode()
        finally:
            connection.close()
        lines = [line for line in text.splitlines() if line.startswith(f"{name} ")]
        return float(lines[0].split()[1]) if lines else 0.0


@dataclass(frozen=True)
class Served(Address):
    """A server process.

    Args:
        process: The process.
        log: Where its log is.
    """

    process: subprocess.Popen[str]
    log: Path

    def resident_mib(self) -> float:
        """The memory that the process has, as Linux tells it."""
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.findall(r"^VmRSS:\s+(\d+) kB$", text, re.MULTILINE)[0]) / 1024

    def descriptors(self) -> int:
        """How many files and connections it has open."""
        return len([*Path(f"/proc/{self.process.pid}/fd").iterdir()])

    def logged(self) -> list[Json]:
        """Its log."""
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def errors(self) -> list[Json]:
        """What it has logged as an error."""
        return [line for line in self.logged() if line["level"] == "error"]


@contextmanager
def served(*flags: str) -> Generator[Served]:
    """Start `sampling serve` with the built-in checkpoint on a free port."""
    command = [sys.executable, "-m", "sampling", "serve", "--port", "0", *flags]
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder, "log")
        with log.open("w") as errors:
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True)
        try:
            line = process.stdout.readline() if process.stdout else ""
            found = re.search(r"http://127\.0\.0\.1:(\d+)", line)
            if not found:
                raise RuntimeError(log.read_text())
            yield Served(int(found[1]), process, log)
        finally:
            process.kill()
            process.communicate()


def seconds_until(true: Callable[[], bool]) -> float | None:
    """How long it takes until something is true; None if it does not become so."""
    started = time.monotonic()
    while not true():
        if time.monotonic() - started > PATIENCE:
            return None
        time.sleep(0.002)
    return time.monotonic() - started
