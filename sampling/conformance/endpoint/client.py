"""Requests over HTTP: retried with back-off, counted against a budget, and written down."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from threading import Lock
from typing import Any
from urllib.parse import urlsplit

import httpx2
import tenacity

from sampling.conformance.endpoint.patience import Patience
from sampling.conformance.endpoint.reply import Chunk, Reply, read
from sampling.conformance.endpoint.transcript import Received, Transcript
from sampling.conformance.endpoint.trouble import Malformed, Refused, Spent, Unanswered
from sampling.conformance.typed import typed
from sampling.errors import InvalidRequest
from sampling.params import integer

LARGEST_ANSWER = 2**26  # bytes
SILENCES = 3  # unanswered requests in a row after which an endpoint counts as gone
PASSING = (408, 409, 425, 429)  # statuses below 500 that another try may change
LONGEST_PAUSE = 60.0  # seconds


@dataclass
class Budget:
    """How many requests may be sent.

    Args:
        most: None for no limit.
        sent: How many were, retries included.
    """

    most: int | None = None
    sent: int = 0
    _lock: Lock = field(default_factory=Lock)

    def __post_init__(self) -> None:
        """Check the limit."""
        if self.most is not None:
            integer("budget.most", self.most, 1)

    def take(self) -> None:
        """Count one.

        Raises:
            Spent: It is one too many.
        """
        with self._lock:
            if self.most is not None and self.sent >= self.most:
                raise Spent(f"the budget of {self.most} requests is used up (--max-requests)")
            self.sent += 1


class Passing(Exception):
    """A failure that another try may mend.

    Args:
        words: What happened.
        wait: Seconds that the endpoint asks to wait.
    """

    def __init__(self, words: str, wait: float | None = None) -> None:
        super().__init__(words)
        self.wait = wait


class Client:
    """Sends chat completion requests to one endpoint.

    Args:
        url: Of the server, of its API's root (`.../v1`), or of the chat completions themselves.
        model: The name to ask for; None takes the first that the endpoint lists.
        key: A bearer token.
        budget: How many requests may be sent.
        patience: How long to wait.
        transcript: Where answers are kept.
        transport: What carries the requests; None for a network.

    Raises:
        InvalidRequest: No such URL, a key that no header can hold, or an argument of another type.

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
        patience: Patience | None = None,
        transcript: Transcript | None = None,
        transport: httpx2.BaseTransport | None = None,
    ) -> None:
        typed("model", model, str | None, "a name, or None for the first that the endpoint lists")
        typed("budget", budget, Budget | None, "a Budget, or None")
        typed("patience", patience, Patience | None, "a Patience, or None")
        typed("transcript", transcript, Transcript | None, "a Transcript, or None")
        self.url = chat_url(url)
        self.budget, self.patience = budget or Budget(), patience or Patience()
        self.named, self.fingerprint = model, ""
        self._silences, self._last = 0, ""
        self._transcript = transcript or Transcript(None, {})
        self._headers = {} if key is None else {"Authorization": f"Bearer {plain_key(key)}"}
        self._transport = transport
        self._http: httpx2.Client | None = None

    def close(self) -> None:
        """Close the connections; the next request opens new ones."""
        if self._http is not None:
            self._http.close()
            self._http = None

    @property
    def model(self) -> str:
        """The model's name."""
        if self.named is None:
            self.named = self._first_model()
        return self.named

    def ask(self, **fields: Any) -> Reply:
        """Send one request.

        Args:
            fields: Of the request, the model left out.

        Returns:
            The response.

        Raises:
            CheckEnded: There is none that could be used.
        """
        reply = read(Reply, self.text(fields))
        self.fingerprint = reply.system_fingerprint or self.fingerprint
        return reply

    def ask_stream(self, **fields: Any) -> list[Chunk]:
        """Send one request and read its stream to `[DONE]`.

        Raises:
            CheckEnded: The stream breaks off, or is none.
        """
        text = self.text({**fields, "stream": True})
        request, kind = httpx2.Request("POST", self.url), {"content-type": "text/event-stream"}
        response = httpx2.Response(200, headers=kind, text=text, request=request)
        events = [e.data for e in httpx2.EventSource(response)]
        if not events or events[-1] != "[DONE]":
            raise Malformed(f"the stream ends after {len(events)} events without [DONE]")
        return [read(Chunk, event) for event in events[:-1]]

    def text(self, fields: Mapping[str, Any]) -> str:
        """The body of the answer to one request."""
        body = {"model": self.model, **fields}
        received = self._transcript.recall(body)
        if received is None:
            received = self._sent("POST", self.url, body)
            self._transcript.add(body, received)
        if received.status >= 400:
            raise Refused(received.status, refusal(received.text))
        return received.text

    def _connected(self) -> httpx2.Client:
        """The connections."""
        if self._http is None:
            seconds = self.patience.seconds
            self._http = httpx2.Client(headers=self._headers, timeout=seconds, transport=self._transport)
        return self._http

    def _first_model(self) -> str:
        received = self._sent("GET", self.url.removesuffix("/chat/completions") + "/models")
        try:
            return str(json.loads(received.text)["data"][0]["id"])
        except (ValueError, LookupError, TypeError):
            said = f": {refusal(received.text)}" if received.status >= 400 else ""
            words = f"no model was named, and the endpoint lists none (HTTP {received.status}{said})"
            raise Malformed(words) from None

    def _sent(self, method: str, url: str, body: Mapping[str, Any] | None = None) -> Received:
        """Send a request, again and again if need be."""
        if self._silences >= SILENCES:
            raise Unanswered(f"given up after {SILENCES} unanswered requests, the last with: {self._last}")
        retrying = tenacity.Retrying(
            stop=tenacity.stop_after_attempt(self.patience.tries),
            wait=self._pause,
            retry=tenacity.retry_if_exception_type(Passing),
            reraise=True,
        )
        try:
            received = retrying(self._try, method, url, body)
        except Passing as error:
            self._silences, self._last = self._silences + 1, str(error)
            raise Unanswered(f"no answer in {self.patience.tries} tries, the last with: {error}") from None
        self._silences = 0
        return received

    def _pause(self, state: tenacity.RetryCallState) -> float:
        """Seconds until the next try."""
        error = state.outcome.exception() if state.outcome else None
        if isinstance(error, Passing) and error.wait is not None:
            return min(error.wait, LONGEST_PAUSE)
        pause = self.patience.pause
        backing_off = tenacity.wait_exponential_jitter(multiplier=pause, max=LONGEST_PAUSE, jitter=pause)
        return backing_off(state)

    def _try(self, method: str, url: str, body: Mapping[str, Any] | None) -> Received:
        """Send a request once."""
        self.budget.take()
        deadline = time.monotonic() + self.patience.seconds
        try:
            with self._connected().stream(method, url, json=body) as response:
                raw = bytearray()
                for part in response.iter_bytes():
                    raw += part
                    if time.monotonic() > deadline:
                        raise Passing(f"the answer took longer than {self.patience.seconds:g} s")
                    if len(raw) > LARGEST_ANSWER:
                        raise Malformed(f"the answer is longer than {LARGEST_ANSWER} bytes")
        except (httpx2.HTTPError, httpx2.StreamError, httpx2.InvalidURL) as error:
            raise Passing(f"{type(error).__name__}: {error}") from None
        status = response.status_code
        text = raw.decode(errors="replace")
        if status >= 500 or status in PASSING:
            raise Passing(f"HTTP {status}: {refusal(text)}", seconds_of(response.headers.get("retry-after")))
        if status >= 300 and status < 400:
            raise Malformed(f"a redirection (HTTP {status})")
        return Received(status, text)


