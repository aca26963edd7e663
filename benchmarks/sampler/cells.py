"""What the sampler benchmark measures: which jobs, by which engines, taking turns with which others."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from benchmarks.sampler.engine import Job
from sampling import SamplingParams

EVERYTHING: dict[str, Any] = {
    "temperature": 0.8,
    "top_p": 0.9,
    "frequency_penalty": 0.3,
    "presence_penalty": 0.2,
    "logprobs": True,
    "top_logprobs": 20,
    "biased": 8,
}
ALL, ALL_BUT_LOGPROBS = "everything", "everything but logprobs"
FEATURES: dict[str, dict[str, Any]] = {
    "token only": {},
    "temperature": {"temperature": 0.8},
    "top_p": {"top_p": 0.9},
    "penalties": {"frequency_penalty": 0.3, "presence_penalty": 0.2},
    "logit_bias": {"biased": 8},
    "logprobs": {"logprobs": True},
    "logprobs, top 20": {"logprobs": True, "top_logprobs": 20},
    ALL_BUT_LOGPROBS: EVERYTHING | {"logprobs": False, "top_logprobs": 0},
    ALL: EVERYTHING,
}
PROMPTS = (0, 1024, 16384, 131072)
AXES: dict[str, tuple[int, ...]] = {
    "rows": (1, 8, 64, 512),
    "vocabulary": (32000, 64000, 128256, 256000),
    "tokens with a bias": (0, 16, 128, 1024),
    "alternatives": (0, 1, 5, 20),
    "sampled tokens": (0, 64, 512, 4096),
    "prompt, not counted": PROMPTS,
    "prompt, counted by a repetition penalty": PROMPTS,
}


@dataclass(frozen=True)
class Entry:
    """One engine at one job, with what tells it from the others of its part."""

    part: str
    engine: str
    job: Job
    label: dict[str, Any]


Cell = list[Entry]  # what takes turns


def request(vocabulary: int, *, biased: int = 0, **params: Any) -> SamplingParams:
    """Parameters with a bias, up and down in turn, on so many tokens spread over the vocabulary."""
    entries = min(biased, vocabulary)
    table = {place * vocabulary // entries: 1.0 - 2.0 * (place % 2) for place in range(entries)}
    return SamplingParams(logit_bias=table, **params)


def engine_cells(engines: list[str], jobs: Iterable[Job]) -> Iterator[Cell]:
    """Every engine, everything on."""
    for job in jobs:
        params = request(job.vocabulary, **EVERYTHING)
        yield [Entry("engines", engine, replace(job, params=params), {}) for engine in engines]


def feature_cells(engines: list[str], base: Job) -> Iterator[Cell]:
    """Our features, one by one."""
    yield [
        Entry("features", engine, replace(base, params=request(base.vocabulary, **params)), {"feature": name})
        for name, params in FEATURES.items()
        for engine in engines
    ]


def growth_cells(engines: list[str], base: Job) -> Iterator[Cell]:
    """Everything on, and one thing after another growing."""
    for axis, values in AXES.items():
        yield [
            Entry("growth", engine, grown(base, axis, value), {"axis": axis, "value": value})
            for engine in engines
            for value in values
        ]


def grown(base: Job, axis: str, value: int) -> Job:
    """The base job at one point of an axis."""
    everything, width = EVERYTHING, base.vocabulary
    changes: dict[str, Any] = {}
    match axis:
        case "rows":
            changes = {"rows": value}
        case "vocabulary":
            changes, width = {"vocabulary": value}, value
        case "tokens with a bias":
            everything = EVERYTHING | {"biased": value}
        case "alternatives":
            everything = EVERYTHING | {"top_logprobs": value}
        case "sampled tokens":
            changes = {"sampled": value}
        case "prompt, not counted":
            changes = {"prompt": value}
        case _:  # the dialect whose repetition penalty counts the prompt, too
            changes = {"prompt": value, "dialect": "vllm"}
            everything = EVERYTHING | {"repetition_penalty": 1.1}
    return replace(base, params=request(width, **everything), **changes)
