"""The flags of `sampling verify` and `sampling record`."""

from __future__ import annotations

import argparse

from sampling.cli.options import add_numbers, value_of
from sampling.conformance.endpoint.retries import PARALLEL, RetryPolicy
from sampling.dialects import DIALECTS


def add_endpoint_flags(parser: argparse.ArgumentParser) -> None:
    """Add what an endpoint is asked with."""
    asked = parser.add_argument_group("an endpoint")
    asked.add_argument(
        "--model", metavar="NAME", help="the model to ask for; the first that is listed when left out"
    )
    asked.add_argument("--api-key", metavar="KEY", help="bearer token; or set SAMPLING_API_KEY")
    add_numbers(
        asked,
        ("max-requests", "N", "send no more requests than this"),
        ("timeout", "S", f"seconds for an answer (default: {RetryPolicy.seconds:g})"),
        ("tries", "N", f"how often to send a request (default: {RetryPolicy.tries})"),
    )


def add_verify_flags(parser: argparse.ArgumentParser) -> None:
    """Add the target, the dialect, and where the report goes."""
    parser.add_argument("url", nargs="?", metavar="URL", help="an OpenAI-compatible endpoint")
    parser.add_argument("--callable", metavar="MODULE:FUNCTION", help="a sampler in Python instead")
    parser.add_argument("--trace", metavar="FILE", help="a recorded trace instead")
    parser.add_argument(
        "--dialect", default="qstash", help=f"what it should be: {', '.join(DIALECTS)} (default: %(default)s)"
    )
    parser.add_argument(
        "--reference", metavar="DIR", help="the weights that it should serve; 'toy' for the built-in ones"
    )
    parser.add_argument("--checks", nargs="+", metavar="ID", help="ids of checks; all when left out")
    add_numbers(parser, ("seed", "N", "of the kit's own choices, which no trace has (default: 0)"))
    add_endpoint_flags(parser)
    fewer = "requests that may be under way at a time, fewer where the endpoint asks for that"
    late = "send no request later than this after the first; the report has what was found until then"
    add_numbers(parser, ("parallel", "N", f"{fewer} (default: {PARALLEL})"), ("max-seconds", "S", late))
    parser.add_argument(
        "--transcript",
        metavar="FILE",
        help="keep all answers in this file; a run that was interrupted goes on from it",
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="tell how many requests and tokens it will take, and no more"
    )
    out = parser.add_argument_group("the report")
    out.add_argument(
        "--json",
        nargs="?",
        const="-",
        metavar="FILE",
        help="as JSON; on standard output without a file, and then behind the URL",
    )
    out.add_argument("--junit", metavar="FILE", help="as JUnit XML")
    out.add_argument("--html", metavar="FILE", help="as one HTML page")
    out.add_argument("--methods", action="store_true", help="print a paragraph of methods, too")


def add_replay_flags(parser: argparse.ArgumentParser) -> None:
    """Add the trace, where its logits are from, and the rule."""
    parser.add_argument("trace", metavar="TRACE", help="a recorded trace, JSON Lines")
    source = parser.add_argument_group("its logits")
    source.add_argument("--logits", metavar="FILE", help="safetensors, in which each record names its own")
    source.add_argument(
        "--model", metavar="DIR", help="a model that computes them; the built-in toy when left out"
    )
    source.add_argument("--device", default="cpu", help="where it runs (default: %(default)s)")
    source.add_argument(
        "--dtype", metavar="TYPE", help="float32 or bfloat16; the checkpoint's own when left out"
    )
    source.add_argument(
        "--logit-error",
        type=value_of,
        metavar="X",
        help="how far the engine's logits may be from these (default: 0 of a file, 0.0001 of a model)",
    )
    parser.add_argument("--rule", default="auto", help="the rule of the draw (default: the one that fits)")
    parser.add_argument("--dialect", help="how the parameters are read; the rule's own when left out")
    parser.add_argument(
        "--json", nargs="?", const="-", metavar="FILE", help="as JSON; on standard output without a file"
    )


def add_record_flags(parser: argparse.ArgumentParser) -> None:
    """Add what is recorded, and where it goes."""
    parser.add_argument(
        "url", nargs="?", metavar="URL", help="an endpoint; the library's own loop when left out"
    )
    parser.add_argument("--out", required=True, metavar="FILE", help="where the trace goes, JSON Lines")
    parser.add_argument(
        "--requests", type=value_of, default=1000, metavar="N", help="completions to record (default: 1000)"
    )
    parser.add_argument(
        "--reference", metavar="DIR", help="weights of the own loop; the built-in toy when left out"
    )
    parser.add_argument("--dialect", help="how the own loop samples (default: qstash)")
    parser.add_argument(
        "--seed", type=value_of, default=0, metavar="N", help="of the requests' seeds (default: 0)"
    )
    parser.add_argument(
        "--difr", metavar="FILE", help="the same of the own loop in the format of Token-DiFR, too"
    )
    add_endpoint_flags(parser)
