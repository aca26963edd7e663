"""One line of a trace: a completion with its parameters, its tokens, and what was said about them.

The format is described in docs/trace_format.md.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from itertools import chain
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError

from sampling.chat.fields import FIELDS, kinds_of
from sampling.chat.request import SAMPLING_FIELDS
from sampling.conformance.trace.parts import name_of, name_without_seed, parsed
from sampling.core.errors import InvalidArgument
from sampling.core.files import opened
from sampling.core.params import SamplingParams
from sampling.dialects.qstash import QSTASH

Natural = Annotated[int, Field(ge=0)]
Reason = Literal["stop", "length"]
REASONS: tuple[Reason, ...] = get_args(Reason)
ABOVE = 1e-3  # what rounding may add to a log probability of 0


class Alternative(BaseModel):
    """A token and its log probability."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    id: Natural
    logprob: FiniteFloat


class Head(BaseModel):
    """What a record has besides `top_logprobs`."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    prompt_ids: list[Natural] | None
    token_ids: list[Natural]
    params: dict[str, Any]
    logprob_mode: Literal["raw", "penalised", "temperature", "processed"] = "raw"
    log_normalizers: list[FiniteFloat] | None = None
    logprobs: list[FiniteFloat | None] | None = None
    engine: str
    version: str = ""
    model: str = ""
    choice: Annotated[int, Field(ge=0, lt=2**32)] = 0
    draws_before: Natural = 0
    rows: Annotated[int, Field(ge=1, lt=2**32)] = 1
    finish_reason: Reason | None = None
    logits: str | None = None
    kept: list[list[Natural]] | str | None = None


H = TypeVar("H", bound=Head)


class Record(Head):
    """One completion.

    Args:
        prompt_ids: The prompt; None where only its text is known.
        token_ids: What was sampled, the token that ended it included.
        params: Request fields as the API names them.
        top_logprobs: By position the tokens whose log probabilities are known, the sampled one among them.
        logprob_mode: Which distribution those are of: the model's own, or that after penalties and
            biases, after the temperature, too, or after everything.
        log_normalizers: By position what the model's logits are above `top_logprobs`, where these are raw: the logarithm of
            the sum of their exponentials; None where it is not known, and in the other modes.
        logprobs: By position the reported value of the sampled token; None where the engine reported none.
        engine: What sampled.
        version: Its version.
        model: The model's name.
        choice: Which of the n choices of its request.
        draws_before: Of a generator that requests share: how many rows it had drawn for before the first token.
        rows: Likewise: for how many rows, this one included, each step drew.
        finish_reason: "stop" or "length".
        logits: The name of its tensor of logits, [T, V], in a file of safetensors beside the trace.
        kept: By position the ids that the engine's truncations kept; or the name of them in such a file.
    """

    top_logprobs: list[list[Alternative]]


def read_trace(path: Path) -> list[Record]:
    """Read a trace, a file of JSON Lines.

    Raises:
        InvalidArgument: It cannot be read; the message names the line and the field.
    """
    reader = Reader()
    try:
        with path.open(encoding="utf-8", newline="\n") as lines:  # JSON strings may hold other ends of lines
            records = [
                reader.read(line, number) for number, line in enumerate(lines, start=1) if line.strip()
            ]
    except (OSError, UnicodeDecodeError) as error:
        words = f"a file of JSON Lines that can be read ({error})"
        raise InvalidArgument("trace", str(path), words) from error
    if not records:
        raise InvalidArgument("trace", str(path), "a file with at least one record")
    return records


class Reader:
    """Reads lines; a list or a request that many of them have is checked once, and lists that are equal are one."""

    def __init__(self) -> None:
        self._lists: dict[bytes, list[Alternative]] = {}
        self._params: set[bytes] = set()

    def read(self, line: str, number: int) -> Record:
        """Read one line.

        Raises:
            InvalidArgument: It is no record; the message names the line and the field.
        """
        told: Any = parsed(line, number)
        try:
            params, names = name_without_seed(told["params"]), [*map(name_of, told["top_logprobs"])]
        except (ValueError, TypeError, LookupError, AttributeError):
            return checked(told, number)
        if params not in self._params or not self._lists.keys() >= {*names}:
            for name, listed in zip(names, checked(told, number).top_logprobs, strict=True):
                self._lists.setdefault(name, listed)
            self._params.add(params)
        return record_of(told, [self._lists[name] for name in names], number)


def record_of(told: dict[str, Any], lists: list[list[Alternative]], number: int) -> Record:
    """Return a record whose request and lists are checked.

    Raises:
        InvalidArgument: Something else of it is wrong; the message names the line and the field.
    """
    head = validated(Head, {name: told[name] for name in told if name != "top_logprobs"}, number)
    record = Record.model_construct(**dict(head), top_logprobs=lists)
    check_head(record, number)
    return record


def checked(told: object, number: int) -> Record:
    """Return a record, all of it checked.

    Raises:
        InvalidArgument: It is none; the message names the line and the field.
    """
    record = validated(Record, told, number)
    check_head(record, number)
    check_params(record, number)
    check_values(record, number)
    return record


def validated(kind: type[H], told: object, number: int) -> H:
    """Return a line's values in their types.

    Raises:
        InvalidArgument: They have others; the message names the line and the first such field.
    """
    try:
        return kind.model_validate(told)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(["line " + str(number), *map(str, first["loc"])])
        raise InvalidArgument(
            f"trace, {where}", first["input"], f"as in docs/trace_format.md ({first['msg']})"
        ) from None


def check_head(record: Record, number: int) -> None:
    """Check what every record has of its own."""
    check_lengths(record, number)
    check_mode(record, number)
    check_kept(record, number)


def check_lengths(record: Record, number: int) -> None:
    """Check that what is told by position is told for each token."""
    for name in ("top_logprobs", "log_normalizers", "logprobs", "kept"):
        told = getattr(record, name)
        if isinstance(told, list) and len(told) != len(record.token_ids):
            words = f"as long as token_ids ({len(record.token_ids)})"
            raise InvalidArgument(f"trace, line {number}.{name}", len(told), words)


def check_mode(record: Record, number: int) -> None:
    """Check that the logits' level is told for raw log probabilities alone: a level of others says nothing."""
    if record.log_normalizers is not None and record.logprob_mode != "raw":
        words = f"null or left out where logprob_mode is {record.logprob_mode!r}; only 'raw' has a use for it"
        raise InvalidArgument(f"trace, line {number}.log_normalizers", record.log_normalizers, words)


