"""An endpoint whose model knows the letters alone: as quick as a table, so that many faults can be tried."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import httpx2
import numpy as np
from conformance.proxy import Fields
from conformance.transports import Fault, answering

from sampling.conformance.endpoint.target import EndpointTarget
from sampling.conformance.oracle import probabilities
from sampling.conformance.sampling_case import SamplingCase
from sampling.conformance.semantics import Semantics
from sampling.core.errors import InvalidArgument
from sampling.core.params import SamplingParams, integer
from sampling.dialects.qstash import QSTASH

FIRST, COUNT, WIDTH = 32, 26, 256  # ids of letters in byte-level vocabularies are those from 32 on
LETTERS = {FIRST + place: chr(ord("A") + place) for place in range(COUNT)}
LOGITS = np.full(WIDTH, -40.0, dtype=np.float32)
LOGITS[FIRST : FIRST + COUNT] = -0.3 * np.random.default_rng(0).permutation(COUNT)
ENDS = 20  # tokens of its longest message
OTHER = ("messages", "model", "n", "max_tokens", "stream", "stop", "response_format")


def lettered(
    ask: Callable[[Fields], Fields] = lambda asked: asked,
    answer: Callable[[Fields, Fields], Fields] = lambda asked, told: told,
    *,
    logits: np.ndarray = LOGITS,
    semantics: Semantics | None = None,
    **settings: Any,
) -> EndpointTarget:
    """The endpoint, and what becomes of requests and answers on the way.

    Args:
        ask: What becomes of a request.
        answer: What becomes of an answer; what it gives need not be JSON's.
        logits: Of the model, at the first position.
        semantics: How it samples; as the page says when left out.
        settings: Of `EndpointTarget`.
    """
    own = semantics or Semantics.of(QSTASH)

    model = [Position.of(at(logits, position)) for position in range(ENDS)]

    @lru_cache(maxsize=4096)
    def running_sums(question: SamplingCase) -> np.ndarray:
        sums = probabilities(question, own).cumsum()
        return sums / sums[-1]

    def answered(request: httpx2.Request) -> httpx2.Response:
        fields = json.loads(request.content)
        try:
            told = answer(fields, chat(ask(dict(fields)), model, running_sums))
        except InvalidArgument as error:
            return httpx2.Response(400, json={"error": {"message": str(error)}})
        except Fault as error:
            return httpx2.Response(500, json={"error": {"message": str(error)}})
        if fields.get("stream"):
            return httpx2.Response(200, text=streamed(told))
        return httpx2.Response(200, text=json.dumps(told))  # with NaN, as many a server writes it

    return answering(answered, **settings)


@dataclass(frozen=True)
class Position:
    """What the model says at a position: logits [V], log probabilities [V], and the ids from the likeliest on."""

    logits: np.ndarray
    logprobs: np.ndarray
    likeliest: list[int]

    @staticmethod
    def of(logits: np.ndarray) -> Position:
        """From the logits."""
        whole = logits.astype(np.float64)
        logprobs = whole - np.logaddexp.reduce(whole)
        return Position(logits, logprobs, np.argsort(-logprobs, kind="stable").tolist())


def chat(
    asked: Fields, model: Sequence[Position], running_sums: Callable[[SamplingCase], np.ndarray]
) -> Fields:
    """One response."""
    params = {name: value for name, value in asked.items() if name not in OTHER}
    check(params)
    n, most = integer("n", asked.get("n", 1), 1), integer("max_tokens", asked.get("max_tokens", ENDS), 1)
    texts = [message["content"] for message in asked["messages"]]
    prompt = tuple(token for token, letter in LETTERS.items() for text in texts if text == letter)
    listed = asked.get("top_logprobs", 0) if asked.get("logprobs") else None
    choices: list[Fields] = []
    for index in range(n):
        dice = np.random.default_rng(None if params.get("seed") is None else (params["seed"] % 2**64, index))
        tokens: list[int] = []
        for position in range(min(most, ENDS)):
            sums = running_sums(SamplingCase(model[position].logits, params, prompt, tuple(tokens)))
            tokens.append(int(sums.searchsorted(dice.random(), side="right")))
        choices.append(choice_of(index, tokens, model, listed))
    sampled = sum(len(choice["message"]["content"]) for choice in choices)
    return {"choices": choices, "usage": {"prompt_tokens": len("".join(texts)), "completion_tokens": sampled}}


def at(logits: np.ndarray, position: int) -> np.ndarray:
    """The logits of a position: those of the first, moved on, so that the likeliest message is no run of one letter."""
    moved = logits.copy()
    moved[FIRST : FIRST + COUNT] = np.roll(logits[FIRST : FIRST + COUNT], 3 * position)
    return moved


def streamed(told: Fields) -> str:
    """An answer as server-sent events."""
    deltas = [{**choice, "delta": choice["message"]} for choice in told["choices"]]
    return f"data: {json.dumps({'choices': deltas})}\n\ndata: [DONE]\n\n"


def check(params: Fields) -> None:
    """Refuse fields as the page does."""
    unknown = next((name for name in params if name not in SamplingParams.__dataclass_fields__), None)
    if unknown is not None:
        raise InvalidArgument(unknown, params[unknown], "left out")
    SamplingParams(**params)
    foreign = next((token for token in params.get("logit_bias") or () if int(token) >= WIDTH), None)
    if foreign is not None:
        raise InvalidArgument("logit_bias", foreign, f"an id below {WIDTH}")


def choice_of(index: int, tokens: list[int], model: Sequence[Position], listed: int | None) -> Fields:
    """One choice."""
    return {
        "index": index,
        "message": {"role": "assistant", "content": "".join(LETTERS.get(token, "?") for token in tokens)},
        "finish_reason": "length" if len(tokens) < ENDS else "stop",
        "logprobs": None
        if listed is None
        else {"content": [told(token, there, listed) for token, there in zip(tokens, model, strict=False)]},
    }


def told(token: int, there: Position, listed: int) -> Fields:
    """What is said about one token."""

    def entry(token: int) -> Fields:
        text = LETTERS.get(token, "?")
        return {"token": text, "logprob": float(there.logprobs[token]), "bytes": [*text.encode()]}

    return {**entry(token), "top_logprobs": [entry(other) for other in there.likeliest[:listed]]}


def sure(height: float) -> np.ndarray:
    """The logits of a model whose first letter is higher above the others."""
    changed = LOGITS.copy()
    changed[int(LOGITS.argmax())] += height
    return changed
