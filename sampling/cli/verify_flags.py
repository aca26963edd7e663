"""The flags of `sampling verify` and `sampling record`."""

from __future__ import annotations

import argparse

from sampling.cli.options import flag, value_of
from sampling.conformance.endpoint.retries import PARALLEL, RetryPolicy
from sampling.dialects import DIALECTS


def add_endpoint_flags(parser: argparse.ArgumentParser) -> None:
    """Add what an endpoint is asked with."""
    asked = parser.add_argument_group("an endpoint")
    flag(asked, "model", "NAME", "the model to ask for; the first that is listed when left out")
    flag(asked, "api-key", "KEY", "bearer token; or set SAMPLING_API_KEY")
    flag(asked, "max-requests", "N", "send no more requests than this", type=value_of)
    words = f"seconds for an answer (default: {RetryPolicy.seconds:g})"
    flag(asked, "timeout", "S", words, type=value_of)
    words = f"how often to send a request (default: {RetryPolicy.tries})"
    flag(asked, "tries", "N", words, type=value_of)


def add_verify_flags(parser: argparse.ArgumentParser) -> None:
    """Add the target, the dialect, and where the report goes."""
    parser.add_argument("url", nargs="?", metavar="URL", help="an OpenAI-compatible endpoint")
    flag(parser, "callable", "MODULE:FUNCTION", "a sampler in Python instead")
    flag(parser, "trace", "FILE", "a recorded trace instead")
    words = "a probe checkpoint that the engine has loaded: nothing but text is asked of it"
    flag(parser, "probe", "DIR", words)
    flag(parser, "prompts", "KIND", "what a callable takes with --probe: ids (default) or text")
    parser.add_argument(
        "--dialect", default="qstash", help=f"what it should be: {', '.join(DIALECTS)} (default: %(default)s)"
    )
    flag(parser, "reference", "DIR", "the weights that it should serve; 'toy' for the built-in ones")
    flag(parser, "rule", "NAME", "the rule that it draws by, so that randomness is proved and not estimated")
    flag(parser, "logits", "FILE", "of a trace: safetensors, in which each record names its logits")
    flag(parser, "checks", "ID", "ids of checks; all when left out", nargs="+")
    words = "of the kit's own choices, which no trace has (default: 0)"
    flag(parser, "seed", "N", words, type=value_of)
    add_endpoint_flags(parser)
    words = "requests that may be under way at a time, fewer where the endpoint asks for that"
    flag(parser, "parallel", "N", f"{words} (default: {PARALLEL})", type=value_of)
    words = "send no request later than this after the first; the report has what was found until then"
    flag(parser, "max-seconds", "S", words, type=value_of)
    words = "keep all answers in this file; a run that was interrupted goes on from it"
    flag(parser, "transcript", "FILE", words)
    words = "tell how many requests and tokens it will take, and no more"
    parser.add_argument("--dry-run", action="store_true", help=words)
    out = parser.add_argument_group("the report")
    words = "as JSON; on standard output without a file, and then behind the URL"
    flag(out, "json", "FILE", words, nargs="?", const="-")
    flag(out, "junit", "FILE", "as JUnit XML")
    flag(out, "html", "FILE", "as one HTML page")
    out.add_argument("--methods", action="store_true", help="print a paragraph of methods, too")


def add_probe_flags(parser: argparse.ArgumentParser) -> None:
    """Add where a probe checkpoint goes, and what it is like."""
    parser.add_argument("folder", metavar="DIR", help="a new or an empty folder")
    flag(parser, "vocab", "V", "its width (default: 4096, or the tokenizer's)", type=value_of)
    flag(parser, "tokenizer", "DIR", "a tokenizer to use; one token a character when left out")
    parser.add_argument("--gguf", action="store_true", help="write checkpoint.gguf there as well")
    flag(parser, "dtype", "TYPE", "float32, bfloat16 or float16 (default: %(default)s)", default="float32")


def add_replay_flags(parser: argparse.ArgumentParser) -> None:
    """Add the trace, where its logits are from, and the rule."""
    parser.add_argument("trace", metavar="TRACE", help="a recorded trace, JSON Lines")
    source = parser.add_argument_group("its logits")
    source.add_argument("--logits", metavar="FILE", help="safetensors, in which each record names its own")
    source.add_argument(
        "--model", metavar="DIR", help="a model that computes them; the built-in toy when left out"
    )
    source.add_argument("--device", help="where it runs (default: cpu)")
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
    flag(parser, "html", "FILE", "as one HTML page, with a table of the tokens")


def add_record_flags(parser: argparse.ArgumentParser) -> None:
    """Add what is recorded, and where it goes."""
    words = "an endpoint; the library's own loop when left out"
    parser.add_argument("url", nargs="?", metavar="URL", help=words)
    flag(parser, "out", "FILE", "where the trace goes, JSON Lines", required=True)
    flag(parser, "answers", "FILE", "requests and responses of vLLM or SGLang, JSON Lines, instead")
    flag(parser, "requests", "N", "completions to record (default: 1000)", type=value_of)
    words = "whole answers of so many tokens at most, of a server that tells token ids, or by --rule"
    flag(parser, "max-tokens", "N", words, type=value_of)
    flag(parser, "rule", "NAME", "how the own loop draws whole answers")
    flag(parser, "logits", "FILE", "where the logits of those go, safetensors")
    flag(parser, "reference", "DIR", "weights of the own loop; the built-in toy when left out")
    parser.add_argument("--dialect", help="how the own loop samples (default: qstash, or the rule's)")
    flag(parser, "seed", "N", "of the requests' seeds (default: 0)", type=value_of)
    flag(parser, "difr", "FILE", "the same in the format of Token-DiFR, too, where prompts' ids are known")
    add_endpoint_flags(parser)
