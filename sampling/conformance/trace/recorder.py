"""Recording: completions of the library's own loop, or of an endpoint, as a trace."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from itertools import cycle, islice
from typing import Any

import numpy as np
import torch

from sampling.chat.batch import ChatBatch
from sampling.chat.completion import Completion
from sampling.chat.request import ChatRequest
from sampling.conformance.endpoint.fenced import HEIGHT, Fenced, slope
from sampling.conformance.endpoint.survey import LETTERS, LISTED, Survey
from sampling.conformance.endpoint.target import EndpointTarget
from sampling.conformance.trace.record import Alternative, Record
from sampling.dialects import Dialect
from sampling.loaded_model import LoadedModel
from sampling.version import __version__

WIDTH = 12  # tokens that biases fence

# What is recorded in turns: parameters and tokens.
SETTINGS: tuple[tuple[dict[str, Any], int], ...] = (
    ({}, 1),
    ({"temperature": 0.3}, 1),
    ({"temperature": 0.5, "top_p": 0.75}, 1),
    ({"temperature": 1.5, "top_p": 0.6}, 1),
    ({"top_p": 0.65}, 1),
    ({"presence_penalty": 1.5}, 4),
    ({"frequency_penalty": 1.0, "temperature": 0.7}, 4),
    ({"temperature": 1.6}, 1),
    ({"temperature": 0}, 1),
)


def requests(count: int, seed: int) -> Iterator[tuple[dict[str, Any], int]]:
    """Parameters, a seed among them, and lengths."""
    seeds = np.random.default_rng(seed).integers(2**31, size=count)
    for (params, length), one in zip(islice(cycle(SETTINGS), count), seeds, strict=True):
        yield {**params, "seed": int(one)}, length


def from_loop(loaded: LoadedModel, dialect: Dialect, count: int, seed: int) -> Iterator[Record]:
    """Record the library's own loop.

    Args:
        loaded: Model and tokenizer.
        dialect: How to sample.
        count: How many completions.
        seed: Of the requests' seeds.

    Yields:
        The records; their log probabilities are the model's own, those of all biased tokens among them.
    """
    prompt = Completion(loaded, ChatRequest.parse({"messages": LETTERS}), dialect).prompt_ids
    row = torch.log_softmax(loaded.logits(prompt)[-1].double(), -1)
    likely = [
        token for token in row.argsort(descending=True).tolist() if token not in loaded.vocabulary.end_ids
    ]
    wanted = zip(likely[:WIDTH], slope(WIDTH), strict=True)
    bias = {str(token): round(HEIGHT + float(w) - float(row[token]), 3) for token, w in wanted}
    for params, length in requests(count, seed):
        if params.get("temperature") == 0 and not dialect.zero_temperature:
            continue
        yield completed(loaded, dialect, {**params, "max_tokens": length, "logit_bias": bias})


def completed(loaded: LoadedModel, dialect: Dialect, params: dict[str, Any]) -> Record:
    """Decode one completion and note what the model said at each of its positions."""
    completion = Completion(loaded, ChatRequest.parse({"messages": LETTERS, **params}), dialect)
    for _ in ChatBatch.alone(completion).run():
        pass
    choice, prompt = completion.choices[0], completion.prompt_ids
    ids = [token.token_id for token in choice.tokens]
    said = torch.log_softmax(loaded.logits([*prompt, *ids[:-1]])[len(prompt) - 1 :].double(), -1)
    return Record(
        prompt_ids=list(prompt),
        token_ids=ids,
        params=params,
        top_logprobs=[
            known(row, [token, *map(int, params["logit_bias"])]) for row, token in zip(said, ids, strict=True)
        ],
        logprobs=[token.logprob for token in choice.tokens] if dialect.logprob_mode == "raw" else None,
        engine=f"sampling-reference ({dialect.name})",
        version=__version__,
        model=loaded.name,
        finish_reason=choice.finish_reason,
    )


def known(row: torch.Tensor, others: list[int]) -> list[Alternative]:
    """The most likely tokens of one position, and some others."""
    ids = dict.fromkeys([*row.argsort(descending=True)[:LISTED].tolist(), *others])
    return [Alternative(id=token, logprob=float(row[token])) for token in ids]


def from_endpoint(target: EndpointTarget, count: int, seed: int) -> Iterator[Record]:
    """Record an endpoint: completions of one token each, from a fenced support, as their ids are known then.

    Args:
        target: The endpoint.
        count: How many completions.
        seed: Of the requests' seeds.

    Yields:
        The records, without the ids of their prompt; their log probabilities are those of the plain request.

    Raises:
        CheckEnded: The endpoint does not answer as it has to.
    """
    with closing(target):
        yield from recorded(target, count, seed)


def recorded(target: EndpointTarget, count: int, seed: int) -> Iterator[Record]:
    """Record an endpoint whose connections somebody else closes."""
    survey = Survey(target.client)
    fence, n = survey.fence(), survey.per_request()
    logits = slope(len(fence.tokens))
    said = [Alternative(id=token.id, logprob=token.logprob) for token in fence.tokens]
    done = 0
    for params, _ in requests(count, seed):
        fields = Fenced(fence, logits, params).fields
        reply = survey.ask(fence.messages, n=n, **fields)
        for index, choice in enumerate(reply.choices[: count - done]):
            place = fence.index(choice.text)
            if place is not None:
                yield Record(
                    prompt_ids=None,
                    token_ids=[fence.tokens[place].id],
                    params={**fields, "max_tokens": 1},
                    top_logprobs=[said],
                    engine=target.name,
                    version=reply.system_fingerprint or "",
                    model=target.client.model,
                    choice=index,
                    finish_reason=choice.finish_reason,
                )
        done += len(reply.choices)
        if done >= count:
            return
