"""Recording: completions of the library's own loop, or of an endpoint, as a trace."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from itertools import cycle
from typing import Any

import numpy as np
import torch

from sampling.chat.batch import ChatBatch
from sampling.chat.completion import Completion
from sampling.chat.loaded_model import LoadedModel
from sampling.chat.prepared import prepare
from sampling.chat.request import ChatRequest
from sampling.conformance.endings import NotTestable
from sampling.conformance.endpoint.biased_case import HEIGHT, BiasedCase, slope
from sampling.conformance.endpoint.profile import LISTED, EndpointProfile, TokenSupport
from sampling.conformance.endpoint.prompts import LETTERS
from sampling.conformance.endpoint.target import EndpointTarget
from sampling.conformance.endpoint.trouble import Malformed, Refused
from sampling.conformance.oracle import NEUTRAL
from sampling.conformance.trace.record import REASONS, Alternative, Reason, Record
from sampling.core.errors import shown
from sampling.dialects import Dialect
from sampling.version import __version__

Setting = tuple[dict[str, Any], int]

WIDTH = 12  # tokens that biases single out
IN_PROMPT = (
    0,
    2,
    4,
)  # places in the support of tokens from the prompt, so that it shows what penalties count
TOGETHER = 16  # choices of one request

# What is recorded in turns: parameters and tokens. Each tells readings apart that the others do not.
SETTINGS: tuple[Setting, ...] = (
    ({}, 1),
    ({"temperature": 0.3}, 1),
    ({"temperature": 0.5, "top_p": 0.75}, 1),
    ({"temperature": 2.0, "top_p": 0.7}, 1),
    ({"top_p": 0.5}, 1),
    ({"presence_penalty": 2.0}, 4),
    ({"frequency_penalty": 1.0, "temperature": 0.4}, 6),
    ({"temperature": 1.6}, 1),
    ({"temperature": 0}, 1),
    ({"repetition_penalty": 1.2}, 4),
    ({"top_k": 2}, 1),
    ({"top_k": 2, "top_p": 0.45}, 1),
    ({"min_p": 0.25, "top_p": 0.37}, 1),
    ({"temperature": 2.0, "min_p": 0.5}, 1),
)


@dataclass(frozen=True)
class Asked:
    """A request to record: its fields, the tokens of each choice, and how many choices."""

    params: dict[str, Any]
    length: int
    n: int


def requests(settings: Sequence[Setting], count: int, together: int, seed: int | None) -> Iterator[Asked]:
    """Yield requests for so many completions, in turns for each of the settings that can have its turn.

    They are seeded by a generator of some seed; where that is None, they are not.
    """
    seeds, size = np.random.default_rng(seed), turn(settings, count, together)
    for done, (params, length) in zip(range(0, count, size), cycle(settings), strict=False):
        seeded: dict[str, Any] = {} if seed is None else {"seed": int(seeds.integers(2**31))}
        yield Asked({**params, **seeded}, length, min(size, count - done))


def turn(settings: Sequence[Setting], count: int, together: int) -> int:
    """How many choices one request asks for, so that each of the settings has its turn if it can."""
    return max(min(together, count // len(settings)), 1)


def from_loop(loaded: LoadedModel, dialect: Dialect, count: int, seed: int) -> Iterator[Record]:
    """Record so many completions of the library's own loop; what the dialect does not take is not asked for.

    Yields:
        The records; their log probabilities are the model's own, those of all biased tokens among them.
    """
    prompt = prepare(loaded, ChatRequest.parse({"messages": LETTERS}, dialect), dialect).prompt_ids
    said = Said(loaded, prompt)
    row = torch.log_softmax(said.first[0], -1)
    wanted = zip(biased(loaded, prompt, row), slope(WIDTH), strict=True)
    bias = {str(token): round(HEIGHT + float(w) - float(row[token]), 3) for token, w in wanted}
    taken = [setting for setting in SETTINGS if takes(dialect, setting[0])]
    for asked in requests(taken, count, TOGETHER, seed):
        params = {**asked.params, "max_tokens": asked.length, "logit_bias": bias}
        yield from completed(said, dialect, params, asked.n)


def takes(dialect: Dialect, params: Mapping[str, Any]) -> bool:
    """Whether a dialect has some parameters."""
    has = params.keys() <= {*dialect.stages}
    return has and (dialect.zero_temperature or params.get("temperature") != 0)


def biased(loaded: LoadedModel, prompt: Sequence[int], row: torch.Tensor) -> list[int]:
    """Tokens for a support: the most likely ones, and among them some of the prompt."""
    ordinary = [
        token
        for token in row.argsort(descending=True).tolist()
        if loaded.vocabulary.bytes_of(token) is not None and token not in loaded.vocabulary.end_ids
    ]
    inside = iter([token for token in ordinary if token in prompt][: len(IN_PROMPT)])
    outside = iter([token for token in ordinary if token not in prompt])
    return [next(inside if place in IN_PROMPT else outside) for place in range(WIDTH)]


class Said:
    """What a model says behind one prompt."""

    def __init__(self, loaded: LoadedModel, prompt: Sequence[int]) -> None:
        self.loaded, self.prompt = loaded, prompt

    @cached_property
    def first(self) -> torch.Tensor:
        """The logits behind the prompt alone, float64 [1, V]."""
        return self.loaded.logits(self.prompt)[-1:].double()

    def behind(self, past: Sequence[int]) -> torch.Tensor:
        """Return the logits behind the prompt and behind each of some tokens, float64 [T + 1, V]."""
        if not past:
            return self.first
        return self.loaded.logits([*self.prompt, *past])[len(self.prompt) - 1 :].double()


def completed(said: Said, dialect: Dialect, params: dict[str, Any], n: int) -> Iterator[Record]:
    """Decode the choices of one request and note what the model said at each of their positions."""
    request = ChatRequest.parse({"messages": LETTERS, "n": n, **params}, dialect)
    completion = Completion(prepare(said.loaded, request, dialect))
    for _ in ChatBatch.alone(completion).run():
        pass
    for index, choice in enumerate(completion.choices):
        ids = [token.token_id for token in choice.tokens]
        rows = said.behind(ids[:-1])
        biased = [int(token) for token in params["logit_bias"]]
        yield Record(
            prompt_ids=list(said.prompt),
            token_ids=ids,
            params={**said.loaded.defaults(dialect), **params},
            top_logprobs=[known(row, [token, *biased]) for row, token in zip(rows, ids, strict=True)],
            log_normalizers=rows.logsumexp(-1).tolist(),
            logprobs=[token.logprob for token in choice.tokens] if dialect.logprob_mode == "raw" else None,
            engine=f"sampling-reference ({dialect.name})",
            version=__version__,
            model=said.loaded.name,
            choice=index,
            finish_reason=reason_of(choice.finish_reason),
        )


def known(logits: torch.Tensor, others: list[int]) -> list[Alternative]:
    """Return the most likely tokens of one position, and some others."""
    row = torch.log_softmax(logits, -1)
    ids = dict.fromkeys([*row.topk(LISTED).indices.tolist(), *others])
    return [Alternative(id=token, logprob=float(row[token])) for token in ids]


def from_endpoint(target: EndpointTarget, count: int, seed: int) -> Iterator[Record]:
    """Record so many completions of an endpoint: of one token each, from a support set by biases, as their ids are known then.

    Yields:
        The records, without the ids of their prompt; their log probabilities are those of the plain request.

    Raises:
        CheckEnded: The endpoint does not answer as it has to.
    """
    with closing(target):
        yield from recorded(target, count, seed)


def recorded(target: EndpointTarget, count: int, seed: int) -> Iterator[Record]:
    """Record an endpoint whose connections somebody else closes."""
    profile = EndpointProfile(target.client)
    support = profile.support()
    if not support.told:
        raise NotTestable(
            "the endpoint tells no log probabilities of tokens with known ids, and a trace has them"
        )
    together = profile.per_request()
    said = [Alternative(id=token.id, logprob=token.logprob) for token in support.tokens]
    for asked in requests_to(profile, count, together, seed):
        fields, n = fields_of(support, asked), min(asked.n, profile.per_request(asked.params))
        replies = (profile.ask(support.messages, n=n, **fields) for _ in range(0, asked.n, n))
        for reply, (index, choice) in ((r, pair) for r in replies for pair in enumerate(r.choices[:n])):
            place = support.index(choice.text)
            if place is not None:
                yield Record(
                    prompt_ids=None,
                    token_ids=[support.tokens[place].id],
                    params={**neutral_beside(profile, fields), **fields, "max_tokens": profile.manners.least},
                    top_logprobs=[said],
                    engine=target.name,
                    version=reply.system_fingerprint or "",
                    model=target.client.model,
                    choice=index,
                    finish_reason=reason_of(choice.finish_reason),
                )


def neutral_beside(profile: EndpointProfile, fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values without effect that a request has beside its own, as the page writes them: no top_k is 0 there."""
    sent = profile.manners.beside(fields)
    return {name: value for name, value in NEUTRAL.items() if name in sent}


