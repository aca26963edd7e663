"""Watches an application while requests are made in this process: every answer is judged, and a valid one comes in between."""

from __future__ import annotations

import faulthandler
import json
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from requests import Response
from schemathesis import Response as CaseResponse
from schemathesis.python import asgi

from benchmarks.soak.answers import comparable, complaint, events, read_answer
from benchmarks.soak.bodies import NAMES, PATHS, Sent
from benchmarks.soak.judge import ERROR_FIELDS, Judge, strictly_read

PATIENCE = 60.0  # seconds that no request takes unless it hangs
MOST_EVENTS = 10_000  # of a stream, past which schemathesis cuts it off
SHOWN = 300  # characters of a body that a failure shows
KNOWN = {
    "model": NAMES[0],
    "messages": [{"role": "user", "content": "What is the capital of Turkey?"}],
    "seed": 1,
    "logprobs": True,
    "top_logprobs": 2,
}
ANSWER = "The capital of Turkey is Ankara."

Json = Any


@dataclass
class Part:
    """What was found in one part of a run.

    Args:
        name: Its name.
    """

    name: str
    statuses: Counter[str] = field(default_factory=Counter[str])
    kinds: Counter[str] = field(default_factory=Counter[str])
    slowest: dict[str, Json] = field(default_factory=lambda: {"seconds": 0.0})
    failures: list[dict[str, Json]] = field(default_factory=list[dict[str, Json]])
    known_answers: int = 0

    def count(self, kind: str, status: str, seconds: float, size: int) -> None:
        """Count one answer."""
        self.statuses[status] += 1
        self.kinds[f"{kind}: {status}"] += 1
        if seconds > self.slowest["seconds"]:
            self.slowest = {"seconds": round(seconds, 3), "kind": kind, "status": status, "bytes": size}

    def fail(self, kind: str, what: str, body: bytes, answer: bytes = b"") -> None:
        """Note a failure."""
        shown = {"body": repr(body[:SHOWN]), "bytes": len(body), "answer": repr(answer[:SHOWN])}
        self.failures.append({"kind": kind, "what": what, **shown})

    def result(self) -> dict[str, Json]:
        """The part as the result has it."""
        return {
            "part": self.name,
            "requests": self.statuses.total(),
            "by_status": dict(sorted(self.statuses.items())),
            "by_kind_and_status": dict(sorted(self.kinds.items())),
            "slowest": self.slowest,
            "known_answers_in_between": self.known_answers,
            "failures": len(self.failures),
            "first_failures": self.failures[:20],
        }


class Observer:
    """Sends requests to an application, one after another.

    Args:
        app: The ASGI application.
        every: After how many requests comes one whose answer is known.
        watched: Whether a request that blocks the whole process ends it with a traceback.
    """

    def __init__(self, app: Any, every: int = 10, *, watched: bool = False) -> None:
        self.client = asgi.get_client(app, max_stream_events=MOST_EVENTS)
        self.client.__enter__()
        self._every, self._watched = every, watched
        self.judge = Judge(self.client.get("/openapi.json").json())
        self._known = self._answer_known()
        self._sent = 0

    def send(self, sent: Sent, part: Part) -> None:
        """Send a request, and judge what comes."""
        self.watch()
        body = sent.body if not sent.parts else (piece for piece in pieces(sent.body, sent.parts))
        started = time.perf_counter()
        try:
            response = self.client.post(sent.path, data=body, headers=sent.headers, timeout=PATIENCE)
        except Exception as error:
            part.fail(sent.kind, f"no answer: {error!r}", sent.body)
            return
        part.count(sent.kind, str(response.status_code), time.perf_counter() - started, len(sent.body))
        self.check(sent.kind, sent.body, response, part)

    def check(self, kind: str, body: bytes, response: Response | CaseResponse, part: Part) -> None:
        """Judge an answer to a chat completion request; every now and then, ask what is known."""
        wrong = self.wrong(body, response)
        if wrong is not None:
            part.fail(kind, wrong, body, response.content)
        self.ask_known(kind, body, part)

    def ask_known(self, kind: str, body: bytes, part: Part) -> None:
        """Every now and then, ask what is known."""
        self._sent += 1
        if self._sent % self._every == 0:
            self.watch()
            part.known_answers += 1
            if (known := self._answer_known()) != self._known:
                part.fail(kind, f"the known answer is {known!r} after it", body)

    def wrong(self, body: bytes, response: Response | CaseResponse) -> str | None:
        """What is wrong with an answer."""
        status, verdict = response.status_code, self.judge.verdict(body)
        refused = None if status == 200 else response.json()
        if refused is not None and (words := wrong_error(refused)):
            return words
        param = None if refused is None else refused["error"]["param"]
        if not verdict.allows(status, param):
            return f"{status} for {param!r}; the description blames {sorted(verdict.faults)}, doubts {sorted(verdict.doubts)}"
        return self._wrong_success(strictly_read(body), response.content) if status == 200 else None

    def watch(self) -> None:
        """End the process if nothing happens any more."""
        if self._watched:
            faulthandler.dump_traceback_later(2 * PATIENCE, exit=True)

    def _wrong_success(self, request: Json, content: bytes) -> str | None:
        """What is wrong with a success: not as described, or not complete."""
        stream = bool(request.get("stream"))
        try:
            answer = read_answer(content, stream=stream, logprobs=bool(request.get("logprobs")))
        except ValueError as error:
            return str(error)
        name, values = ("Chunk", events(content)[:-1]) if stream else ("Completion", [content])
        if not all(self.judge.fits(json.loads(value), name) for value in values):
            return f"no {name} as described"
        return complaint(answer, request)

    def _answer_known(self) -> Json:
        response = self.client.post(PATHS[0], json=KNOWN, timeout=PATIENCE)
        if response.status_code != 200 or response.json()["choices"][0]["message"]["content"] != ANSWER:
            return response.content
        return comparable(response.json())


def pieces(body: bytes, count: int) -> list[bytes]:
    """A body in so many pieces."""
    size = len(body) // count + 1
    return [body[start : start + size] for start in range(0, len(body), size)]


def wrong_error(body: Json) -> str | None:
    """What is wrong with the body of an error."""
    error = body.get("error")
    if [*body] != ["error"] or {*error} != ERROR_FIELDS or not error["message"]:
        return f"not an error's body: {body}"
    named = "body" if error["code"] == "body_too_large" else error["param"]
    if named is None or named not in error["message"]:
        return f"the message does not name {named}"
    return None
