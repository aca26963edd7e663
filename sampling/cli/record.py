"""`sampling record`: write completions down as a trace."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from safetensors.torch import save_file
from torch import Tensor

from sampling.cli.flags import MOST, check_files, given, refuse, regular, save
from sampling.cli.targets import ENDPOINT_FLAGS, FOR_ENDPOINTS, endpoint_of, reference_of
from sampling.conformance.endings import CheckEnded
from sampling.conformance.trace.answers import read_answers
from sampling.conformance.trace.record import Record, difr, read_trace, write_trace
from sampling.conformance.trace.recorder import from_endpoint, from_loop
from sampling.conformance.trace.whole_answers import by_rule, from_server
from sampling.core.errors import InvalidArgument, SamplingError
from sampling.core.params import integer
from sampling.dialects import dialect
from sampling.sampler.rules import RULES, checked_rule

REQUESTS = 1000
WHOLE = ("max_tokens", "rule", "logits")


def run_record(options: argparse.Namespace) -> None:
    """Record an endpoint, the library's own loop, or answers that somebody has kept."""
    check_files(options, ("out", "difr", "logits"), read=("answers",))
    if options.difr is not None and not regular(options.out):
        raise InvalidArgument("out", options.out, "a file that can be read again, for difr")
    tensors: dict[str, Tensor] = {}
    kept = written(source_of(options, tensors), Path(options.out))
    if tensors:
        save_file(tensors, options.logits)
    print(outcome(kept, Path(options.out)), file=sys.stderr)
    if options.difr is not None:
        save("difr", options.difr, json.dumps(difr(read_trace(Path(options.out)))) + "\n")


def source_of(options: argparse.Namespace, tensors: dict[str, Tensor]) -> Iterable[Record]:
    """Return what is recorded; the logits of an own loop by a rule go into `tensors` with each record."""
    count = integer("requests", given(options.requests, REQUESTS), 1, MOST)
    seed = integer("seed", given(options.seed, 0), 0, MOST)
    if options.answers is not None:
        words = "left out: the answers are in a file"
        refuse(options, words, "url", "requests", "seed", "reference", "dialect", *WHOLE, *ENDPOINT_FLAGS)
        return read_answers(Path(options.answers))
    length = None if options.max_tokens is None else integer("max_tokens", options.max_tokens, 1, MOST)
    if options.url is not None:
        words = "left out: it is for the own loop, without a URL"
        refuse(options, words, "reference", "dialect", "rule", "logits", *(() if length else ("difr",)))
        target = endpoint_of(options)
        return from_server(target, count, seed, length) if length else from_endpoint(target, count, seed)
    refuse(options, FOR_ENDPOINTS, *ENDPOINT_FLAGS)
    if options.rule is None:
        refuse(options, "left out: it is for whole answers by a rule (--rule)", "max_tokens", "logits")
        chosen = dialect(given(options.dialect, "qstash"))
        return from_loop(reference_of(given(options.reference, "toy")), chosen, count, seed)
    rule = checked_rule(options.rule)
    chosen = dialect(given(options.dialect, RULES[rule].dialect))
    loaded = reference_of(given(options.reference, "toy"))
    return loop_by_rule(by_rule(loaded, chosen, rule, count, seed, length or 16), options, tensors)


def loop_by_rule(
    answers: Iterable[tuple[Record, Tensor]], options: argparse.Namespace, tensors: dict[str, Tensor]
) -> Iterator[Record]:
    """Yield records, and keep their logits where a file is wanted for them."""
    for record, logits in answers:
        if options.logits is None:
            yield record.model_copy(update={"logits": None})
        else:
            tensors[str(record.logits)] = logits
            yield record


def written(records: Iterable[Record], path: Path) -> int:
    """Write records as they come, and say how many there are, however it ends.

    Raises:
        SamplingError: There are none, or no more can be had; what was written stays.
    """
    kept = 0

    def counted() -> Iterator[Record]:
        nonlocal kept
        for record in records:
            yield record
            kept += 1  # the writer has come back for another: this one is written

    try:
        write_trace(counted(), path)
    except CheckEnded as end:
        raise SamplingError(f"{' '.join(str(end).split())}; {outcome(kept, path)}") from end
    except KeyboardInterrupt:
        print(f"sampling record: interrupted; {outcome(kept, path)}", file=sys.stderr, end="")
        raise
    if not kept:
        raise SamplingError("there was no completion that could be recorded")
    return kept


def outcome(kept: int, path: Path) -> str:
    """Return what became of the file."""
    return f"{kept} completions in {path}" if kept else f"{path} is as it was"