def reason_of(told: object) -> Reason | None:
    """Why a choice ended.

    Raises:
        Malformed: For no reason that a trace can have.
    """
    for known in (None, *REASONS):
        if told == known:
            return known
    raise Malformed(f"finish_reason: got {shown(told)}, must be {', '.join(map(repr, REASONS))} or null")


def requests_to(profile: EndpointProfile, count: int, together: int, seed: int) -> Iterator[Asked]:
    """Yield requests that an endpoint takes, seeded if it takes seeds: one such of each setting is tried before.

    Raises:
        NotTestable: It takes none.
    """
    # a penalty on a single token shows nothing where the prompt's ids and the logits' level are not known
    single = [setting for setting in SETTINGS if setting[1] == 1]
    size, seeds = turn(single, count, together), seed if profile.takes_seed() else None
    taken = [setting for setting in single if accepted(profile, next(requests([setting], size, size, seeds)))]
    if not taken:
        raise NotTestable(f"no request with a bias on each of some tokens and n = {size} is taken")
    return requests(taken, count, size, seeds)


def accepted(profile: EndpointProfile, asked: Asked) -> bool:
    """Whether an endpoint takes a request."""
    support = profile.support()
    try:
        n = min(asked.n, profile.per_request(asked.params))
        profile.ask(support.messages, n=n, **fields_of(support, asked))
    except Refused:
        return False
    return True


def fields_of(support: TokenSupport, asked: Asked) -> dict[str, Any]:
    """Return the fields of a request whose biases single tokens out."""
    return BiasedCase(support, slope(len(support.tokens)), asked.params).fields
