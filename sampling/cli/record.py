"""`sampling record`: write completions down as a trace."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from sampling.cli.flags import MOST, check_files, given, refuse, regular, save
from sampling.cli.targets import ENDPOINT_FLAGS, FOR_ENDPOINTS, endpoint_of, reference_of
from sampling.conformance.endings import CheckEnded
from sampling.conformance.trace.record import Record, difr, read_trace, write_trace
from sampling.conformance.trace.recorder import from_endpoint, from_loop
from sampling.core.errors import InvalidArgument, SamplingError
from sampling.core.params import integer
from sampling.dialects import dialect


def run_record(options: argparse.Namespace) -> None:
    """Record an endpoint or the library's own loop."""
    count, seed = integer("requests", options.requests, 1, MOST), integer("seed", options.seed, 0, MOST)
    check_files(options, ("out", "difr"))
    if options.difr is not None and not regular(options.out):
        raise InvalidArgument("out", options.out, "a file that can be read again, for difr")
    if options.url is None:
        refuse(options, FOR_ENDPOINTS, *ENDPOINT_FLAGS)
        chosen = dialect(given(options.dialect, "qstash"))
        records = from_loop(reference_of(given(options.reference, "toy")), chosen, count, seed)
    else:
        refuse(options, "left out: it is for the own loop, without a URL", "reference", "dialect", "difr")
        records = from_endpoint(endpoint_of(options), count, seed)
    kept = written(records, Path(options.out))
    print(outcome(kept, Path(options.out)), file=sys.stderr)
    if options.difr is not None:
        save("difr", options.difr, json.dumps(difr(read_trace(Path(options.out)))) + "\n")


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
        raise SamplingError("no completion was a token that biases fence, so that nothing was recorded")
    return kept


def outcome(kept: int, path: Path) -> str:
    """Return what became of the file."""
    return f"{kept} completions in {path}" if kept else f"{path} is as it was"
