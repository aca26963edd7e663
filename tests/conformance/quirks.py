"""What endpoints refuse that sample rightly: each quirk is what becomes of a request on its way to a server without it."""

from __future__ import annotations

from collections.abc import Callable

from conformance.proxy import Fields
from conformance.transports import Fault

from sampling.core.errors import InvalidArgument

Quirk = Callable[[Fields], Fields]


def at_most(name: str, most: float) -> Quirk:
    """Refuses larger values of a field."""

    def ask(asked: Fields) -> Fields:
        value = asked.get(name)
        if isinstance(value, int | float) and value > most:
            raise InvalidArgument(name, value, f"at most {most}")
        return asked

    return ask


def at_least(name: str, least: float) -> Quirk:
    """Refuses smaller values of a field."""

    def ask(asked: Fields) -> Fields:
        value = asked.get(name)
        if isinstance(value, int | float) and value < least:
            raise InvalidArgument(name, value, f"at least {least}")
        return asked

    return ask


def without(*names: str) -> Quirk:
    """Refuses fields."""

    def ask(asked: Fields) -> Fields:
        unknown = next((name for name in asked if name in names), None)
        if unknown is not None:
            raise InvalidArgument(unknown, asked[unknown], "left out")
        return asked

    return ask


def completion_tokens(asked: Fields) -> Fields:
    """Takes max_completion_tokens, and not max_tokens."""
    told = without("max_tokens")(dict(asked))
    if "max_completion_tokens" in told:
        told["max_tokens"] = told.pop("max_completion_tokens")
    return told


def float_bias(asked: Fields) -> Fields:
    """Fails at biases that are whole numbers, with an error of the server's own."""
    biases = asked.get("logit_bias")
    if isinstance(biases, dict) and any(isinstance(bias, int) for bias in biases.values()):
        raise Fault("internal error")
    return asked


def one_when_cold(asked: Fields) -> Fields:
    """Refuses n above 1 at temperature 0, as vLLM does."""
    return at_most("n", 1)(asked) if asked.get("temperature") == 0 else asked


def one_of_two(asked: Fields) -> Fields:
    """Refuses temperature and top_p together."""
    if "temperature" in asked and "top_p" in asked:
        raise InvalidArgument("top_p", asked["top_p"], "left out where there is a temperature")
    return asked


def defaults(**values: float) -> Quirk:
    """Has defaults of its own."""
    return lambda asked: {**values, **asked}


QUIRKS: dict[str, Quirk] = {
    "top_logprobs up to 5": at_most("top_logprobs", 5),
    "no top_logprobs": without("top_logprobs"),
    "max_completion_tokens alone": completion_tokens,
    "one choice": at_most("n", 1),
    "four choices": at_most("n", 4),
    "one choice at temperature 0": one_when_cold,
    "no whole biases": float_bias,
    "temperature or top_p": one_of_two,
    "16 tokens at least": at_least("max_tokens", 16),
    "the fields of OpenAI alone": without("top_k", "min_p", "repetition_penalty"),
}
