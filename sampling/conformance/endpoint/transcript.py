"""The requests of a run and what came back, as a file: an interrupted run goes on from it, asking nothing twice."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any, cast

from sampling.conformance.typed import typed
from sampling.core.errors import InvalidArgument


@dataclass(frozen=True)
class Received:
    """What came back over HTTP: its status, and the body."""

    status: int
    text: str


@dataclass(frozen=True)
class Claim:
    """A request that is about to be sent, and its number among those with the same body.

    Requests that go out together are claimed one after the other: whichever is answered first, each finds its own answer again.

    Args:
        body: What is sent.
        number: How many with the same body were claimed before.
        received: The answer, where it was received before.
    """

    body: Mapping[str, Any]
    number: int
    received: Received | None = None


class Transcript:
    """A log of requests and answers, JSON Lines; its first line says which run it is of.

    Args:
        path: Where it is; None keeps nothing.
        run: What has to be the same for answers to be used again, such as URL and seed.

    Raises:
        InvalidArgument: The file is that of another run, or no transcript. It is not touched before an answer is added.
    """

    def __init__(self, path: str | Path | None, run: Mapping[str, Any]) -> None:
        typed("transcript", path, str | Path | None, "the path of a file, or None")
        path = None if path is None else Path(path)
        self._path, self._lock = path, Lock()
        self._known: dict[tuple[str, int], Received] = {}
        self._claimed: Counter[str] = Counter()
        if path is None:
            return
        head = json.dumps({"transcript": 1, **run}, sort_keys=True)
        told = text_of(path)
        if told and not told.startswith(f"{head}\n"):
            raise InvalidArgument("transcript", str(path), f"a new file, or the transcript of {head}")
        *lines, _ = told.split("\n")  # a last line that an interruption cut short is none
        for number, line in enumerate(lines[1:], start=2):
            claim = answer_of(path, number, line)
            self._known[key_of(claim.body), claim.number] = cast("Received", claim.received)
        self._begun: str | None = "".join(f"{line}\n" for line in lines or [head])

    def claim(self, body: Mapping[str, Any]) -> Claim:
        """Give a request its number, and look its answer up."""
        with self._lock:
            key = key_of(body)
            number = self._claimed[key]
            self._claimed[key] += 1
            return Claim(body, number, self._known.get((key, number)))

    def add(self, claim: Claim, received: Received) -> None:
        """Write an answer down."""
        if self._path is None:
            return
        told = {
            "body": dict(claim.body),
            "number": claim.number,
            "status": received.status,
            "text": received.text,
        }
        line = json.dumps(told)
        with self._lock:
            if self._begun is not None:
                self._path.write_text(self._begun, encoding="utf-8")
                self._begun = None
            with self._path.open("a", encoding="utf-8") as file:
                file.write(f"{line}\n")


def key_of(body: Mapping[str, Any]) -> str:
    """One name for equal requests."""
    return json.dumps(body, sort_keys=True)


def text_of(path: Path) -> str:
    """Return what a file holds; nothing if it is not there yet.

    Raises:
        InvalidArgument: It cannot be read, or there is no folder for it.
    """
    if not path.absolute().parent.is_dir():
        raise InvalidArgument("transcript", str(path), "a file in a folder that exists")
    if path.exists() and not path.is_file():
        raise InvalidArgument("transcript", str(path), "an ordinary file: it is read again")
    try:
        return path.read_bytes().decode("utf-8") if path.exists() else ""
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidArgument("transcript", str(path), f"a text file that can be read ({error})") from error


def answer_of(path: Path, number: int, line: str) -> Claim:
    """Return a request and its answer from one line.

    Raises:
        InvalidArgument: The line is no such thing.
    """
    try:
        told: object = json.loads(line)
    except ValueError:
        told = None
    match told:
        case {
            "body": dict() as body,
            "number": int() as place,
            "status": int() as status,
            "text": str() as text,
        }:
            return Claim(cast("dict[str, Any]", body), place, Received(status, text))
        case _:
            allowed = f"an object with body, number, status and text, as {path} began"
            raise InvalidArgument(f"transcript, line {number}", line, allowed)
