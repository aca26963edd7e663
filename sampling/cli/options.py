"""The flags of the command line; what they mean is checked where the request is."""

from __future__ import annotations

import argparse
import json
from typing import Any, NoReturn

from sampling.dialects import DIALECTS
from sampling.errors import InvalidRequest


class OneLineParser(argparse.ArgumentParser):
    """An argument parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        """Print the message and exit with 2."""
        self.exit(2, f"{self.prog}: {message}\n")


def value_of(text: str) -> object:
    """Read a number where there is one; what is none goes to the request's own checks as it is."""
    plain = text.isascii() and "_" not in text
    for read in (int, float) if plain else ():
        try:
            return read(text)
        except ValueError:
            continue
    return text


def json_value(text: str) -> object:
    """Read a JSON value; what is none goes to the request's own checks as it is."""
    try:
        return json.loads(text, object_pairs_hook=without_repeats)
    except (ValueError, RecursionError):
        return text


def without_repeats(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Make an object of its pairs, none of which may be lost."""
    names = [name for name, _ in pairs]
    repeated = next((name for name in names if names.count(name) > 1), None)
    if repeated is not None:
        # not a ValueError, which json_value would take for text that is no JSON
        raise argparse.ArgumentTypeError(
            f"got {repeated!r} twice, must be an object that names each key once"
        )
    return dict(pairs)


NUMBERS = (
    ("temperature", "divides the logits, 0 to 2; 0 takes the most likely token"),
    ("top-p", "sample from the likeliest tokens that hold this share of the mass, 0 to 1"),
    ("frequency-penalty", "subtracted for every time a token was sampled, -2 to 2"),
    ("presence-penalty", "subtracted once from tokens that were sampled, -2 to 2"),
    ("repetition-penalty", "makes tokens that occurred less likely, above 0; 1 is off"),
    ("top-k", "sample from the k likeliest tokens; 0 is off"),
    ("min-p", "sample tokens at least this fraction as likely as the likeliest, 0 to 1"),
    ("seed", "same seed, same request: same tokens"),
    ("max-tokens", "most tokens to generate"),
    ("n", "how many choices"),
    ("top-logprobs", "how many alternatives at each position, 0 to 20; needs --logprobs"),
)


def add_request_flags(parser: argparse.ArgumentParser) -> None:
    """Add the text, the model and the fields of a request."""
    parser.add_argument("text", help="the user's message")
    parser.add_argument("--system", metavar="TEXT", help="a system message before it")
    parser.add_argument("--model", metavar="DIR", help="a Llama-3 directory; the built-in toy when left out")
    parser.add_argument(
        "--device", default="cpu", help="where to run, such as cpu or cuda (default: %(default)s)"
    )
    parser.add_argument(
        "--dtype", metavar="TYPE", help="float32 or bfloat16; the checkpoint's own when left out"
    )
    parser.add_argument(
        "--dialect", default="qstash", help=f"whose semantics: {', '.join(DIALECTS)} (default: %(default)s)"
    )
    fields = parser.add_argument_group("fields of the request")
    for name, words in NUMBERS:
        fields.add_argument(f"--{name}", type=value_of, metavar="N", help=words)
    fields.add_argument(
        "--logit-bias", type=json_value, metavar="JSON", help="biases on token ids, such as '{\"42\": -100}'"
    )
    fields.add_argument(
        "--stop", action="append", metavar="TEXT", help="end before this text; up to four times"
    )
    fields.add_argument("--logprobs", action="store_true", default=None, help="return log probabilities")
    fields.add_argument("--response-format", type=json_value, metavar="JSON", help='{"type": "text"}')


def request_of(options: argparse.Namespace) -> dict[str, Any]:
    """The request that the flags spell out, fields that were not given left out."""
    messages = [{"role": "user", "content": options.text}]
    if options.system is not None:
        messages.insert(0, {"role": "system", "content": options.system})
    names = [name.replace("-", "_") for name, _ in NUMBERS] + [
        "logit_bias",
        "stop",
        "logprobs",
        "response_format",
    ]
    given = {name: getattr(options, name) for name in names if getattr(options, name) is not None}
    return {"messages": messages, **given}


def refuse_stream(asked: bool) -> None:
    """Say that `--stream` is not there yet."""
    if asked:
        raise InvalidRequest("stream", True, "left out: streamed chunks are not there yet")
