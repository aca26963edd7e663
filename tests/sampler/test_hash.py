"""A hash of what fixed requests sample, for each dialect one: the same however the requests are run.

The expected hashes are the oracle's, from plain Python: `PYTHONPATH=tests python tests/sampler/test_hash.py` prints them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import oracle
import pytest
import torch

from sampling import Sampler, SamplingParams

EXPECTED = {
    "qstash": "c81ffaf9abed1530f83e5308f85f23f90b8305ad203e7b14eec173df9fae1541",
    "vllm-0.4": "68677d0a920e517bf9cdb303f9c4e08fcb7c5d603658ac9176965b122a59f2de",
    "vllm": "45fac9d2f0c4c35d3f53821511115e91b79220197e4222a2b2444d99b9bcffdb",
    "transformers": "ec6ec6e610b36d0a38842ac5336c88a221d34b8319da8583d1cfd4169ff6ce62",
    "sglang": "7259e03f982a38145520e6b419a8d59fdd6fc0b0fee39797a5472938eb9d535c",
    "llama.cpp": "033aaa9207a52ec4a7dd01d6e148bbc2ca98d406aa51850707132f0ba4941387",
    "large": "6bb9874c894c2e43c4be1932e99bf143e41c77a26bad7a2d5bfd9115c03cff74",
}

VOCABULARY, LARGE_VOCABULARY = 5003, 128256
ALTERNATIVES, STEPS = 20, 4
COMPILED = [("qstash", 1), ("large", 2)]  # and threads; each takes long to compile

Record = list[list[int]]


@dataclass(frozen=True)
class Rules:
    """What the oracle has to know of a dialect.

    Args:
        order: Stages; those in one entry look at the same logits.
        repetition_sees_prompt: Whether the repetition penalty counts the prompt.
        penalties_see_prompt: Whether the other two do.
        top_k_keeps_ties: Whether top_k keeps all that equal the last.
        top_p_stops_at_equality: Whether top_p stops at a mass of exactly p.
        greedy: What a request of temperature 0 becomes; None for what temperature 0 says.
        arg_max: Whether it then takes the arg max, after everything.
    """

    order: tuple[tuple[str, ...], ...]
    repetition_sees_prompt: bool = True
    penalties_see_prompt: bool = False
    top_k_keeps_ties: bool = False
    top_p_stops_at_equality: bool = True
    greedy: dict[str, float] | None = None
    arg_max: bool = False


def stages(text: str) -> tuple[tuple[str, ...], ...]:
    """An order as it is written: stages apart, joint ones with "&" between them."""
    return tuple(tuple(entry.split("&")) for entry in text.split())


EDITS = "logit_bias repetition_penalty frequency_penalty presence_penalty"
OFF = {"temperature": 1.0, "top_k": 0, "top_p": 1.0, "min_p": 0.0}
RULES = {
    "qstash": Rules(stages(f"{EDITS} temperature top_k top_p min_p"), repetition_sees_prompt=False),
    "vllm-0.4": Rules(
        stages(f"{EDITS} temperature top_k top_p min_p"),
        top_k_keeps_ties=True,
        greedy=OFF,
        arg_max=True,
    ),
    "vllm": Rules(stages(f"{EDITS} temperature min_p top_k top_p")),
    "transformers": Rules(
        stages("logit_bias repetition_penalty temperature top_k top_p min_p"),
        top_k_keeps_ties=True,
    ),
    "sglang": Rules(
        stages(
            "frequency_penalty presence_penalty repetition_penalty logit_bias temperature top_k&top_p min_p"
        ),
        repetition_sees_prompt=False,
        top_p_stops_at_equality=False,
        greedy={"temperature": 1.0, "top_k": 1},
    ),
    "llama.cpp": Rules(stages(f"{EDITS} top_k top_p min_p temperature"), penalties_see_prompt=True),
}


@dataclass(frozen=True)
class Request:
    """A request and the number that its logits are made from."""

    number: int
    dialect: str
    vocabulary: int
    fields: dict[str, Any]
    prompt: list[int]
    seed: int
    choice: int

    def logits(self, step: int) -> np.ndarray:
        """The model's logits before a step, float32 [V].

        Four 16-bit words of SplitMix64, added: dyadic numbers, the same everywhere. Requests with an odd number have many ties.
        """
        numbers = np.arange(self.vocabulary, dtype=np.uint64)
        x = (numbers + np.uint64((self.number * 64 + step) << 20)) * np.uint64(0x9E3779B97F4A7C15)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        x ^= x >> np.uint64(31)
        words = sum(
            ((x >> np.uint64(shift)) & np.uint64(0xFFFF)).astype(np.int64) for shift in (0, 16, 32, 48)
        )
        coarse = 11 if self.number % 2 else 0
        return (((words - 2**17) >> coarse << coarse) / 2**13).astype(np.float32)

    def params(self) -> SamplingParams:
        """The request for the sampler."""
        return SamplingParams(**self.fields, seed=self.seed, logprobs=True, top_logprobs=ALTERNATIVES)


FIELDS: list[dict[str, Any]] = [
    {"temperature": 0, "frequency_penalty": 0.6, "logit_bias": {3: 5.0, 17: -100, 4000: 2.5}},
    {"temperature": 0.7, "top_p": 0.9, "presence_penalty": 0.5, "repetition_penalty": 1.2},
    {"temperature": 1.3, "top_k": 300, "top_p": 0.8, "min_p": 0.001, "frequency_penalty": -0.4},
    {"logit_bias": {1: 11.5, 2: 11.5, 9: -3.25}, "min_p": 0.02, "top_k": 30, "repetition_penalty": 0.8},
]
LARGE_FIELDS: list[dict[str, Any]] = [
    {"temperature": 0.6, "top_p": 0.95, "frequency_penalty": 0.5, "logit_bias": {100_000: 13.0}},
    {"temperature": 1.1, "top_k": 1000, "min_p": 0.01},
    {"temperature": 1.5},
]


def fields_for(dialect: str, fields: dict[str, Any]) -> dict[str, Any]:
    """Those that the dialect has."""
    names = [name for entry in RULES[dialect].order for name in entry]
    had = {name: value for name, value in fields.items() if name in names}
    return had | ({"temperature": 0.3} if dialect == "transformers" and had.get("temperature") == 0 else {})


def request(number: int, dialect: str, vocabulary: int, fields: dict[str, Any]) -> Request:
    prompt = [(7 * number + 3 * i * i) % 50 for i in range(number % 5)]
    seed = number * 0x1234_5678_9ABC % 2**64
    return Request(number, dialect, vocabulary, fields_for(dialect, fields), prompt, seed, number % 3)


REQUESTS = {
    dialect: [
        request(len(FIELDS) * place + i, dialect, VOCABULARY, fields) for i, fields in enumerate(FIELDS)
    ]
    for place, dialect in enumerate(RULES)
}
REQUESTS["large"] = [
    request(100 + i, "qstash", LARGE_VOCABULARY, fields) for i, fields in enumerate(LARGE_FIELDS)
]


def digest(records: dict[int, Record]) -> str:
    """SHA-256 of the tokens and alternatives of all requests, in the order of their numbers."""
    return hashlib.sha256(json.dumps([records[number] for number in sorted(records)]).encode()).hexdigest()


# By the oracle


def truncated(name: str, row: list[float], value: Any, rules: Rules) -> set[int]:
    if name == "top_k":
        return oracle.top_k(row, value, keep_ties=rules.top_k_keeps_ties)
    if name == "top_p":
        stops = rules.top_p_stops_at_equality
        return oracle.nucleus(row, str(value), stops_at_equality=stops)
    return oracle.min_p(row, str(value))


def processed(request: Request, row: list[float], output: list[int]) -> list[float]:
    """The logits after all stages of the request's dialect."""
    rules = RULES[request.dialect]
    seen = [*request.prompt, *output]
    fields = request.fields
    if fields.get("temperature") == 0 and rules.greedy is not None:
        fields = fields | rules.greedy
    edits: dict[str, Callable[[list[float], Any], list[float]]] = {
        "logit_bias": oracle.add_bias,
        "repetition_penalty": lambda row, r: oracle.repetition(
            row, r, seen if rules.repetition_sees_prompt else output
        ),
        "frequency_penalty": lambda row, f: oracle.frequency(
            row, f, seen if rules.penalties_see_prompt else output
        ),
        "presence_penalty": lambda row, p: oracle.presence(
            row, p, seen if rules.penalties_see_prompt else output
        ),
        "temperature": oracle.temperature,
    }
    for entry in rules.order:
        given = [name for name in entry if name in fields]
        if given and given[0] in edits:
            row = edits[given[0]](row, fields[given[0]])
        elif given:
            kept = [truncated(name, row, fields[name], rules) for name in given]
            row = oracle.keep(row, set.intersection(*kept))
    return row


