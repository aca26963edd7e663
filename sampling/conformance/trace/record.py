"""One line of a trace: a completion with its parameters, its tokens, and what was said about them.

The format is described in docs/trace_format.md.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from itertools import chain
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError

from sampling.chat.fields import FIELDS, kinds_of
from sampling.chat.request import SAMPLING_FIELDS
from sampling.dialects import QSTASH
from sampling.errors import InvalidRequest
from sampling.files import opened
from sampling.params import SamplingParams
from sampling.reading import read_json

Natural = Annotated[int, Field(ge=0)]
Reason = Literal["stop", "length"]
REASONS: tuple[Reason, ...] = get_args(Reason)
ABOVE = 1e-3  # what rounding may add to a log probability of 0


class Alternative(BaseModel):
    """A token and its log probability."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    id: Natural
    logprob: FiniteFloat


class Record(BaseModel):
    """One completion.

    Args:
        prompt_ids: The prompt; None where only its text is known.
        token_ids: What was sampled, the token that ended it included.
        params: Request fields as the API names them.
        top_logprobs: By position the tokens whose log probabilities are known, the sampled one among them.
        logprob_mode: Which distribution those are of: the model's own, or that after temperature or after everything.
        log_normalizers: By position what the model's logits are above `top_logprobs`, where these are raw: the logarithm of
            the sum of their exponentials; None where it is not known, and in the other modes.
        logprobs: By position the reported value of the sampled token; None where the engine reported none.
        engine: What sampled.
        version: Its version.
        model: The model's name.
        choice: Which of the n choices of its request.
        finish_reason: "stop" or "length".
    """

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    prompt_ids: list[Natural] | None
    token_ids: list[Natural]
    params: dict[str, Any]
    top_logprobs: list[list[Alternative]]
    logprob_mode: Literal["raw", "temperature", "processed"] = "raw"
    log_normalizers: list[FiniteFloat] | None = None
    logprobs: list[FiniteFloat | None] | None = None
    engine: str
    version: str = ""
    model: str = ""
    choice: Natural = 0
    finish_reason: Reason | None = None


def read_trace(path: Path) -> list[Record]:
    """Read a trace.

    Args:
        path: A file of JSON Lines.

    Raises:
        InvalidRequest: It can not be read; the message names the line and the field.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        words = f"a file of JSON Lines that can be read ({error})"
        raise InvalidRequest("trace", str(path), words) from error
    lines = text.split("\n")  # not at the other ends of lines, which JSON strings may hold
    records = [record_of(line, number) for number, line in enumerate(lines, start=1) if line.strip()]
    if not records:
        raise InvalidRequest("trace", str(path), "a file with at least one record")
    return records


def record_of(line: str, number: int) -> Record:
    """Read one line."""
    try:
        record = Record.model_validate(read_json(line, f"trace, line {number}"))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(["line " + str(number), *map(str, first["loc"])])
        raise InvalidRequest(
            f"trace, {where}", first["input"], f"as in docs/trace_format.md ({first['msg']})"
        ) from None
    check_lengths(record, number)
    check_mode(record, number)
    check_params(record, number)
    check_values(record, number)
    return record


def check_lengths(record: Record, number: int) -> None:
    """Check that what is told by position is told for each token."""
    for name in ("top_logprobs", "log_normalizers", "logprobs"):
        told = getattr(record, name)
        if told is not None and len(told) != len(record.token_ids):
            words = f"as long as token_ids ({len(record.token_ids)})"
            raise InvalidRequest(f"trace, line {number}.{name}", len(told), words)


def check_mode(record: Record, number: int) -> None:
    """Check that the logits' level is told for raw log probabilities alone: a level of others says nothing."""
    if record.log_normalizers is not None and record.logprob_mode != "raw":
        words = f"null or left out where logprob_mode is {record.logprob_mode!r}; only 'raw' has a use for it"
        raise InvalidRequest(f"trace, line {number}.log_normalizers", record.log_normalizers, words)


def check_params(record: Record, number: int) -> None:
    """Check the request's fields as the API does; one that it does not have may have changed the distribution."""
    given = {name: value for name, value in record.params.items() if value is not None}
    kinds = kinds_of(QSTASH)
    known = sorted({*SAMPLING_FIELDS, *kinds} - {*FIELDS})
    unknown = next((name for name in given if name not in known), None)
    if unknown is not None:
        words = f"left out, or one of {', '.join(known)}"
        raise InvalidRequest(f"trace, line {number}.params.{unknown}", given[unknown], words)
    try:
        SamplingParams(**{name: given[name] for name in SAMPLING_FIELDS if name in given})
        for name in kinds.keys() & given.keys():
            kinds[name].read(name, given[name])
    except InvalidRequest as error:
        named = f"trace, line {number}.params.{error.param}"
        raise InvalidRequest(named, error.value, error.allowed) from None


def check_values(record: Record, number: int) -> None:
    """Check that log probabilities are some, and that none is told twice."""
    for place, listed in enumerate(record.top_logprobs):
        times = Counter(entry.id for entry in listed)
        twice = next((token for token in times if times[token] > 1), None)
        if twice is not None:
            named = f"trace, line {number}.top_logprobs.{place}"
            raise InvalidRequest(named, f"token {twice} twice", "a list of different tokens")
        for index, entry in enumerate(listed):
            if entry.logprob > ABOVE:
                named = f"trace, line {number}.top_logprobs.{place}.{index}.logprob"
                raise InvalidRequest(named, entry.logprob, "a log probability, at most 0")


def write_trace(records: Iterable[Record], path: Path) -> None:
    """Write a trace; the file is not touched before there is a record.

    Args:
        records: What is written, as it comes.
        path: Where to.
    """
    coming = iter(records)
    first = next(coming, None)
    if first is None:
        return
    with opened(path) as file:
        for record in chain([first], coming):
            file.write(record.model_dump_json() + "\n")


def difr(records: Iterable[Record]) -> dict[str, Any]:
    """A trace in the format that Token-DiFR takes external samples in: one sample for each prompt.

    Its `config` is for any metadata; the parameters of each output are there in its `params`, in the samples' order. The
    method replays vLLM's draw, so that a trace of another engine needs a sampling procedure of its own, or temperature 0.

    Args:
        records: All with the ids of their prompts.

    Raises:
        InvalidRequest: A prompt's ids are not known.

    Source: README of github.com/adamkarvonen/difr, "Using External Prompts and Responses"; arXiv 2511.20621.
    """
    records = list(records)
    outputs: dict[tuple[int, ...], list[dict[str, Any]]] = {}
    params: dict[tuple[int, ...], list[dict[str, Any]]] = {}
    for record in records:
        if record.prompt_ids is None:
            raise InvalidRequest(
                "prompt_ids", None, "known for every record: Token-DiFR feeds them to its reference"
            )
        prompt = tuple(record.prompt_ids)
        outputs.setdefault(prompt, []).append({"token_ids": record.token_ids})
        params.setdefault(prompt, []).append({**record.params, "choice": record.choice})
    first = records[0]
    config = {
        "model": first.model,
        "engine": first.engine,
        "version": first.version,
        "params": [*params.values()],
    }
    samples = [{"prompt_token_ids": list(prompt), "outputs": given} for prompt, given in outputs.items()]
    return {"config": config, "samples": samples}
