"""Endpoints that do one thing wrong: this library's server, in front of it a proxy or under it another dialect.

Each can be served through HTTP, or answer in this process, where its check can be run many times.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any
from unittest import mock

from conformance.faulty.truncation import without_last
from conformance.proxy import Fields, proxy
from conformance.transports import in_process
from server.live import live

from sampling.chat.language_model import LanguageModel
from sampling.conformance.endpoint.target import EndpointTarget
from sampling.conformance.semantics import moved
from sampling.core.history import PROMPT_AND_OUTPUT
from sampling.dialects import Dialect
from sampling.dialects.qstash import QSTASH
from sampling.pipeline.plan import BUILDERS
from sampling.processors import TopP, Truncation
from sampling.server import ServerOptions


@dataclass(frozen=True)
class Lie:
    """An endpoint with one fault.

    Args:
        name: What it does.
        caught_by: The check that must say so.
        near: Checks that look at neighbouring things, and must find nothing.
        dialect: What the server speaks.
        builders: Stages that the server has of its own.
        ask: What becomes of a request on its way to the server.
        answer: What becomes of a request's answer.
    """

    name: str
    caught_by: str
    near: tuple[str, ...]
    dialect: Dialect = QSTASH
    builders: Mapping[str, Any] = field(default_factory=dict[str, Any])
    ask: Callable[[Fields], Fields] = lambda asked: asked
    answer: Callable[[Fields, Fields], Fields] = lambda asked, told: told

    @contextmanager
    def serve(self, model: LanguageModel) -> Iterator[str]:
        """The endpoint through HTTP; gives its URL."""
        with (
            mock.patch.dict(BUILDERS, self.builders),
            live(model, ServerOptions(dialect=self.dialect)) as server,
            proxy(server.port, self.ask, self.answer) as url,
        ):
            yield url

    @contextmanager
    def answering(self, model: LanguageModel) -> Iterator[EndpointTarget]:
        """The endpoint in this process, without a network."""
        with mock.patch.dict(BUILDERS, self.builders):
            yield in_process(model, dialect=self.dialect, ask=self.ask, answer=self.answer)


HONEST = Lie("nothing", "", ())


class Dropping(TopP):
    """A top_p that drops the crossing token."""

    keep_candidates = Truncation.keep_candidates

    def keep(self, logits, w=None):
        """All but the last of what is right."""
        return without_last(super().keep(logits, w), logits)


def dropping(dialect: Dialect, batch: Any) -> Dropping:
    """Builds it."""
    del dialect
    return Dropping([params.top_p for params in batch])


def without_seed(asked: Fields) -> Fields:
    """A seed that is one gets lost."""
    return {name: value for name, value in asked.items() if name != "seed" or not isinstance(value, int)}


def unpenalised(asked: Fields) -> Fields:
    """A repetition penalty that is allowed gets lost."""
    value = asked.get("repetition_penalty")
    allowed = isinstance(value, int | float) and value > 0
    return {name: v for name, v in asked.items() if not (allowed and name == "repetition_penalty")}


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
COUNTING = replace(QSTASH, penalty_scope=PROMPT_AND_OUTPUT)

LIES = (
    Lie(
        "top_p comes before the temperature",
        "truncation.temperature-order",
        ("temperature.scale", "truncation.crossing-token", "truncation.no-token-more"),
        dialect=SWAPPED,
    ),
    Lie(
        "the crossing token is dropped",
        "truncation.crossing-token",
        (
            "truncation.temperature-order",
            "truncation.no-token-more",
            "truncation.top-p-to-zero",
            "truncation.joint",
        ),
        builders={"top_p": dropping},
    ),
    Lie(
        "presence counts the prompt",
        "penalties.presence-scope",
        ("penalties.repetition-scope", "penalties.per-choice"),
        dialect=COUNTING,
    ),
    Lie(
        "the repetition penalty is ignored",
        "penalties.repetition-scope",
        ("output.parameters",),
        ask=unpenalised,
    ),
    Lie(
        "the seed is ignored",
        "randomness.seed-repeats",
        ("randomness.choices-differ", "bias.force"),
        ask=without_seed,
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
        answer=tempered,
    ),
    Lie(
        "log probabilities show penalties",
        "reported.penalties-and-bias",
        ("reported.distribution", "reported.truncation", "penalties.presence-scope"),
        answer=penalised,
    ),
    Lie(
        "bytes are trimmed",
        "reported.bytes",
        ("reported.chosen-is-listed", "reported.count"),
        answer=trimmed,
    ),
)