def by_oracle(request: Request) -> Record:
    """The token and the alternatives of each step."""
    record: Record = []
    for step in range(STEPS):
        output = [line[0] for line in record]
        row = processed(request, request.logits(step).tolist(), output)
        ids = oracle.order(row)
        greedy = RULES[request.dialect].arg_max and request.fields.get("temperature") == 0
        token = ids[0] if greedy else oracle.draw(row, request.seed, step, request.choice)
        record.append([token, *ids[:ALTERNATIVES]])
    return record


# By the sampler


def by_sampler(
    requests: Iterable[Request], *, at_once: int = 100, arrivals: int = 100, before: int = -1, **kwargs: Any
) -> dict[int, Record]:
    """Requests of one dialect.

    Args:
        requests: In the order in which they come.
        at_once: Most of them together; when one has all its tokens, another takes its slot.
        arrivals: Most that come between two steps.
        before: A token that a row has taken that left before they came; -1 for no such row.
        kwargs: For the sampler.
    """
    waiting, records, places = list(requests), dict[int, Record](), dict[int, Request]()
    first, device = waiting[0], kwargs.get("device", "cpu")
    width, kind = first.vocabulary, {"dialect": first.dialect, "logprob_modes": ["processed"]}
    sampler = Sampler([], vocab_size=width, **kind, **kwargs)
    if before >= 0:
        sampler.add(first.params(), first.prompt)
        sampler.accept([before])
        sampler.remove([0])
    while waiting or places:
        for new in waiting[: min(arrivals, at_once - len(places))]:
            waiting.remove(new)
            records[new.number] = []
            places[sampler.add(new.params(), new.prompt, new.choice)] = new
        rows = torch.full((len(sampler.slots), width), torch.nan)
        for place, request in places.items():
            rows[place] = torch.from_numpy(request.logits(len(records[request.number])))
        out = sampler.step(rows.to(device))
        lines = torch.cat([out.token_ids[:, None], out.top_token_ids], -1).tolist()
        for place, request in list(places.items()):
            records[request.number].append(lines[place])
            if len(records[request.number]) == STEPS:
                sampler.remove([place])
                del places[place]
    return records


