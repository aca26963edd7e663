"""What is learnt about an endpoint's model before anything is tested: ids, their texts and their log probabilities.

No tokenizer is needed: a bias of +100 makes an id tell its text, a plain request tells the log probabilities of the 20 most
likely texts in a context, and where two tokens' log probabilities are not told, the difference of the biases at which the arg
max changes from one to the other tells theirs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import wraps
from itertools import islice
from typing import Any, TypeVar

from sampling.conformance.endings import CheckEnded, NotTestable
from sampling.conformance.endpoint.client import Client
from sampling.conformance.endpoint.contexts import Weights, known_contexts
from sampling.conformance.endpoint.natural import Context
from sampling.conformance.endpoint.prompts import LETTERS, Messages
from sampling.conformance.endpoint.reply import Position, Reply, unlikely, values_of
from sampling.conformance.endpoint.trouble import Malformed, Missing, Refused

# Where vocabularies have letters and digits: byte-level BPE (GPT-2, tiktoken, Llama 3, Qwen), Tekken, SentencePiece (Llama 2).
CANDIDATES = (
    range(32, 58),
    range(15, 25),
    range(1065, 1091),
    range(1048, 1058),
    range(29871, 29960),
    range(64, 90),
)
MOST_PROBES = 180
LONGEST = 64  # characters of a token of a fence
WIDEST, PLENTY, NARROWEST = 16, 12, 6  # tokens of a fence
LOWEST = -35.0  # a log probability; no bias lifts what is below into a fence
LISTED = 20  # alternatives that the API may list
FORCE = 100.0
SPAN, PRECISION = 48.0, 0.004  # of log probability differences that are searched for, and how closely
MOST_CHOICES = 16

R = TypeVar("R")


@dataclass(frozen=True)
class Token:
    """A token that can be told by its text.

    Args:
        id: Its id.
        text: What a message of it alone is.
        logprob: Its log probability in a context, up to a constant that all its tokens share.
    """

    id: int
    text: str
    logprob: float


@dataclass(frozen=True)
class Fence:
    """Tokens of one context whose probabilities biases can set, all others kept out.

    Args:
        messages: The context.
        tokens: At most 16; no text is the beginning of another.
        slack: How far a log probability may be from what is noted.
        told: Whether the endpoint told them; otherwise their differences alone are known.
    """

    messages: Messages
    tokens: tuple[Token, ...]
    slack: float
    told: bool

    def first(self, count: int) -> Fence:
        """The fence of the first so many tokens."""
        return replace(self, tokens=self.tokens[:count])

    def index(self, text: str) -> int | None:
        """Which token a message is; None if it is none of them."""
        return next((place for place, token in enumerate(self.tokens) if token.text == text), None)

    def split(self, text: str, most: int) -> list[int]:
        """Which tokens a message consists of, as far as it does; at most so many."""
        found: list[int] = []
        while text and len(found) < most:
            place = next((i for i, token in enumerate(self.tokens) if text.startswith(token.text)), None)
            if place is None:
                break
            found.append(place)
            text = text[len(self.tokens[place].text) :]
        return found


def once(method: Callable[[Survey], R]) -> Callable[[Survey], R]:
    """Ask for something once; what it came to, trouble included, is kept."""

    @wraps(method)
    def kept(survey: Survey) -> R:
        known = survey.known
        if method not in known:
            try:
                known[method] = method(survey), None
            except CheckEnded as error:
                known[method] = None, error
        value, trouble = known[method]
        if trouble is not None:
            raise trouble
        return value

    return kept


class Survey:
    """What is known about an endpoint's model.

    Args:
        client: The endpoint.
        weights: Those that it should serve; None where they are not at hand.
    """

    def __init__(self, client: Client, weights: Weights | None = None) -> None:
        self._client, self._weights = client, weights
        self.known: dict[Any, tuple[Any, CheckEnded | None]] = {}

    def ask(self, messages: Messages = LETTERS, **fields: Any) -> Reply:
        """Ask for one token, unless the fields say otherwise."""
        return self._client.ask(**self.request(messages, fields))

    def ask_all(self, requests: Sequence[tuple[Messages, Mapping[str, Any]]]) -> list[Reply | CheckEnded]:
        """Ask several things, as many at a time as may be: by request its response, or why there is none."""
        return self._client.ask_all([self.request(messages, fields) for messages, fields in requests])

    def request(self, messages: Messages, fields: Mapping[str, Any]) -> dict[str, Any]:
        """A request as it is sent."""
        return {"messages": list(messages), "max_tokens": 1, **fields}

    @once
    def plain(self) -> Reply:
        """The answer to a request that asks for nothing special."""
        return self.ask()

    @once
    def texts(self) -> dict[str, int]:
        """Ids by text: what ids say when they are forced.

        Raises:
            NotTestable: Nothing can be forced.
        """
        self.plain()  # where not even this is taken, a refusal says nothing about biases
        found: dict[str, int] = {}
        said: set[str] = set()
        for asked, token in enumerate(islice(candidates(), MOST_PROBES), start=1):
            text = self._said(token)
            said.add(text)
            if tellable(text):
                found.setdefault(text, token)
            if self._enough(found) or (asked == NARROWEST and len(said) == 1):
                break
        if len(found) < 2:
            raise NotTestable("biases of +100 do not force tokens, so that no support can be fenced")
        return found

    @once
    def listed(self) -> dict[str, float]:
        """Log probabilities by text in the context of letters; none if the endpoint tells none."""
        return self.logprobs_in(LETTERS)

    def logprobs_in(self, messages: Messages) -> dict[str, float]:
        """Log probabilities by text in a context; none if the endpoint tells none, or what can be none."""
        position = self.position_in(messages)
        return {} if position is None else values_of(position)

    def position_in(self, messages: Messages) -> Position | None:
        """What is said about the next token in a context; None if nothing is, or what can be none."""
        try:
            reply = self.ask(messages, logprobs=True, top_logprobs=LISTED)
            position = reply.choices[0].positions[0]
        except (Refused, Missing, Malformed):
            return None
        return None if unlikely(position) else position

    @once
    def fence(self) -> Fence:
        """The fence in the context of letters."""
        return self.fence_in(LETTERS)

    def fence_in(self, messages: Messages) -> Fence:
        """The fence in some context.

        Raises:
            NotTestable: Too few tokens can be told apart.
        """
        texts = self.texts()
        told = self.listed() if messages == LETTERS else self.logprobs_in(messages)
        told = {text: value for text, value in told.items() if text in texts and value >= LOWEST}
        tokens = [Token(texts[text], text, value) for text, value in told.items()]
        listed = len(tokens) >= NARROWEST
        if not listed:
            tokens = self._searched(messages, texts)
        kept = apart(tokens)[:WIDEST]
        if len(kept) < 2:
            raise NotTestable("fewer than two ids have texts that can be told apart")
        return Fence(messages, tuple(kept), 1e-3 if listed else PRECISION, listed)

    @once
    def contexts(self) -> list[Context]:
        """Contexts as they are, the broadest first.

        Raises:
            NotTestable: No log probabilities are known in any.
        """
        return known_contexts(self.position_in, self._weights)

    @once
    def greedy(self) -> dict[str, Any]:
        """The parameters by which the arg max can be had."""
        refusal: Refused | None = None
        ways: tuple[dict[str, Any], ...] = ({"temperature": 0}, {"top_k": 1}, {"top_p": 1e-6})
        for fields in ways:
            try:
                self.ask(**fields)
            except Refused as error:
                refusal = error
            else:
                return fields
        raise NotTestable(f"no way to the arg max: {refusal}")

    @once
    def per_request(self) -> int:
        """How many independent draws one request gives: n, if it is honoured and the choices differ."""
        messages, fields = self._broad()
        for n in (MOST_CHOICES, 4):
            try:
                seeded: dict[str, Any] = {"seed": 1} if self.takes_seed() else {}
                reply = self.ask(messages, n=n, **fields, **seeded)
            except Refused:
                continue
            if len(reply.choices) == n and len({choice.text for choice in reply.choices}) > 1:
                return n
        return 1

    def _broad(self) -> tuple[Messages, dict[str, Any]]:
        """A context in which many tokens are likely, and the biases that make it so."""
        try:
            fence = self.fence()
        except NotTestable:
            return self.contexts()[0].messages, {}
        return fence.messages, {"logit_bias": {str(token.id): 60 - token.logprob for token in fence.tokens}}

    @once
    def takes_seed(self) -> bool:
        """Whether a seed is accepted."""
        self.plain()
        try:
            self.ask(seed=1)
        except Refused:
            return False
        return True

    def _said(self, token: int) -> str:
        """What an id says when it is forced; nothing if it can not be asked for."""
        try:
            return self.ask(logit_bias={str(token): FORCE}).choices[0].text
        except Refused:
            return ""

    def _enough(self, found: Mapping[str, int]) -> bool:
        """Whether the texts that are known make a fence."""
        told = self.listed()
        return sum(text in found for text in told) >= PLENTY if told else len(found) >= NARROWEST

    def _searched(self, messages: Messages, texts: Mapping[str, int]) -> list[Token]:
        """Log probabilities relative to that of the first token, as far as they can be found."""
        first, *others = (Token(token, text, 0.0) for text, token in islice(texts.items(), NARROWEST))
        found = {other: self._difference(messages, first, other) for other in others}
        return [
            first,
            *(replace(other, logprob=value) for other, value in found.items() if value is not None),
        ]

    def _difference(self, messages: Messages, one: Token, other: Token) -> float | None:
        """By how much another token's log probability is above one's, by the biases at which the arg max changes.

        None where it does not change, or a third token is above both.
        """
        low, high = -SPAN, SPAN
        while high - low > PRECISION:
            middle = (low + high) / 2
            biases = {str(one.id): 50.0, str(other.id): 50.0 - middle}
            said = self.ask(messages, **self.greedy(), logit_bias=biases).choices[0].text
            if said not in (one.text, other.text):
                return None
            low, high = (middle, high) if said == other.text else (low, middle)
        return (low + high) / 2 if -SPAN + 1 < low < SPAN - 1 else None


def tellable(text: str) -> bool:
    """Whether a token's text can be told from others, and shown."""
    return 0 < len(text) <= LONGEST and text.isprintable() and text.strip() == text and "\ufffd" not in text


def candidates() -> Iterator[int]:
    """Ids that may be letters or digits."""
    return (token for ids in CANDIDATES for token in ids)


def apart(tokens: Sequence[Token]) -> list[Token]:
    """Those of the tokens whose texts are not the beginning of another's, most likely first."""
    chosen: list[Token] = []
    for token in sorted(tokens, key=lambda token: -token.logprob):
        if not any(token.text.startswith(o.text) or o.text.startswith(token.text) for o in chosen):
            chosen.append(token)
    return chosen
