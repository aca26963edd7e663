"""Endpoints that do one thing wrong: this library's server, in front of it a proxy or under it another dialect."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from unittest import mock

from conformance.proxy import Fields, proxy
from server.live import live

from sampling.assembly import BUILDERS
from sampling.conformance.mutants.truncation import without_last
from sampling.conformance.semantics import moved
from sampling.dialects import QSTASH, Dialect
from sampling.history import PROMPT_AND_OUTPUT
from sampling.language_model import LanguageModel
from sampling.processors import TopP, Truncation
from sampling.server import ServerOptions

Served = Callable[[LanguageModel], AbstractContextManager[str]]


@dataclass(frozen=True)
class Lie:
    """An endpoint with one fault.

    Args:
        name: What it does.
        caught_by: The check that must say so.
        near: Checks that look at neighbouring things, and must find nothing.
        serve: Starts it; gives its URL.
    """

    name: str
    caught_by: str
    near: tuple[str, ...]
    serve: Served


@contextmanager
def honest(model: LanguageModel, dialect: Dialect = QSTASH) -> Iterator[str]:
    """The server itself."""
    with live(model, ServerOptions(dialect=dialect)) as server:
        yield f"http://127.0.0.1:{server.port}"


def speaking(dialect: Dialect) -> Served:
    """The server under another dialect."""
    return lambda model: honest(model, dialect)


def through(
    ask: Callable[[Fields], Fields] = lambda asked: asked,
    answer: Callable[[Fields, Fields], Fields] = lambda asked, told: told,
) -> Served:
    """The server behind a proxy."""

    @contextmanager
    def serve(model: LanguageModel) -> Iterator[str]:
        with live(model, ServerOptions()) as server, proxy(server.port, ask, answer) as url:
            yield url

    return serve


class Dropping(TopP):
    """A top_p that drops the crossing token."""

    keep_leading = Truncation.keep_leading

    def keep(self, logits, w=None):
        """All but the last of what is right."""
        return without_last(super().keep(logits, w), logits)


@contextmanager
def dropping(model: LanguageModel) -> Iterator[str]:
    """The server with that top_p."""
    build = {"top_p": lambda dialect, batch: Dropping([params.top_p for params in batch])}
    with mock.patch.dict(BUILDERS, build), honest(model) as url:
        yield url


def without_seed(asked: Fields) -> Fields:
    """The seed gets lost."""
    return {name: value for name, value in asked.items() if name != "seed"}


def entries(told: Fields) -> Iterator[Fields]:
    """All positions of all choices."""
    for choice in told["choices"]:
        yield from (choice["logprobs"] or {}).get("content", [])


def tempered(asked: Fields, told: Fields) -> Fields:
    """Log probabilities as if the logits had been divided by the temperature."""
    t = asked.get("temperature", 1)
    for position in entries(told) if t > 0 else ():
        listed = [entry for entry in position["top_logprobs"] if entry["logprob"] > -1000]
        total = math.log(sum(math.exp(entry["logprob"] / t) for entry in listed)) if listed else 0.0
        for entry in [*listed, *([position] if position["logprob"] > -1000 else [])]:
            entry["logprob"] = min(entry["logprob"] / t - total, 0.0)
    return told


def penalised(asked: Fields, told: Fields) -> Fields:
    """Log probabilities of tokens less the presence penalty once they have been sampled."""
    for choice in told["choices"]:
        before: set[str] = set()
        for position in (choice["logprobs"] or {}).get("content", []):
            for entry in (position, *position["top_logprobs"]):
                if entry["token"] in before and entry["logprob"] > -1000:
                    entry["logprob"] -= asked.get("presence_penalty", 0)
            before.add(position["token"])
    return told


def trimmed(asked: Fields, told: Fields) -> Fields:
    """Bytes without the white space at their ends."""
    del asked
    for position in entries(told):
        for entry in (position, *position["top_logprobs"]):
            if entry["bytes"] is not None:
                entry["bytes"] = [*bytes(entry["bytes"]).strip()]
    return told


SWAPPED = replace(QSTASH, order=moved(QSTASH.order, "temperature", after="top_p"))
COUNTING = replace(QSTASH, penalties_count=PROMPT_AND_OUTPUT)

LIES = (
    Lie(
        "top_p comes before the temperature",
        "truncation.temperature-order",
        ("temperature.scale", "truncation.crossing-token", "truncation.no-token-more"),
        speaking(SWAPPED),
    ),
    Lie(
        "the crossing token is dropped",
        "truncation.crossing-token",
        ("truncation.temperature-order", "truncation.no-token-more", "truncation.top-p-to-zero"),
        dropping,
    ),
    Lie(
        "presence counts the prompt",
        "penalties.presence-scope",
        ("penalties.repetition-scope", "penalties.per-choice"),
        speaking(COUNTING),
    ),
    Lie(
        "the seed is ignored",
        "randomness.seed-repeats",
        ("randomness.choices-differ", "bias.force"),
        through(ask=without_seed),
    ),
    Lie(
        "log probabilities are tempered",
        "reported.distribution",
        (
            "reported.zero-temperature",
            "reported.truncation",
            "reported.penalties-and-bias",
            "reported.mass",
            "reported.chosen-is-listed",
        ),
        through(answer=tempered),
    ),
    Lie(
        "log probabilities show penalties",
        "reported.penalties-and-bias",
        ("reported.distribution", "reported.truncation", "penalties.presence-scope"),
        through(answer=penalised),
    ),
    Lie(
        "bytes are trimmed",
        "reported.bytes",
        ("reported.chosen-is-listed", "reported.count"),
        through(answer=trimmed),
    ),
)