def chat_url(url: object) -> str:
    """Where chat completions are asked for.

    Raises:
        InvalidRequest: Not an http or https URL.

    Example:
        >>> chat_url("http://127.0.0.1:8000")
        'http://127.0.0.1:8000/v1/chat/completions'
    """
    allowed = "an http:// or https:// URL with a host"
    if not isinstance(url, str) or not url.startswith(("http://", "https://")):
        raise InvalidRequest("url", url, allowed)
    try:
        parsed = urlsplit(url)
        named = parsed.hostname and (parsed.port is None or parsed.port > 0) and httpx2.URL(url).host
    except (ValueError, httpx2.InvalidURL) as error:
        raise InvalidRequest("url", url, f"{allowed} ({error})") from error
    if not named:
        raise InvalidRequest("url", url, allowed)
    if parsed.username is not None or parsed.password is not None:
        words = f"{allowed} and without a user: reports show it, and a key goes into api_key"
        raise InvalidRequest("url", f"{parsed.scheme}://(not shown)@{parsed.hostname}", words)
    if "?" in url or "#" in url:
        raise InvalidRequest("url", url, f"{allowed}, without a query or a fragment")
    root = url.rstrip("/")
    if root.endswith("/chat/completions"):
        return root
    bare = root.count("/") == 2
    return f"{root}/v1/chat/completions" if bare else f"{root}/chat/completions"


def plain_key(key: object) -> str:
    """Check a bearer token, which no message shows.

    Raises:
        InvalidRequest: A header can not hold it.
    """
    if not (isinstance(key, str) and key.isascii() and key.isprintable()):
        raise InvalidRequest("api_key", "(not shown)", "printable ASCII characters")
    return key


def refusal(text: str) -> str:
    """What an error says, in at most 200 characters."""
    try:
        told = json.loads(text)
        words = told["error"]["message"] if isinstance(told["error"], dict) else told["error"]
    except (ValueError, LookupError, TypeError):
        words = text
    return str(words).strip()[:200] or "no message"


def seconds_of(header: str | None) -> float | None:
    """The seconds of a `Retry-After`; a date counts as none."""
    try:
        return None if header is None else max(float(header), 0.0)
    except ValueError:
        return None