def shuffled(requests: list[Request], seed: int) -> list[Request]:
    return [requests[i] for i in np.random.default_rng(seed).permutation(len(requests))]


@pytest.fixture(params=[1, 2])
def threads(request: pytest.FixtureRequest) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield
    torch.set_num_threads(before)


def check(name: str, seed: int | None = None, **kwargs: Any) -> None:
    """Compare the hash of requests with the oracle's."""
    requests = REQUESTS[name] if seed is None else shuffled(REQUESTS[name], seed)
    assert digest(by_sampler(requests, **kwargs)) == EXPECTED[name]


@pytest.mark.parametrize("dialect", RULES)
def test_the_oracle_samples_what_the_sampler_samples(dialect: str) -> None:
    """One request of each dialect, live and not from the record."""
    request = REQUESTS[dialect][len(dialect) % len(FIELDS)]
    assert by_sampler([request])[request.number] == by_oracle(request)


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize("name", REQUESTS)
def test_eager(name: str) -> None:
    check(name)


@pytest.mark.parametrize("name", REQUESTS)
@pytest.mark.parametrize("at_once", [1, 2, 3])
def test_alone_and_with_neighbours_that_come_and_go(name: str, at_once: int) -> None:
    check(name, at_once=at_once, arrivals=1)


@pytest.mark.parametrize("name", REQUESTS)
@pytest.mark.parametrize("seed", [1, 2])
def test_in_any_row(name: str, seed: int) -> None:
    check(name, seed)
    check(name, seed, at_once=3, arrivals=1)


@pytest.mark.parametrize("name", REQUESTS)
@pytest.mark.parametrize("elements", [1, 2**13, 2**30])
def test_in_blocks_of_any_size(name: str, elements: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sampling_kernels.host_sync.TILE_ELEMENTS", elements)
    check(name)


@pytest.mark.parametrize("name", REQUESTS)
@pytest.mark.parametrize("count", [1, 500])
def test_with_any_number_of_leading_tokens(name: str, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sampling_kernels.candidates.candidates.NUM_CANDIDATES", count)
    check(name)


@pytest.mark.compiled
@pytest.mark.usefixtures("compiled", "threads")
@pytest.mark.parametrize(("name", "threads"), COMPILED, indirect=["threads"])
def test_compiled(name: str) -> None:
    """After the highest token that there is: each that is higher than those before asks for a graph of its own."""
    torch._dynamo.reset()  # beside graphs of other sizes, one for all sizes would be made, which takes longer
    check(name, compile=True, max_history=16, before=REQUESTS[name][0].vocabulary - 1)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="NO CUDA DEVICE: the hash there was NOT tested")
@pytest.mark.parametrize("name", REQUESTS)
@pytest.mark.parametrize("compile", [False, True])
def test_on_cuda(name: str, compile: bool, request: pytest.FixtureRequest) -> None:  # noqa: A002
    if compile:
        request.getfixturevalue("compiled")
        torch._dynamo.reset()
    check(name, device="cuda", compile=compile, max_history=16)


if __name__ == "__main__":
    for name, requests in REQUESTS.items():
        print(f'    "{name}": "{digest({request.number: by_oracle(request) for request in requests})}",')