def check_kept(record: Record, number: int) -> None:
    """Check that each set has the token that was sampled from it, and nothing twice."""
    sets = record.kept if isinstance(record.kept, list) else []
    for place, (token, ids) in enumerate(zip(record.token_ids, sets, strict=False)):
        named = f"trace, line {number}.kept.{place}"
        if token not in ids:
            raise InvalidArgument(named, f"{len(ids)} ids", f"a set that has the sampled token, {token}")
        if len({*ids}) < len(ids):
            raise InvalidArgument(named, ids, "a list of different tokens")


def check_params(record: Record, number: int) -> None:
    """Check the request's fields as the API does; one that it does not have may have changed the distribution."""
    given = {name: value for name, value in record.params.items() if value is not None}
    kinds = kinds_of(QSTASH)
    known = sorted({*SAMPLING_FIELDS, *kinds} - {*FIELDS})
    unknown = next((name for name in given if name not in known), None)
    if unknown is not None:
        words = f"left out, or one of {', '.join(known)}"
        raise InvalidArgument(f"trace, line {number}.params.{unknown}", given[unknown], words)
    try:
        SamplingParams(**{name: given[name] for name in SAMPLING_FIELDS if name in given})
        for name in kinds.keys() & given.keys():
            kinds[name].read(name, given[name])
    except InvalidArgument as error:
        named = f"trace, line {number}.params.{error.param}"
        raise InvalidArgument(named, error.value, error.allowed) from None


def check_values(record: Record, number: int) -> None:
    """Check that log probabilities are some, and that none is told twice."""
    for place, listed in enumerate(record.top_logprobs):
        times = Counter(entry.id for entry in listed)
        twice = next((token for token in times if times[token] > 1), None)
        if twice is not None:
            named = f"trace, line {number}.top_logprobs.{place}"
            raise InvalidArgument(named, f"token {twice} twice", "a list of different tokens")
        for index, entry in enumerate(listed):
            if entry.logprob > ABOVE:
                named = f"trace, line {number}.top_logprobs.{place}.{index}.logprob"
                raise InvalidArgument(named, entry.logprob, "a log probability, at most 0")


def write_trace(records: Iterable[Record], path: Path) -> None:
    """Write a trace, its records as they come; the file is not touched before there is one."""
    coming = iter(records)
    first = next(coming, None)
    if first is None:
        return
    with opened(path) as file:
        for record in chain([first], coming):
            file.write(record.model_dump_json() + "\n")


def difr(records: Iterable[Record]) -> dict[str, Any]:
    """Return a trace in the format that Token-DiFR takes external samples in: one for each prompt, whose ids must be known.

    Its `config` is for any metadata; the parameters of each output are there in its `params`, in the samples' order. The
    method replays vLLM's draw, so that a trace of another engine needs a sampling procedure of its own, or temperature 0.

    Raises:
        InvalidArgument: A prompt's ids are not known.

    Source: README of github.com/adamkarvonen/difr, "Using External Prompts and Responses"; arXiv 2511.20621.
    """
    records = list(records)
    outputs: dict[tuple[int, ...], list[dict[str, Any]]] = {}
    params: dict[tuple[int, ...], list[dict[str, Any]]] = {}
    for record in records:
        if record.prompt_ids is None:
            raise InvalidArgument(
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
