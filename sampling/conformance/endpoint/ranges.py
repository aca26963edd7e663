"""What becomes of a value out of its range that is taken all the same: honoured, clamped, or without effect."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sampling.conformance.endings import CheckEnded, NotTestable
from sampling.conformance.endpoint.distribution import ground
from sampling.conformance.endpoint.draws import draws
from sampling.conformance.endpoint.endpoint_context import EndpointContext
from sampling.conformance.endpoint.profile import FORCE
from sampling.conformance.endpoint.prompts import QUESTION, Messages
from sampling.conformance.endpoint.reply import Reply

HONOURED, CLAMPED, WITHOUT, UNSEEN = (
    "honoured",
    "clamped",
    "without effect",
    "effect not seen",
)
LONG, HOT = 48, 12  # tokens of an answer that most often ends, and of a message that hardly ever comes twice
LOOKS = 16  # draws that all are the most likely token by chance once in 1e7
MARGIN = 0.5  # nats by which a bias has to be above another one

Look = Callable[[EndpointContext, Any], str]


def fate(context: EndpointContext, name: str, value: Any) -> str:
    """Return what becomes of a value that is taken."""
    try:
        return LOOKED_AT[name](context, value) if name in LOOKED_AT else UNSEEN
    except CheckEnded:
        return UNSEEN


def raw(context: EndpointContext, messages: Messages = QUESTION, **fields: Any) -> Reply:
    """Ask with fields as they are."""
    return context.profile.manners.ask_as_is({"messages": list(messages), **fields})


def no_such_thing(_context: EndpointContext, _value: Any) -> str:
    """Of a value that means nothing, nothing can be honoured."""
    return WITHOUT


def numeric(look: Look) -> Look:
    """Return a look at numbers; what is none means nothing."""
    return lambda context, value: look(context, value) if isinstance(value, int | float) else WITHOUT


def logprobs(context: EndpointContext, value: Any) -> str:
    """Whether there are log probabilities."""
    return HONOURED if raw(context, logprobs=value).choices[0].logprobs is not None else WITHOUT


def number_of_tokens(context: EndpointContext, value: float) -> str:
    """How many tokens come, where more would."""
    greedy: dict[str, Any] = context.profile.greedy()
    counts = raw(context, **greedy, max_tokens=value).counts
    if counts is None:
        return UNSEEN
    if counts.completion_tokens == value:
        return HONOURED
    return CLAMPED if counts.completion_tokens <= max(value + 1, context.profile.manners.least) else WITHOUT


def number_of_choices(context: EndpointContext, value: int) -> str:
    """How many choices come."""
    return HONOURED if len(raw(context, n=value).choices) == value else CLAMPED


def seed(context: EndpointContext, value: Any) -> str:
    """Whether it gives the same text again."""
    texts = {raw(context, seed=value, max_tokens=HOT, temperature=2).choices[0].text for _ in range(2)}
    return HONOURED if len(texts) == 1 else WITHOUT


def stops(context: EndpointContext, value: list[str]) -> str:
    """Where the most likely answer ends."""
    greedy: dict[str, Any] = {"max_tokens": LONG, **context.profile.greedy()}
    whole, cut = raw(context, **greedy).choices[0].text, raw(context, stop=value, **greedy).choices[0].text
    found = [whole.index(stop) for stop in value if stop in whole]
    if not found:
        return UNSEEN
    if cut == whole[: min(found)]:
        return HONOURED
    return WITHOUT if cut == whole else CLAMPED


def biases(context: EndpointContext, value: Any) -> str:
    """Whether a bias above another one wins, where at the largest allowed value it would not."""
    if not isinstance(value, Mapping):
        return WITHOUT
    tokens = sorted(context.profile.support().tokens, key=lambda token: token.logprob)
    low, high = tokens[0], tokens[-1]
    beyond = max(value.values())
    bias = FORCE + low.logprob - high.logprob + (beyond - FORCE) / 2
    greedy = context.profile.greedy()
    if bias <= FORCE:
        both = {str(low.id): beyond, str(high.id): bias}
        if context.ask(logit_bias=both, **greedy).choices[0].text == low.text:
            return HONOURED
    alone = context.ask(logit_bias={str(low.id): beyond}, **greedy).choices[0].text
    if alone != low.text:
        return WITHOUT
    return CLAMPED if bias <= FORCE else UNSEEN


def leaves_one(context: EndpointContext, params: Mapping[str, Any]) -> bool:
    """Whether a single one of several tokens is drawn that are alike enough."""
    tops = ground(context).tops(params)
    if not tops:
        raise NotTestable("in no context is the likeliest token known and clear")
    case, top = tops[0]
    requests = -(-LOOKS // context.profile.per_request(params))
    return bool((draws(context, case, requests) == top).all())


def one_left(name: str) -> Look:
    """Return a look at a field that leaves one token at the end of its range."""
    return numeric(lambda context, value: CLAMPED if leaves_one(context, {name: value}) else WITHOUT)


def temperature(context: EndpointContext, value: float) -> str:
    """Whether one below 0 is 0; how far one above 2 goes would take thousands of draws."""
    if value > 0:
        return UNSEEN
    return CLAMPED if leaves_one(context, {"temperature": value}) else WITHOUT


def top_p(context: EndpointContext, value: float) -> str:
    """Whether one below 0 is 0; one above 1 is 1 in any case."""
    return CLAMPED if value > 1 or leaves_one(context, {"top_p": value}) else WITHOUT


LOOKED_AT: Mapping[str, Look] = {
    "frequency_penalty": numeric(lambda _context, _value: UNSEEN),
    "logit_bias": biases,
    "logprobs": logprobs,
    "max_tokens": number_of_tokens,
    "n": number_of_choices,
    "response_format": no_such_thing,
    "seed": seed,
    "stop": stops,
    "temperature": temperature,
    "top_p": top_p,
    "no_such_field": no_such_thing,
    "top_k": one_left("top_k"),
    "min_p": one_left("min_p"),
}
