"""The flags of the command line; what they mean is checked where the request is."""

from __future__ import annotations

import argparse
from typing import Any, NoReturn

from sampling.core.errors import one_line
from sampling.core.reading import read_json
from sampling.dialects import DIALECTS


class OneLineParser(argparse.ArgumentParser):
    """An argument parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        """Print the message and exit with 2."""
        self.exit(2, f"{self.prog}: {one_line(message)}\n")


def value_of(text: str) -> object:
    """Read a number where there is one; what is none goes to the request's own checks as it is."""
    plain = text.isascii() and "_" not in text
    for read in (int, float) if plain else ():
        try:
            return read(text)
        except ValueError:
            continue
    return text


def flag(parser: Any, name: str, value: str, words: str, **how: Any) -> None:
    """Add a flag to a parser or a group: its name, what stands for its value, and what it says."""
    parser.add_argument(f"--{name}", metavar=value, help=words, **how)


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
    ("min-tokens", "fewest tokens to generate (vllm, sglang)"),
    ("top-logprobs", "how many alternatives at each position, 0 to 20; needs --logprobs"),
)


JSON_FIELDS = ("logit_bias", "response_format", "stream_options", "stop_token_ids", "chat_template_kwargs")


def add_model_flags(parser: argparse.ArgumentParser) -> None:
    """Add the model, where and how it runs, and the dialect."""
    flag(parser, "model", "DIR", "a Llama-3 directory; the built-in toy when left out")
    parser.add_argument(
        "--device", default="cpu", help="where to run, such as cpu or cuda (default: %(default)s)"
    )
    flag(parser, "dtype", "TYPE", "float32 or bfloat16; the checkpoint's own when left out")
    parser.add_argument(
        "--compile", action="store_true", help="decode by compiled steps: faster, after a while of compiling"
    )
    parser.add_argument(
        "--dialect",
        default="qstash",
        help=f"whose semantics: {', '.join(DIALECTS)} (default: %(default)s); "
        "those of vLLM, transformers and SGLang apply the checkpoint's generation_config.json",
    )


SERVER_NUMBERS = (
    ("port", 8000, "port to listen on; 0 takes any free one (default: 8000)"),
    ("max-batch", None, "choices that decode at a time (default: 16)"),
    ("max-queue", None, "requests that may wait; past it the answer is 429 (default: 64)"),
    ("max-context", None, "most tokens of prompt and answer; the model's own context when left out"),
    ("max-body", None, "most bytes of a request's body (default: 1048576)"),
    ("max-unread", None, "most bytes kept for a client that reads slowly (default: 1048576)"),
    ("max-connections", None, "connections that may be open; past it the answer is 503 (default: 512)"),
)
SERVER_SECONDS = (
    ("keep-alive", "that a connection stays open without a request (default: 75)"),
    ("head-timeout", "that a request's line and headers may take (default: 20)"),
    ("body-timeout", "that a request's body may take (default: 60)"),
    ("write-timeout", "in which a client has to take what it is sent, or 64 KiB of it (default: 10)"),
)


def add_server_flags(parser: argparse.ArgumentParser) -> None:
    """Add the model and how it is served."""
    add_model_flags(parser)
    words = "names to answer to; the directory's when left out"
    flag(parser, "served-model-name", "NAME", words, nargs="+")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    flag(parser, "api-key", "KEY", "bearer token that requests need; or set SAMPLING_API_KEY")
    words = (
        "let web pages of this origin use the server, such as http://localhost:3000; * for all; repeatable"
    )
    flag(parser, "cors", "ORIGIN", words, action="append")
    for name, default, words in SERVER_NUMBERS:
        flag(parser, name, "N", words, type=value_of, default=default)
    for name, words in SERVER_SECONDS:
        flag(parser, name, "SECONDS", f"seconds {words}", type=value_of)


def add_request_flags(parser: argparse.ArgumentParser, *, one_choice: bool) -> None:
    """Add the text, the model and the fields of a request; those of choices and of streams only where there are several."""
    parser.add_argument("text", help="the user's message")
    flag(parser, "system", "TEXT", "a system message before it")
    flag(parser, "prefill", "TEXT", "the beginning of the answer, which the model continues")
    add_model_flags(parser)
    fields = parser.add_argument_group("fields of the request")
    for name, words in NUMBERS:
        flag(fields, name, "N", words, type=value_of)
    flag(fields, "logit-bias", "JSON", "biases on token ids, such as '{\"42\": -100}'")
    flag(fields, "stop", "TEXT", "end before this text; up to four times", action="append")
    flag(fields, "stop-token-ids", "JSON", "end at these, such as '[2]' (vllm, sglang)")
    fields.add_argument(
        "--ignore-eos", action="store_true", default=None, help="go on after end tokens (vllm, sglang)"
    )
    fields.add_argument("--logprobs", action="store_true", default=None, help="return log probabilities")
    flag(fields, "response-format", "JSON", 'such as \'{"type": "json_object"}\'')
    if not one_choice:
        flag(fields, "n", "N", "how many choices", type=value_of)
        flag(fields, "stream-options", "JSON", "such as '{\"include_usage\": true}', with --stream")
    words = 'what else the chat template may read, such as \'{"date_string": "01 Jan 2026"}\''
    flag(fields, "chat-template-kwargs", "JSON", words)


def request_of(options: argparse.Namespace) -> dict[str, Any]:
    """Return the request that the flags spell out, fields that were not given left out."""
    messages = [{"role": "user", "content": options.text}]
    if options.system is not None:
        messages.insert(0, {"role": "system", "content": options.system})
    turn: dict[str, Any] = {}
    if options.prefill is not None:
        messages.append({"role": "assistant", "content": options.prefill})
        turn = {"continue_final_message": True}
    numbers = [name.replace("-", "_") for name, _ in NUMBERS]
    names = [*numbers, "n", "stop", "ignore_eos", "logprobs", *JSON_FIELDS]
    given = {name: value for name in names if (value := getattr(options, name, None)) is not None}
    read = {name: read_json(given[name], name) for name in JSON_FIELDS if name in given}
    return {"messages": messages, **turn, **given, **read, "stream": getattr(options, "stream", False)}
