"""What is learnt about an endpoint's model before anything is tested: ids, their texts and their log probabilities.

No tokenizer is needed: a bias of +100 makes an id tell its text, a plain request tells the log probabilities of the 20 most
likely texts in a context, and where two tokens' log probabilities are not told, the difference of the biases at which the arg
max changes from one to the other tells theirs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import wraps
from itertools import islice
from types import MappingProxyType
from typing import Any, TypeVar

from sampling.conformance.endings import CheckEnded, NotTestable
from sampling.conformance.endpoint.client import Client
from sampling.conformance.endpoint.contexts import Weights, known_contexts
from sampling.conformance.endpoint.manners import LISTED, TRIES, Manners
from sampling.conformance.endpoint.natural import Context
from sampling.conformance.endpoint.prompts import LETTERS, Messages
from sampling.conformance.endpoint.reply import Choice, Position, Reply, unlikely, values_of
from sampling.conformance.endpoint.tokenizer import tokenized
from sampling.conformance.endpoint.trouble import Malformed, Missing, Refused, Unfenced
from sampling.conformance.semantics import Semantics

# Where vocabularies have letters and digits: byte-level BPE (GPT-2, tiktoken, Llama 3, Qwen), Tekken, SentencePiece (Llama 2).
CANDIDATES = (
    range(32, 58),
    range(15, 25),
    range(1065, 1091),
    range(1048, 1058),
    range(29871, 29960),
    range(64, 90),
)
ENDED = 4  # messages in a row that may end before they begin
MOST_PROBES = 180
LONGEST = 64  # characters of a token of a support
WIDEST, PLENTY, NARROWEST = 16, 12, 6  # tokens of a support
CLOSE = 1e-3  # nats by which one value told twice may differ
LOWEST = -35.0  # a log probability; no bias lifts what is below into a support
FORCE = 100.0
SPAN, PRECISION = 48.0, 0.004  # of log probability differences that are searched for, and how closely
CHOICES = (16, 8, 4, 2)  # of one request, as many as are taken
MESSAGE = 16  # tokens of which two are hardly ever the same

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
class TokenSupport:
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

    def first(self, count: int) -> TokenSupport:
        """Return the support of the first so many tokens."""
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


def once(method: Callable[[EndpointProfile], R]) -> Callable[[EndpointProfile], R]:
    """Ask for something once; what it came to, trouble included, is kept."""

    @wraps(method)
    def kept(profile: EndpointProfile) -> R:
        known = profile.known
        if method not in known:
            try:
                known[method] = method(profile), None
            except CheckEnded as error:
                known[method] = None, error
        value, trouble = known[method]
        if trouble is not None:
            raise trouble
        return value

    return kept


class EndpointProfile:
    """What is known about an endpoint's model.

    Args:
        client: The endpoint.
        weights: Those that it should serve; None where they are not at hand.
        semantics: The dialect's, which knows what its engines call a field; None takes the names as they are.
    """

    def __init__(
        self, client: Client, weights: Weights | None = None, semantics: Semantics | None = None
    ) -> None:
        self.manners = Manners(client, semantics)
        self.client, self._weights = client, weights
        self._told_ids: dict[str, int] = {}
        self.known: dict[Any, tuple[Any, CheckEnded | None]] = {}

    def ask(self, messages: Messages = LETTERS, *, tries: int | None = None, **fields: Any) -> Reply:
        """Ask for one token, unless the fields say otherwise."""
        return self.manners.ask(self.request(messages, fields), tries=tries)

    def ask_all(self, requests: Sequence[tuple[Messages, Mapping[str, Any]]]) -> list[Reply | CheckEnded]:
        """Ask several things, as many at a time as may be: by request its response, or why there is none."""
        return self.manners.ask_all([self.request(messages, fields) for messages, fields in requests])

    def request(self, messages: Messages, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Return a request for one token, unless the fields say otherwise."""
        return {"messages": list(messages), "max_tokens": 1, **fields}

    @once
    def plain(self) -> Reply:
        """Return the answer to a request that asks for nothing special."""
        return self.ask()

    @once
    def texts(self) -> dict[str, int]:
        """Ids by text: what ids say when they are forced.

        Raises:
            Unfenced: Nothing can be forced.
        """
        self.plain()  # where not even this is taken, a refusal says nothing about biases
        found: dict[str, int] = {}
        said: set[str] = set()
        refusals: list[str] = []
        for asked, token in enumerate(islice(self._candidates(), MOST_PROBES), start=1):
            try:
                text = self._said(token)
            except Refused as refusal:
                text = ""
                refusals.append(str(refusal))
            said.add(text)
            if tellable(text):
                found.setdefault(text, token)
            if self._enough(found, asked) or (asked == NARROWEST and len(said) == 1):
                break
        if len(found) < 2:
            raise Unfenced(refusals[0] if len(refusals) >= NARROWEST else "")
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
        """Return what is said about the next token in a context; None if nothing is, or what can be none."""
        try:
            position = self.next_position(messages)
        except (Refused, Missing, Malformed):
            return None
        if unlikely(position):
            return None
        known = values_of(position)
        for entry in position.top_logprobs:
            if entry.token in known and entry.token_id is not None:
                self._told_ids[entry.token] = entry.token_id
        return position

    def next_position(self, messages: Messages = LETTERS, **fields: Any) -> Position:
        """Return what is said about the next token; ask again where nothing is, as of an end token or a part of a character.

        Raises:
            CheckEnded: Nothing is said, or none is taken.
        """
        missing: Choice | None = None
        for _ in range(ENDED):
            told = self.ask(messages, logprobs=True, top_logprobs=LISTED, **fields).choices[0]
            if told.entered:
                return told.positions[0]
            if told.text:
                missing = told
        if missing is None:
            raise Missing(f"{ENDED} messages in a row are empty")
        return missing.positions[0]  # says what is missing

    @once
    def support(self) -> TokenSupport:
        """Return the support in the context of letters."""
        return self.support_in(LETTERS)

    def support_in(self, messages: Messages) -> TokenSupport:
        """Return the support in some context.

        Raises:
            NotTestable: Too few tokens can be told apart.
        """
        texts = self.texts()
        told = self.listed() if messages == LETTERS else self.logprobs_in(messages)
        told = {text: value for text, value in told.items() if text in texts and value >= LOWEST}
        if len(told) < NARROWEST:
            told |= self._of_forced(messages, texts, told)
        tokens = [Token(texts[text], text, value) for text, value in told.items()]
        listed = len(tokens) >= NARROWEST
        if not listed:
            tokens = self._searched(messages, texts)
        kept = apart(tokens)[:WIDEST]
        if len(kept) < 2:
            raise NotTestable("fewer than two ids have texts that can be told apart")
        return TokenSupport(messages, tuple(kept), CLOSE if listed else PRECISION, listed)

    @once
    def contexts(self) -> list[Context]:
        """Contexts as they are, the broadest first.

        Raises:
            NotTestable: No log probabilities are known in any.
        """
        return known_contexts(self.position_in, self._weights)

    @once
    def greedy(self) -> dict[str, Any]:
        """Return the parameters by which the arg max can be had."""
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

    def per_request(self, params: Mapping[str, Any] = MappingProxyType({})) -> int:
        """How many independent draws one request gives: n, if it is honoured and the choices differ.

        Args:
            params: Of the request: at temperature 0 some endpoints take no other n than 1.
        """
        return self._when_cold() if params.get("temperature") == 0 else self._when_warm()

    @once
    def _when_warm(self) -> int:
        """Return the same at other temperatures than 0."""
        messages, fields = self._broad()
        seeded: dict[str, Any] = {"seed": 1} if self.takes_seed() else {}
        refusal = ""
        for n in CHOICES:
            try:
                reply = self.ask(messages, n=n, **fields, **seeded)
            except Refused as error:
                refusal = refusal or str(error)
                continue
            honoured = len(reply.choices) == n and len({choice.text for choice in reply.choices}) > 1
            self._note_choices(n if honoured else 1, refusal)
            return n if honoured else 1
        self._note_choices(1, refusal)
        return 1

    def _broad(self) -> tuple[Messages, dict[str, Any]]:
        """Return a context in which many tokens are likely, and the biases for that; or messages hardly ever the same."""
        try:
            support = self.support()
        except NotTestable:
            return LETTERS, {"max_tokens": MESSAGE}
        return support.messages, {
            "logit_bias": {str(token.id): 60 - token.logprob for token in support.tokens}
        }

    @once
    def _when_cold(self) -> int:
        """Return the same at temperature 0, where the choices are alike."""
        n = self._when_warm()
        if n == 1:
            return 1
        try:
            reply = self.ask(n=n, temperature=0)
        except Refused as error:
            self.manners.note(f"n = {n} at temperature 0", str(error), "one choice was asked for there")
            return 1
        return n if len(reply.choices) == n else 1

    def _note_choices(self, n: int, refusal: str) -> None:
        """Note that a larger n was refused."""
        if refusal:
            instead = "one choice was" if n == 1 else f"{n} choices were"
            self.manners.note(f"n above {n}", refusal, f"{instead} asked for in a request")

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
        """Return what an id says when it is forced; drawn ones would vary where biases have no effect, too.

        Raises:
            Refused: It cannot be asked for.
        """
        try:
            greedy = self.greedy()
        except NotTestable:
            greedy = {}
        return self.ask(tries=TRIES, logit_bias={str(token): FORCE}, **greedy).choices[0].text

    def _candidates(self) -> Iterator[int]:
        """Ids to force: first those that are known to be of listed texts."""
        listed = self.known_ids()
        likely = () if listed or self._weights is None else self._weights.ids_of([*self.listed()])
        yield from dict.fromkeys((*listed.values(), *likely))
        first, *others = CANDIDATES
        yield from first
        if not listed and not likely:
            yield from self._tokenized()
        yield from (token for ids in others for token in ids)

    def known_ids(self) -> dict[str, int]:
        """Ids by text, of the listed tokens whose entries tell them."""
        self.listed()
        return self._told_ids

    def _tokenized(self) -> Iterator[int]:
        """Ids of listed texts by the endpoint's own tokenizer, as long as it tells any."""
        for text in filter(tellable, self.listed()):
            ids = tokenized(self.client, text)
            if not ids:
                return
            if len(ids) == 1:
                yield ids[0]

    def _of_forced(
        self, messages: Messages, texts: Mapping[str, int], told: Mapping[str, float]
    ) -> dict[str, float]:
        """Log probabilities that tokens have in their own entries when they are forced, where these are the model's own."""
        found: dict[str, float] = {}
        for text in islice(dict.fromkeys((*told, *texts)), WIDEST):
            bias = {str(texts[text]): FORCE}
            try:
                position = self.ask(messages, logprobs=True, logit_bias=bias).choices[0].positions[0]
            except (Refused, Missing, Malformed):
                return {}
            same = abs(position.logprob - told.get(text, position.logprob)) <= CLOSE
            if position.token != text or not same:
                return {}
            if position.possible and position.logprob >= LOWEST:
                found[text] = position.logprob
        # of the processed distribution they would all be near 0
        return found if sum(map(math.exp, found.values())) <= 1 + CLOSE else {}

    def _enough(self, found: Mapping[str, int], asked: int) -> bool:
        """Whether the texts that are known make a support, after so many ids that were forced.

        Where entries tell the ids, these are enough: there are engines that end when an id is not in their vocabulary.
        """
        told = self.listed()
        if len(told) < NARROWEST:
            return len(found) >= (PLENTY if told else NARROWEST)
        both, ids = sum(text in found for text in told), len(self.known_ids())
        return both >= min(PLENTY, sum(map(tellable, told))) or (asked >= ids > 0 and both >= NARROWEST)

    def _searched(self, messages: Messages, texts: Mapping[str, int]) -> list[Token]:
        """Log probabilities relative to that of the first token, as far as they can be found."""
        first, *others = (Token(token, text, 0.0) for text, token in islice(texts.items(), NARROWEST))
        found = {other: self._difference(messages, first, other) for other in others}
        return [first, *(replace(one, logprob=value) for one, value in found.items() if value is not None)]

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


def apart(tokens: Sequence[Token]) -> list[Token]:
    """Those of the tokens whose texts are not the beginning of another's, most likely first."""
    chosen: list[Token] = []
    for token in sorted(tokens, key=lambda token: -token.logprob):
        if not any(token.text.startswith(o.text) or o.text.startswith(token.text) for o in chosen):
            chosen.append(token)
    return chosen
