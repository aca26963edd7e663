"""In which form an endpoint takes requests: learnt from what it refuses, one field at a time.

Every request of the kit goes through here. Whatever makes the kit ask otherwise is noted, for the report.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from threading import RLock
from typing import Any

from sampling.conformance.endings import CheckEnded
from sampling.conformance.endpoint.client import Client, ended
from sampling.conformance.endpoint.prompts import LETTERS
from sampling.conformance.endpoint.reply import Chunk, Reply, first_tokens
from sampling.conformance.endpoint.trouble import Failing, Malformed, Refused
from sampling.conformance.semantics import Semantics
from sampling.core.errors import shown

Fields = Mapping[str, Any]

LISTED = 20  # alternatives that the API may list
TOKENS = ("max_tokens", "max_completion_tokens")
LEAST = (1, 16)  # values of it that endpoints have for the least
HOTTEST = 2.0  # a temperature at which only a greedy sampler says one thing again and again
LONG, AGAIN = 8, 4  # tokens of such a message, and how often it is looked at
TRIES = 2  # of a request that is a trial: an error of the server's own may be what it says to a field
FORM = (400, 405, 413, 415, 422, 500, 501)  # statuses that may be about a field

# What a field says to have no effect, by its name in the kit; those that are tried in turn where one is refused.
NEUTRAL: Mapping[str, tuple[Any, ...]] = {
    "temperature": (1.0,),
    "top_p": (1.0,),
    "top_k": (0, -1),
    "min_p": (0.0,),
    "frequency_penalty": (0.0,),
    "presence_penalty": (0.0,),
    "repetition_penalty": (1.0,),
}
SAMPLING = frozenset({*NEUTRAL, "logit_bias"})
TRUNCATING = ("top_k", "top_p", "min_p")


class Manners:
    """Asks an endpoint in the form that it takes.

    Args:
        client: The endpoint.
        semantics: The dialect's, which knows what its engines call a field; None takes the names as they are.

    Attributes:
        neutral: Fields that are sent with every request unless it has them itself: without them an endpoint's own defaults
            would be in force.
        least: Of `max_tokens`.
        listed: The most `top_logprobs`; 0 where there are none.
        notes: What was refused, and what was asked instead.
    """

    def __init__(self, client: Client, semantics: Semantics | None = None) -> None:
        self.client = client
        self.names = dict(semantics.field_names) if semantics else {}
        self.further = dict(semantics.neutral_fields) if semantics else {}
        self.neutral: dict[str, Any] = {}
        self.least, self.listed = LEAST[0], LISTED
        self.notes: list[str] = []
        self._tokens, self._introduced, self._lists_known = TOKENS[0], False, False
        # own fields of requests that are taken with no others beside
        self._alone: set[frozenset[str]] = set()
        self._clash = False  # whether some fields are taken alone, and not together
        self._lock = RLock()

    def ask(self, fields: Fields, *, without: tuple[str, ...] = (), tries: int | None = None) -> Reply:
        """Ask, in the form that the endpoint takes, with fields by their names in the kit; neutral ones `without` are left out.

        After so many `tries` that end in an error of the server's own it is given up, though the patience may allow more.

        Raises:
            CheckEnded: There is no answer that could be used.
        """
        self.introduce()
        try:
            reply = self._sent(self.formed(fields, without), tries)
        except Refused as refusal:
            if not self._learnt(fields, refusal):
                raise
            reply = self._sent(self.formed(fields, without), tries)
        return self._cut(reply, fields)

    def ask_all(self, requests: Sequence[Fields]) -> list[Reply | CheckEnded]:
        """Ask several things, as many at a time as may be: by request its response, or why there is none."""
        self.introduce()
        replies = self._sent_all(requests)
        refused = [at for at, reply in enumerate(replies) if isinstance(reply, Refused)]
        first = replies[refused[0]] if refused else None
        if isinstance(first, Refused) and self._learnt(requests[refused[0]], first):
            again = self._sent_all([requests[at] for at in refused])
            for at, reply in zip(refused, again, strict=True):
                replies[at] = reply
        return replies

    def _sent_all(self, requests: Sequence[Fields]) -> list[Reply | CheckEnded]:
        """Send several requests once."""
        came = self.client.ask_all([self.formed(fields) for fields in requests])
        if any(isinstance(reply, Failing) for reply in came):
            self.client.ask(**self.formed({}))  # others are answered
            came = [Refused(r.status, r.words) if isinstance(r, Failing) else r for r in came]
        return [
            ended(self._cut, reply, fields) if isinstance(reply, Reply) else reply
            for reply, fields in zip(came, requests, strict=True)
        ]

    def ask_stream(self, fields: Fields) -> list[Chunk]:
        """Ask for a stream."""
        self.introduce()
        return self.client.ask_stream(**self.formed(fields))

    def refusal(self, fields: Fields) -> str:
        """Return what the endpoint says to fields as they are; nothing if it takes them.

        Raises:
            Refused: It refuses even a request without them.
        """
        self.introduce()
        words = self._refusal(self._as_is(fields))
        if words and self._clash:
            return self._refusal(self._as_is(fields, (*self.neutral,)))
        return words

    def ask_as_is(self, fields: Fields) -> Reply:
        """Ask with fields as they are, whatever form the endpoint wants.

        Raises:
            CheckEnded: There is no answer that could be used.
        """
        self.introduce()
        return self._sent(self._as_is(fields), TRIES)

    def _as_is(self, fields: Fields, without: tuple[str, ...] = ()) -> dict[str, Any]:
        """Return a plain request with fields as they are."""
        plain = self.formed({}, (*fields, *without))
        if TOKENS[0] in fields:
            del plain[self._tokens]
        return plain | self.named(fields)

    def introduce(self) -> None:
        """Learn how `max_tokens` is taken, and which fields are taken with the value that has no effect.

        Raises:
            CheckEnded: No request is taken, or answered.
        """
        with self._lock:
            if self._introduced:
                return
            self.neutral = self._neutral_of(0)
            if self._refusal(self.formed({})):
                self.neutral = {}
                self.reach()
                self._learn_neutral()
            self._introduced = True
            self._without_greedy()

    def formed(self, fields: Fields, without: tuple[str, ...] = ()) -> dict[str, Any]:
        """Return the request as it is sent."""
        left = {name: self.neutral[name] for name in self.beside(fields) if name not in without}
        given: dict[str, Any] = {"messages": [*LETTERS], TOKENS[0]: 1, **left, **fields}
        wanted = given.pop(TOKENS[0])
        given[self._tokens] = max(wanted, self.least)
        if "logit_bias" in given:  # whole numbers are not taken everywhere, others have to be
            given["logit_bias"] = {token: float(bias) for token, bias in given["logit_bias"].items()}
        if given.get("top_logprobs", 0) > self.listed:
            given["top_logprobs"] = self.listed
            if not self.listed:
                del given["top_logprobs"]
        if given.get("n") == 1:  # what is meant without it; not every endpoint has the field
            del given["n"]
        if wanted < self.least:  # what was not wanted is cut off again, token by token
            given = {"logprobs": True, **given}
        return self.named(given)

    def beside(self, fields: Fields) -> tuple[str, ...]:
        """Return the neutral fields that are sent with a request's own."""
        return () if own_names(fields) in self._alone else (*self.neutral,)

    def named(self, fields: Fields) -> dict[str, Any]:
        """Fields by the names that the endpoint has for them."""
        return {self.names.get(name, name): value for name, value in fields.items()}

    def _cut(self, reply: Reply, fields: Fields) -> Reply:
        """As many tokens of a reply as were wanted."""
        wanted = fields.get(TOKENS[0], 1)
        return reply if wanted >= self.least else first_tokens(reply, wanted)

    def _sent(self, body: Fields, tries: int | None = None) -> Reply:
        """Send a request; one that the server itself fails at, as long as it answers others, is refused."""
        try:
            return self.client.ask(tries=tries, **body)
        except Failing as failing:
            self.client.ask(**self.formed({}))
            raise Refused(failing.status, failing.words) from None

    def _refusal(self, body: Fields) -> str:
        """Return what is said to a request; nothing if it is answered."""
        try:
            self.client.ask(tries=TRIES, **body)
        except Failing as failing:
            if not self._introduced:
                return str(failing)
            self.client.ask(**self.formed({}))
            return str(failing)
        except Refused as refusal:
            if refusal.status not in FORM:
                raise
            return str(refusal)
        return ""

    def _neutral_of(self, place: int) -> dict[str, Any]:
        """All neutral fields, each with the first value of those that are tried, or the next one."""
        own = {name: values[min(place, len(values) - 1)] for name, values in NEUTRAL.items()}
        return {**own, **self.further}

    def reach(self) -> None:
        """Find a plain request that is taken.

        Raises:
            CheckEnded: None is; what it says is what was said to the first.
        """
        refusals: list[str] = []
        for least in LEAST:
            for name in TOKENS:
                self._tokens, self.least = name, least
                refusal = self._refusal(self.formed({}))
                if not refusal:
                    self._note_tokens(refusals)
                    return
                refusals.append(refusal)
        self._tokens, self.least = TOKENS[0], LEAST[0]
        self.client.ask(**self.formed({}))

    def _note_tokens(self, refusals: list[str]) -> None:
        """Note in which form alone the number of tokens is taken."""
        if self._tokens != TOKENS[0]:
            self.note(TOKENS[0], refusals[0], f"{self._tokens} was sent instead")
        if self.least != LEAST[0]:
            words = f"{self.least} tokens were asked for, and those behind the first ones left aside"
            self.note(f"{self._tokens} below {self.least}", refusals[0], words)

    def _learn_neutral(self) -> None:
        """Find the fields that are taken with a value that has no effect, one by one where not all are."""
        for place in (0, 1):
            if not self._refusal(self.formed(self._neutral_of(place))):
                self.neutral = self._neutral_of(place)
                return
        refusals = {name: self._learn_field(name, values) for name, values in NEUTRAL.items()}
        refused = {name: words for name, words in refusals.items() if words}
        for name, value in self.further.items():
            self._learn_field(name, (value,))
        if refused:
            self.note(" and ".join(refused), next(iter(refused.values())), "left out of every request")

    def _learn_field(self, name: str, values: tuple[Any, ...]) -> str:
        """Find a value of a field that is taken, under the name that its dialect has for it, or its usual one.

        Returns:
            What is said to the first of them, where none is taken.
        """
        refusals: list[str] = []
        for field in dict.fromkeys((self.names.get(name, name), name)):
            for value in values:
                refusals.append(self._refusal(self.formed({}) | {field: value}))
                if not refusals[-1]:
                    self.names[name] = field
                    self.neutral[name] = value
                    return ""
                self._clash |= bool(self.neutral) and not self._refusal(
                    self.formed({}, (*self.neutral,)) | {field: value}
                )
        return refusals[0]

    def _without_greedy(self) -> None:
        """Leave out a truncation's neutral value that leaves one token: some samplers keep 0 tokens but for the first."""
        hot: dict[str, Any] = {"temperature": HOTTEST, TOKENS[0]: LONG}
        if self._varies(self.formed(hot)) or not self._varies(self.formed(hot, TRUNCATING)):
            return
        for name in TRUNCATING:
            others = tuple(other for other in TRUNCATING if other != name)
            if name in self.neutral and not self._varies(self.formed(hot, others)):
                value = self.neutral.pop(name)
                self.notes.append(
                    f"{name} {value:g}, which is to keep all tokens, makes every draw the same; it was left out"
                )

    def _varies(self, body: Fields) -> bool:
        """Whether a request is not always answered by the same text, as far as it is answered."""
        texts: set[str] = set()
        for _ in range(AGAIN):
            try:
                texts.add(self.client.ask(tries=TRIES, **body).choices[0].text)
            except (Refused, Malformed, Failing):
                return True
            if len(texts) > 1:
                return True
        return False

    def _learnt(self, fields: Fields, refusal: Refused) -> bool:
        """Whether a refusal shows how to ask instead."""
        return self._fewer_listed(fields, refusal) or self._taken_alone(fields, refusal)

    def _taken_alone(self, fields: Fields, refusal: Refused) -> bool:
        """Find out whether a request's own fields are taken where no others are beside them."""
        own = own_names(fields)
        with self._lock:
            if not own or not self.neutral or refusal.status not in FORM:
                return False
            if own in self._alone:
                return False
            if self._refusal(self.formed(fields, (*self.neutral,))):
                return False
            self._alone.add(own)
            self._clash = True
            words = "values without effect of the others were left out there"
            self.note(f"{' and '.join(sorted(own))} beside other fields", str(refusal), words)
            return True

    def _fewer_listed(self, fields: Fields, refusal: Refused) -> bool:
        """Find the most alternatives that may be asked for, where it may be their number that was refused."""
        with self._lock:
            asked = min(fields.get("top_logprobs", 0), self.listed)
            if self._lists_known or not asked or refusal.status not in FORM:
                return fields.get("top_logprobs", 0) > self.listed  # another thread may have found it
            self._lists_known = True
            words = self._refusal(self.formed({"logprobs": True, "top_logprobs": asked}))
            if not words:
                return False
            low, high = 0, asked
            while high - low > 1:
                middle = (low + high) // 2
                taken = not self._refusal(self.formed({"logprobs": True, "top_logprobs": middle}))
                low, high = (middle, high) if taken else (low, middle)
            self.listed = low
            instead = f"{low} alternatives were asked for" if low else "none were asked for"
            self.note(f"top_logprobs above {low}" if low else "top_logprobs", words, instead)
            return True

    def note(self, what: str, words: str, instead: str) -> None:
        """Note that something was refused, and what was asked instead."""
        self.notes.append(f"the endpoint refuses {what} ({shown(words)}); {instead}")


def own_names(fields: Fields) -> frozenset[str]:
    """Return the fields of a request that say how to sample."""
    return frozenset(fields) & SAMPLING
