"""The requests of a run and what came back, as a file: an interrupted run goes on from it, asking nothing twice."""

from __future__ import annotations

import json
from collections import defaultdict, deque
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

from sampling.errors import InvalidRequest


@dataclass(frozen=True)
class Received:
    """What came back over HTTP.

    Args:
        status: Of HTTP.
        text: The body.
    """

    status: int
    text: str


class Transcript:
    """A log of requests and answers, JSON Lines; its first line says which run it is of.

    Args:
        path: Where it is; None keeps nothing.
        run: What has to be the same for answers to be used again, such as URL and seed.

    Raises:
        InvalidRequest: The file is that of another run, or no transcript.
    """

    def __init__(self, path: Path | None, run: Mapping[str, Any]) -> None:
        self._path, self._lock = path, Lock()
        self._known: dict[str, deque[Received]] = defaultdict(deque)
        if path is None:
            return
        lines = complete_lines(path) if path.exists() else []
        head = json.dumps({"transcript": 1, **run}, sort_keys=True)
        if lines and lines[0] != head:
            raise InvalidRequest("transcript", str(path), f"a new file, or the transcript of {head}")
        for line in lines[1:]:
            told = json.loads(line)
            self._known[key_of(told["body"])].append(Received(told["status"], told["text"]))
        path.write_text("".join(f"{line}\n" for line in lines or [head]), encoding="utf-8")

    def recall(self, body: Mapping[str, Any]) -> Received | None:
        """The answer to a request as it was received before; each is given once."""
        with self._lock:
            known = self._known.get(key_of(body))
            return known.popleft() if known else None

    def add(self, body: Mapping[str, Any], received: Received) -> None:
        """Write an answer down."""
        if self._path is None:
            return
        line = json.dumps({"body": dict(body), "status": received.status, "text": received.text})
        with self._lock, self._path.open("a", encoding="utf-8") as file:
            file.write(f"{line}\n")


def key_of(body: Mapping[str, Any]) -> str:
    """One name for equal requests."""
    return json.dumps(body, sort_keys=True)


def complete_lines(path: Path) -> list[str]:
    """The lines of a file; one that an interruption cut short is none."""
    *lines, _ = path.read_text(encoding="utf-8").split("\n")
    return lines
