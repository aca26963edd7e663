"""Whole answers recorded: of a server that tells token ids, and of the library's own loop by any rule of the draw."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from itertools import count as counted
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sampling.chat.loaded_model import LoadedModel
from sampling.chat.prepared import prepare
from sampling.chat.request import ChatRequest
from sampling.conformance.endpoint.prompts import CONTEXTS, Messages
from sampling.conformance.endpoint.target import EndpointTarget
from sampling.conformance.endpoint.trouble import Refused
from sampling.conformance.oracle import NEUTRAL
from sampling.conformance.trace.answers import records_of
from sampling.conformance.trace.record import Alternative, Record
from sampling.core.history import History
from sampling.core.reading import read_json
from sampling.dialects import Dialect
from sampling.pipeline.pipeline import Pipeline
from sampling.sampler.rules import RULES, Rule
from sampling.sampler.sampler import Sampler
from sampling.version import __version__

SETTINGS: tuple[dict[str, Any], ...] = (
    {},
    {"temperature": 1.5},
    {"temperature": 2.0, "top_p": 0.95},
    {"temperature": 2.0, "top_k": 20},
)
SENT = {name: value for name, value in NEUTRAL.items() if name not in ("logit_bias", "min_tokens")} | {
    "top_k": -1
}
TELLING = {"return_token_ids": True, "return_tokens_as_token_ids": True, "logprobs": True, "top_logprobs": 1}

MASKS = {"return_meta_info": True, "return_sampling_mask": True}  # of SGLang, if its server may tell them


def asked(seed: int) -> Iterator[tuple[Messages, dict[str, Any]]]:
    """Yield contexts and seeded parameters, each of the settings in its turn."""
    seeds = np.random.default_rng(seed)
    for number in counted():
        setting = SETTINGS[number % len(SETTINGS)]
        yield CONTEXTS[number % len(CONTEXTS)], {**setting, "seed": int(seeds.integers(2**31))}


def from_server(target: EndpointTarget, count: int, seed: int, length: int) -> Iterator[Record]:
    """Record so many answers of at most `length` tokens of vLLM or SGLang, two choices to a request.

    Yields:
        The records, in the order of the requests.

    Raises:
        CheckEnded: The endpoint does not answer as it has to.
        InvalidArgument: It does not tell its token ids.
    """
    with closing(target):
        yield from islice(answers_of(target, seed, length), count)


def answers_of(target: EndpointTarget, seed: int, length: int) -> Iterator[Record]:
    """Yield records of an endpoint whose connections somebody else closes, without end; with masks if it takes the fields."""
    masks = MASKS
    for context, params in asked(seed):
        body = {"messages": [*context], **SENT, **params, "n": 2, "max_tokens": length, **TELLING}
        try:
            text = target.client.text({**body, **masks})
        except Refused:
            if not masks:
                raise
            masks, text = {}, target.client.text(body)
        yield from records_of(body, read_json(text, "answer"))


def by_rule(
    loaded: LoadedModel, dialect: Dialect, rule: Rule, count: int, seed: int, length: int
) -> Iterator[tuple[Record, Tensor]]:
    """Record so many answers of the own loop, drawn by a rule.

    Yields:
        Each record, with the kept sets where a truncation is on, and its logits, float32 [T, V].
    """
    for number, (context, given) in enumerate(islice(asked(seed), count), start=1):
        request = ChatRequest.parse({"messages": context, **given, "max_tokens": length}, dialect)
        yield answer_by_rule(
            loaded, dialect, rule, request, given | {"max_tokens": length}, f"logits.{number}"
        )


def answer_by_rule(
    loaded: LoadedModel, dialect: Dialect, rule: Rule, request: ChatRequest, given: dict[str, Any], name: str
) -> tuple[Record, Tensor]:
    """Decode one answer, and return its record and the logits that it names."""
    prompt, ended = prepare(loaded, request, dialect).prompt_ids, False
    width = loaded.model.config.vocab_size
    # temperatures and truncations alone, so that what the engine's defaults would add is in no record
    params = replace(request.params, logprobs=False)
    sampler = Sampler([params], vocab_size=width, prompt_ids=[prompt], dialect=dialect, rule=rule)
    tokens: list[int] = []
    rows: list[Tensor] = []
    while not ended and len(tokens) < given["max_tokens"]:
        rows.append(loaded.logits([*prompt, *tokens])[-1].float().cpu())
        tokens += sampler.step(rows[-1][None]).token_ids.tolist()
        ended = tokens[-1] in loaded.vocabulary.end_ids
    logits = torch.stack(rows)
    processed = Pipeline.from_params(params, dialect)(logits, History.start([prompt] * len(tokens)))
    kept = [row.isfinite().nonzero()[:, 0].tolist() for row in processed]
    logs, shown = logits.log_softmax(-1), range(len(tokens))
    record = Record(
        prompt_ids=[*prompt],
        token_ids=tokens,
        params=given,
        top_logprobs=[[Alternative(id=tokens[at], logprob=float(logs[at, tokens[at]]))] for at in shown],
        engine=f"sampling-reference ({RULES[rule].name})",
        version=__version__,
        model=loaded.name,
        finish_reason="stop" if ended else "length",
        logits=name,
        kept=kept if {"top_p", "top_k"} & given.keys() else None,
    )
    return record, logits
