"""The price list of the API: tokens per second with each parameter switched on, as a share of greedy decoding.

    PYTHONPATH=tests python -m benchmarks.api [--shape 240M] [--dtype bfloat16] [--device cuda] [--compile]
    python -m benchmarks.api --url http://127.0.0.1:8000/v1 [--model NAME]     # any endpoint; its key in OPENAI_API_KEY
    python -m benchmarks.api --short                                           # the toy, in a minute

Without --url it measures this library twice in turns: `LanguageModel.chat` in this process, and `sampling serve` in
another through the OpenAI client (but for --in-process, which needs neither client nor server). Answers of our model go
on to --tokens tokens (endless.py); another endpoint is asked for a long list, and its `usage` says how many tokens came.
One request at a time. What an endpoint refuses, or takes and does not do, is listed as that. Writes
benchmarks/results/api-<shape>-<device>[-compiled].json, or api-endpoint.json.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from benchmarks.api import endless
from benchmarks.api import table as api_table
from benchmarks.api.measure import FORMULAS, Priced, measure
from benchmarks.api.requests import MESSAGES, requests
from benchmarks.api.ways import Way, in_process, over_http
from benchmarks.harness import shapes
from benchmarks.harness.paths import RESULTS
from benchmarks.harness.table import show_tables
from benchmarks.harness.timing import origin, settle_allocator
from benchmarks.soak.serving import served
from sampling import load

PACKAGES = ("numpy", "transformers", "openai", "llguidance")
KEY = "OPENAI_API_KEY"  # where the client itself looks for it
SHORT: dict[str, Any] = {"shape": shapes.TOY, "tokens": 17, "turns": 3}


@contextmanager
def own(options: argparse.Namespace) -> Generator[tuple[list[Way], dict[str, Any], int]]:
    """This library both ways, what the model is, and its V."""
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        model = endless.write(options.shape, options.dtype, Path(folder))
        loaded = load(folder, device=options.device, compile=options.compile)
        ways = [in_process(loaded)]
        if not options.in_process:
            flags = ["--model", folder, "--device", options.device, *["--compile"] * options.compile]
            server = stack.enter_context(served(*flags))
            ways.append(over_http(f"http://127.0.0.1:{server.port}/v1", None, "none"))
        name = f"{options.shape}{', compiled' * options.compile}"
        yield ways, {"name": name, **model, "compiled": options.compile}, len(loaded.vocabulary)


@contextmanager
def endpoint(options: argparse.Namespace) -> Generator[tuple[list[Way], dict[str, Any], int]]:
    """A server that runs already."""
    way = over_http(options.url, options.model, options.api_key or "none")
    yield [way], {"name": options.model or "its first model", "url": options.url}, options.vocab


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Measure, and say how."""
    with (endpoint if options.url else own)(options) as (ways, model, vocabulary):
        known = requests(vocabulary)
        lines = [Priced(way, name, known[name]) for name in options.parameters for way in ways]
        with tqdm(
            total=len(lines) * (options.turns + 1), bar_format="{l_bar}{bar}| {elapsed}<{remaining}"
        ) as bar:
            measured = measure(lines, options.tokens, options.turns, bar)
    return {
        **source_of(options),
        "device": "unknown" if options.url else options.device,
        "model": model,
        "messages": MESSAGES,
        "timing": {
            "max_tokens": options.tokens,
            "turns": options.turns,
            "how": "all parameters and ways in turns, one request at a time, each asked once before timing",
            "formulas": FORMULAS,
        },
        "lines": sorted(measured, key=lambda line: [way.name for way in ways].index(line["way"])),
    }


def source_of(options: argparse.Namespace) -> dict[str, Any]:
    """Where the result comes from."""
    return origin("api", *PACKAGES, device=options.device, tests=not options.url)


def arguments() -> argparse.Namespace:
    """The options; what is given on the command line wins over what --short chooses."""
    parser = argparse.ArgumentParser(f"python -m {__package__}", description=__doc__.splitlines()[0])
    parser.add_argument("--short", action="store_true", help="the toy, in a minute")
    parser.add_argument("--shape", choices=shapes.SHAPES, default=shapes.TOY, help="of our own model")
    parser.add_argument("--dtype", choices=shapes.DTYPES, default="float32")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--compile", action="store_true", help="our own model decodes by compiled steps")
    parser.add_argument("--in-process", action="store_true", help="our own model without a server")
    parser.add_argument("--url", help="another endpoint's, such as http://127.0.0.1:8000/v1")
    parser.add_argument("--model", help="its name there; the first that is listed when left out")
    parser.add_argument("--api-key", default=os.environ.get(KEY, ""), help=f"better in {KEY}")
    parser.add_argument(
        "--vocab", type=int, default=32000, help="ids of the endpoint that get a bias are below"
    )
    every = list(requests(vocabulary=1))
    parser.add_argument("--parameters", nargs="+", choices=every, default=every, help="only these")
    parser.add_argument("--tokens", type=int, default=65, help="of each answer")
    parser.add_argument("--turns", type=int, default=9, help="timed calls of each kind, 2 or more")
    parser.add_argument("--out", type=Path)
    if parser.parse_args().short:
        parser.set_defaults(**SHORT)
    options = parser.parse_args()
    if options.api_key:  # results tell the command line, but not the key
        sys.argv = [part.replace(options.api_key, "KEY") for part in sys.argv]
    if options.url and (options.compile or options.in_process):
        parser.error("--compile, --in-process: got --url, must be without it: they are for our own model")
    options.out = options.out or RESULTS / f"api-{kind_of(options)}.json"
    return options


def kind_of(options: argparse.Namespace) -> str:
    """What a result's file is called after."""
    own_kind = f"{options.shape}-{options.device}{'-compiled' * options.compile}"
    return f"{'endpoint' if options.url else own_kind}{'-short' * options.short}"


def main() -> None:
    """Measure, write the result, print it as a table."""
    options = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # in order, so that our server ends, too
    settle_allocator()
    with torch.no_grad():
        result = run(options)
    options.out.write_text(json.dumps(result, indent=1) + "\n")
    show_tables(api_table.tables(result), api_table.notes(result))


if __name__ == "__main__":
    main()
