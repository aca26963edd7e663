"""How long does the kit take at an endpoint of one choice a request that answers after 50 ms, and how long did it before?

    PYTHONPATH=tests python -m benchmarks.conformance.wall --before FOLDER [--most SECONDS] [--out FILE]

FOLDER is a checkout of the earlier commit (`git worktree add FOLDER 16b962c`, the last before requests went out together). The
endpoint is that of letters, over HTTP on this machine. The kits run in turns: today's, the earlier one, today's. The earlier
one may take too long: it is ended after some time, and the kits are compared at the number of checks that both have decided by
then. Writes benchmarks/results/conformance-wall.json.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx2
from conformance.letters import lettered

from benchmarks.harness.paths import RESULTS, ROOT
from benchmarks.harness.timing import origin

RESULT = RESULTS / "conformance-wall.json"
PAUSE = 0.05  # seconds until an answer
# Run by the kit that is measured: prints, by check, seconds since the start and the verdict.
KIT = """
import json, sys, time
from sampling.conformance import verify as kit
began, asked = time.perf_counter(), kit.outcome
def outcome(name, ask):
    found = asked(name, ask)
    verdict = getattr(getattr(found, "verdict", None), "value", None)
    print(json.dumps([name, time.perf_counter() - began, verdict]), flush=True)
    return found
kit.outcome = outcome
kit.verify(sys.argv[1], checks=None, model="letters")
"""
OPEN = ("inconclusive", "not testable here", None)


class Slow(BaseHTTPRequestHandler):
    """The endpoint of letters, one choice a request, each answer after a while."""

    protocol_version = "HTTP/1.1"
    sent = 0

    def do_POST(self) -> None:
        """Answer."""
        began = time.monotonic()
        type(self).sent += 1
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        told = LETTERS.handle(asked) if asked.get("n", 1) == 1 else (400, ONE_CHOICE)
        time.sleep(max(0.0, PAUSE - (time.monotonic() - began)))
        self.send_response(told[0])
        self.send_header("content-length", str(len(told[1])))
        self.end_headers()
        self.wfile.write(told[1])

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  its name there
        """Say nothing."""


class Letters:
    """What the endpoint of letters answers."""

    def __init__(self) -> None:
        self.transport = lettered().client._transport  # pyright: ignore[reportPrivateUsage]

    def handle(self, asked: dict[str, Any]) -> tuple[int, bytes]:
        """Status and body."""
        request = httpx2.Request("POST", "http://letters/v1/chat/completions", json=asked)
        told = self.transport.handle_request(request)  # pyright: ignore
        return told.status_code, told.read()


ONE_CHOICE = json.dumps({"error": {"message": "n: must be 1"}}).encode()
LETTERS = Letters()


@contextmanager
def serving() -> Generator[str]:
    """The endpoint's URL, until the block ends."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Slow)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()


def measured(folder: Path, most: float) -> dict[str, Any]:
    """One run of a kit.

    Args:
        folder: Its checkout.
        most: Seconds after which it is ended.
    """
    Slow.sent = 0
    env = {**os.environ, "PYTHONPATH": str(folder)}
    with serving() as url:
        kit = subprocess.Popen(
            [sys.executable, "-c", KIT, url], stdout=subprocess.PIPE, text=True, env=env, cwd=folder
        )
        timer = threading.Timer(most, kit.kill)
        timer.start()
        assert kit.stdout
        told = [json.loads(line) for line in kit.stdout]
        timer.cancel()
        ended = kit.wait() != 0
    decided = [seconds for name, seconds, verdict in told if verdict not in OPEN and "." in name]
    return {
        "ended_early": ended,
        "requests": Slow.sent,
        "seconds": most if ended else told[-1][1],
        "decided": len(decided),
        "seconds_of_each": decided,
    }


def commit(folder: Path) -> str:
    """The commit of a checkout."""
    asked = ["git", "-C", str(folder), "rev-parse", "HEAD"]
    return subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()


def main() -> None:
    """Run and record."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--before", type=Path, required=True, help="a checkout of the earlier commit")
    parser.add_argument("--most", type=float, default=1800.0, help="seconds of the earlier kit")
    parser.add_argument("--out", type=Path, default=RESULT)
    options = parser.parse_args()
    today = [measured(ROOT, options.most)]
    before = measured(options.before, options.most)
    today.append(measured(ROOT, options.most))
    both = min(before["decided"], *(run["decided"] for run in today))
    at = [run["seconds_of_each"][both - 1] for run in (before, *today)]
    result = {
        **origin("conformance.wall", "numpy", "scipy", tests=True),
        "answers_after_seconds": PAUSE,
        "before": {"commit": commit(options.before), **before},
        "today": today,
        "compared_at_decided": both,
        "seconds_then": {"before": at[0], "today": at[1:]},
        "shares_of_before": [seconds / at[0] for seconds in at[1:]],
    }
    result["command"] = "PYTHONPATH=tests python -m benchmarks.conformance.wall --before FOLDER"
    options.out.write_text(json.dumps(result, indent=1) + "\n")
    print({name: result[name] for name in ("compared_at_decided", "seconds_then", "shares_of_before")})


if __name__ == "__main__":
    main()
