"""`sampling record`: write completions down as a trace."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from sampling.cli.flags import MOST, check_file, given, refuse, save
from sampling.cli.targets import ENDPOINT_FLAGS, FOR_ENDPOINTS, endpoint_of, reference_of
from sampling.conformance.endings import CheckEnded
from sampling.conformance.trace.record import difr, read_trace, write_trace
from sampling.conformance.trace.recorder import from_endpoint, from_loop
from sampling.dialects import dialect
from sampling.errors import SamplingError
from sampling.params import integer


def run_record(options: argparse.Namespace) -> None:
    """Record an endpoint or the library's own loop."""
    count, seed = integer("requests", options.requests, 1, MOST), integer("seed", options.seed, 0, MOST)
    check_file("out", options.out)
    check_file("difr", options.difr)
    if options.url is None:
        refuse(options, FOR_ENDPOINTS, *ENDPOINT_FLAGS)
        chosen = dialect(given(options.dialect, "qstash"))
        records = from_loop(reference_of(given(options.reference, "toy")), chosen, count, seed)
    else:
        refuse(options, "left out: it is for the own loop, without a URL", "reference", "dialect", "difr")
        records = from_endpoint(endpoint_of(options), count, seed)
    try:
        written = write_trace(records, Path(options.out))
    except CheckEnded as end:
        raise SamplingError(" ".join(f"{end}".split())) from end
    if not written:
        raise SamplingError("no completion was a token that biases fence, so that nothing was recorded")
    print(f"{written} completions in {options.out}", file=sys.stderr)
    if options.difr is not None:
        save(options.difr, json.dumps(difr(read_trace(Path(options.out)))) + "\n")
