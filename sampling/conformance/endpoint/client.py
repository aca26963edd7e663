"""Requests over HTTP: retried with back-off, counted against a budget, and written down."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from threading import Event, Lock
from typing import Any, TypeVar

import httpx2
import tenacity

from sampling.conformance.endings import CheckEnded
from sampling.conformance.endpoint.address import chat_url, plain_key, plain_name
from sampling.conformance.endpoint.connections import Connections, Gate, Passing, Unreached
from sampling.conformance.endpoint.reply import Chunk, Model, Models, Reply, part, read
from sampling.conformance.endpoint.retries import (
    LONGEST,
    LONGEST_PAUSE,
    MOST_PARALLEL,
    PARALLEL,
    RetryPolicy,
    seconds_of,
)
from sampling.conformance.endpoint.transcript import Claim, Received, Transcript
from sampling.conformance.endpoint.trouble import Failing, Malformed, Refused, Spent, Unanswered, Unended
from sampling.conformance.typed import typed
from sampling.core.params import integer, number
from sampling.core.reading import read_json

SILENCES = 3  # unanswered requests in a row after which an endpoint counts as gone
PASSING = (408, 409, 425, 429)  # statuses below 500 that another try may change
OWN_FAULTS = (500, 501)  # statuses by which a server may fail at one request alone
CROWDED = (429, 503)  # statuses that ask for fewer requests at a time

R = TypeVar("R")


@dataclass
class Budget:
    """How many requests may be sent, and for how long.

    Args:
        most: None for no limit.
        sent: How many were, retries included.
        seconds: From the first request to the last; None for no limit.
    """

    most: int | None = None
    sent: int = 0
    seconds: float | None = None
    _begun: float | None = None
    _lock: Lock = field(default_factory=Lock)

    def __post_init__(self) -> None:
        """Check the limits."""
        if self.most is not None:
            integer("budget.most", self.most, 1)
        if self.seconds is not None:
            number("budget.seconds", self.seconds, 1e-3, LONGEST)

    def take(self) -> None:
        """Count one.

        Raises:
            Spent: It is one too many, or too late.
        """
        with self._lock:
            if self._begun is None:
                self._begun = time.monotonic()
            if self.most is not None and self.sent >= self.most:
                raise Spent(f"the budget of {self.most} requests is used up (--max-requests)")
            self.within(0.0)
            self.sent += 1

    def within(self, seconds: float) -> float:
        """So many seconds, or as many as are left.

        Raises:
            Spent: None are left.
        """
        if self.seconds is None or self._begun is None:
            return seconds
        left = self._begun + self.seconds - time.monotonic()
        if left <= 0:
            raise Spent(f"the {self.seconds:g} s for all requests are over (--max-seconds)")
        return min(seconds, left)


class Client:
    """Sends chat completion requests to one endpoint.

    Args:
        url: Of the server, of its API's root (`.../v1`), or of the chat completions themselves.
        model: The name to ask for; None takes the first that the endpoint lists.
        key: A bearer token.
        budget: How many requests may be sent.
        patience: How long to wait.
        transcript: Where answers are kept.
        waiting: Called before a pause of a second or more, with words about what is waited for.
        transport: What carries the requests; None for a network.
        parallel: How many requests may be under way at a time, where several are known; fewer when the endpoint asks for that.

    Raises:
        InvalidArgument: No such URL, a key that no header can hold, or an argument of another type.

    Attributes:
        named: The model's name; None until it is known.
        fingerprint: The last `system_fingerprint`.
    """

    def __init__(
        self,
        url: str,
        *,
        model: str | None = None,
        key: str | None = None,
        budget: Budget | None = None,
        patience: RetryPolicy | None = None,
        transcript: Transcript | None = None,
        waiting: Callable[[str], None] | None = None,
        transport: httpx2.AsyncBaseTransport | None = None,
        parallel: int = PARALLEL,
    ) -> None:
        typed("budget", budget, Budget | None, "a Budget, or None")
        typed("patience", patience, RetryPolicy | None, "a Patience, or None")
        typed("transcript", transcript, Transcript | None, "a Transcript, or None")
        self.url = chat_url(url)
        self.budget, self.patience = budget or Budget(), patience or RetryPolicy()
        self.named, self.fingerprint = None if model is None else plain_name(model), ""
        self._silences, self._last, self._answered = 0, "", False
        self._waiting = waiting
        self._transcript = transcript or Transcript(None, {})
        self._headers = {} if key is None else {"Authorization": f"Bearer {plain_key(key)}"}
        self._transport = transport
        self._connections: Connections | None = None
        self.parallel = integer("parallel", parallel, 1, MOST_PARALLEL)
        self._gate, self._ended = Gate(self.parallel), Event()

    def close(self) -> None:
        """Close the connections; the next request opens new ones."""
        if self._connections is not None:
            self._connections.close()
            self._connections = None

    @property
    def model(self) -> str:
        """The model's name."""
        if self.named is None:
            self.named = self._first_model()
        return self.named

    def ask(self, *, tries: int | None = None, **fields: Any) -> Reply:
        """Send one request, its fields without the model.

        After so many `tries` that end in an error of the server's own it is given up, though the patience may allow more.

        Raises:
            CheckEnded: There is none that could be used.
        """
        return self._read(self.text(fields, tries), fields)

    def ask_all(self, requests: Sequence[Mapping[str, Any]]) -> list[Reply | CheckEnded]:
        """Send requests, as many at a time as may be: by request the response, or why there is none that could be used."""
        claims: list[Claim | CheckEnded] = [ended(self._claim, fields) for fields in requests]
        pool = ThreadPoolExecutor(self.parallel)
        try:
            return [*pool.map(partial(ended, self._answer), claims, requests)]
        except BaseException:  # Ctrl+C above all: nothing may go on behind it
            self._ended.set()
            self._connected().give_up()
            raise
        finally:
            pool.shutdown(cancel_futures=True)
            self._ended.clear()

    def _answer(self, claim: Claim | CheckEnded, fields: Mapping[str, Any]) -> Reply:
        """Return the response to a claimed request."""
        if isinstance(claim, CheckEnded):
            raise claim
        return self._read(self._text(claim, self.url), fields)

    def _read(self, text: str, fields: Mapping[str, Any]) -> Reply:
        """Return a response from its body."""
        reply = self.reply_of(text)
        most = max(fields.get("n", 1), 1)
        if len(reply.choices) > most:
            raise Malformed(f"{len(reply.choices)} choices for n = {most}")
        self.fingerprint = reply.system_fingerprint or self.fingerprint
        return reply

    def shaped(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Return the body of a request, the model left out."""
        return dict(fields)

    def reply_of(self, text: str) -> Reply:
        """Return a response from its body."""
        return read(Reply, text)

    def ask_stream(self, **fields: Any) -> list[Chunk]:
        """Send one request and read its stream to `[DONE]`.

        Raises:
            CheckEnded: The stream breaks off, or is none.
        """
        text = self.text({**fields, "stream": True})
        request, kind = httpx2.Request("POST", self.url), {"content-type": "text/event-stream"}
        response = httpx2.Response(200, headers=kind, text=text, request=request)
        try:
            events = [e.data for e in httpx2.EventSource(response)]
        except httpx2.SSEError as error:
            raise Malformed(f"the stream: {error}") from None
        whole = bool(events) and events[-1] == "[DONE]"
        chunks = [read(Chunk, event) for event in (events[:-1] if whole else events)]
        if whole:
            return chunks
        words = f"the stream ends after {len(events)} events without [DONE]"
        given = any(choice.finish_reason for chunk in chunks for choice in chunk.choices)
        raise Unended(f"{words}, though it gives a reason to finish") if given else Malformed(words)

    def text(self, fields: Mapping[str, Any], tries: int | None = None) -> str:
        """Return the body of the answer to one request."""
        return self._text(self._claim(fields), self.url, tries)

    def post(self, path: str, body: Mapping[str, Any]) -> str:
        """Return what is answered at a path behind the root, where `/v1` is, to a body without the model; few servers have it.

        Raises:
            CheckEnded: There is none.
        """
        root = self.url.removesuffix("/chat/completions").removesuffix("/v1")
        return self._text(self._claim({"path": path, **body}), root + path, 1)

    def _claim(self, fields: Mapping[str, Any]) -> Claim:
        """Return a request's place in the transcript and, where it has to be sent, in the budget."""
        claim = self._transcript.claim({"model": self.model, **self.shaped(fields)})
        if claim.received is None:
            self._count()
        return claim

    def _count(self) -> None:
        """Take a request from the budget.

        Raises:
            CheckEnded: There is none left, or nobody to send it to.
        """
        if self._silences >= SILENCES:
            raise Unanswered(f"given up after {SILENCES} unanswered requests, the last with: {self._last}")
        self.budget.take()

    def _text(self, claim: Claim, url: str, tries: int | None = None) -> str:
        """Return the body of the answer to a claimed request; `tries` are those of `ask`."""
        received = claim.received
        if received is None:
            received = self._sent("POST", url, claim.body, tries)
            self._transcript.add(claim, received)
        return accepted(received)

    def _connected(self) -> Connections:
        """Return the connections."""
        if self._connections is None:
            self._connections = Connections(self._headers, self._transport)
        return self._connections

    def _first_model(self) -> str:
        self._count()
        received = self._sent("GET", self.url.removesuffix("/completions").removesuffix("/chat") + "/models")
        try:
            return part(Model, read(Models, accepted(received)).data[0], "data.0").id
        except (Malformed, Refused) as error:
            raise Malformed(f"no model was named, and the endpoint lists none: {error}") from None

    def _sent(
        self, method: str, url: str, body: Mapping[str, Any] | None = None, most: int | None = None
    ) -> Received:
        """Send a request that was counted, again and again if need be."""
        retrying = tenacity.Retrying(
            stop=partial(tried_enough, tries=self.patience.tries, failures=most or self.patience.tries),
            wait=self._pause,
            retry=tenacity.retry_if_exception(self._worth_waiting_for),
            before_sleep=self._tell,
            sleep=tenacity.nap.sleep_using_event(self._ended),
            reraise=True,
        )
        try:
            received = retrying(self._try, method, url, body)
        except Passing as error:
            self._silences, self._last = self._silences + 1, str(error)
            tries = retrying.statistics["attempt_number"]
            words = "1 try" if tries == 1 else f"{tries} tries"
            said = f"no answer in {words}, the last with: {error}"
            raise (Failing(error.status, said) if error.status in OWN_FAULTS else Unanswered(said)) from None
        self._silences = 0
        return received

    def _worth_waiting_for(self, error: BaseException) -> bool:
        """Whether a request that failed is to be sent again; where nobody has ever answered, nobody may be there."""
        if self._ended.is_set():
            return False
        if isinstance(error, Unreached):
            return self._answered
        return isinstance(error, Passing) and (error.wait is None or error.wait <= LONGEST_PAUSE)

    def _tell(self, state: tenacity.RetryCallState) -> None:
        """Count the next try, and say what is waited for."""
        self.budget.take()
        pause = state.next_action.sleep if state.next_action else 0.0
        if self._waiting is not None and state.outcome is not None and pause >= 1:
            tries = f"try {state.attempt_number} of {self.patience.tries}"
            self._waiting(f"{self.url}: {state.outcome.exception()}; {tries}, the next in {pause:.0f} s")

    def _pause(self, state: tenacity.RetryCallState) -> float:
        """Seconds until the next try."""
        error = state.outcome.exception() if state.outcome else None
        if isinstance(error, Passing) and error.wait is not None:
            return self.budget.within(error.wait)
        pause = self.patience.pause
        backing_off = tenacity.wait_exponential_jitter(multiplier=pause, max=LONGEST_PAUSE, jitter=pause)
        return self.budget.within(backing_off(state))

    def _try(self, method: str, url: str, body: Mapping[str, Any] | None) -> Received:
        """Send a request once."""
        with self._gate:
            if self._ended.is_set():
                raise Passing("given up")
            answer = self._connected().send(method, url, body, self.budget.within(self.patience.seconds))
        self._answered = True
        status = answer.status
        self._gate.told(fewer=status in CROWDED)
        if status >= 500 or status in PASSING:
            wait = seconds_of(answer.retry_after)
            asked = "" if wait is None else f" (it asks to wait for {wait:g} s)"
            said = refusal(answer.body.decode(errors="replace"))
            raise Passing(f"HTTP {status}: {said}{asked}", wait, status)
        if 300 <= status < 400:
            raise Malformed(f"a redirection (HTTP {status})")
        if status >= 400:
            return Received(status, answer.body.decode(errors="replace"))
        try:
            return Received(status, answer.body.decode())
        except UnicodeDecodeError as error:
            raise Malformed(f"the answer is no UTF-8 ({error.reason} at byte {error.start})") from None


def accepted(received: Received) -> str:
    """Return the body of an answer; raise `Refused` where it is a refusal."""
    if received.status >= 400:
        raise Refused(received.status, refusal(received.text))
    return received.text


def refusal(text: str) -> str:
    """Return what an error says, in at most 200 characters."""
    try:
        told: Any = read_json(text)
        words = told["error"]["message"] if isinstance(told["error"], dict) else told["error"]
    except (ValueError, LookupError, TypeError):
        words = text
    return (words if isinstance(words, str) else text).strip()[:200] or "no message"


def tried_enough(state: tenacity.RetryCallState, tries: int, failures: int) -> bool:
    """Whether a request was sent often enough: `failures` times where the last try ended in an error of the server's own."""
    error = state.outcome.exception() if state.outcome else None
    own = isinstance(error, Passing) and error.status in OWN_FAULTS
    return state.attempt_number >= (min(failures, tries) if own else tries)


def ended(ask: Callable[..., R], *given: Any) -> R | CheckEnded:
    """Return what asking gives, or why it gives nothing."""
    try:
        return ask(*given)
    except CheckEnded as end:
        return end
