"""The `sampling` command."""

from __future__ import annotations

import argparse
import importlib
import io
import os
import sys
import traceback
from collections.abc import Sequence

from sampling.cli.options import OneLineParser, add_request_flags, add_server_flags
from sampling.cli.processes import one_speaker
from sampling.cli.verify_flags import add_probe_flags, add_record_flags, add_replay_flags, add_verify_flags
from sampling.core.errors import SamplingError, one_line
from sampling.core.interruption import INTERRUPTED, at_once, raise_again
from sampling.version import __version__

FAILED = 2  # 1 is a result of `verify`
EXTRAS = {
    "gguf": "gguf",
    "rich": "cli",
    "starlette": "serve",
    "uvicorn": "serve",
    "prometheus_client": "serve",
    "anyio": "serve",
    "httpx2": "verify",
    "matplotlib": "verify",
    "pydantic": "verify",
    "scipy": "verify",
    "tenacity": "verify",
}


def parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line."""
    top = OneLineParser(prog="sampling", description="The reference sampler for language models.")
    top.add_argument("--version", action="version", version=f"sampling {__version__}")
    commands = top.add_subparsers(
        dest="command",
        metavar="{chat,explain,serve,verify,probe,record,replay}",
        required=True,
        parser_class=OneLineParser,
    )
    chat = commands.add_parser("chat", help="answer a message")
    add_request_flags(chat, one_choice=False)
    shape = chat.add_mutually_exclusive_group()
    shape.add_argument("--json", action="store_true", help="print the response object and nothing else")
    shape.add_argument(
        "--stream", action="store_true", help="print the chunks of the response as the API sends them"
    )
    shape.add_argument("--probabilities", action="store_true", help="show the probability of each token, too")
    explain = commands.add_parser("explain", help="show what each parameter did to each token")
    add_request_flags(explain, one_choice=True)
    serve = commands.add_parser("serve", help="answer over HTTP")
    add_server_flags(serve)
    add_verify_flags(commands.add_parser("verify", help="find out which sampling semantics an engine has"))
    add_probe_flags(
        commands.add_parser("probe", help="write a checkpoint whose logits are known, for verify")
    )
    add_record_flags(commands.add_parser("record", help="write completions down as a trace"))
    add_replay_flags(
        commands.add_parser("replay", help="say what an engine must have sampled, token by token")
    )
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; errors are one line on standard error and exit code 2, an interruption is 130."""
    raise_again()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal without UTF-8 shows ? for what it cannot show
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    options = parser().parse_args(arguments)
    try:
        with one_speaker():
            code = run(options)
            print(end="", flush=True)  # where standard output is closed, it is None
    except SamplingError as error:
        print(f"sampling {options.command}: {error}", file=sys.stderr)
        return FAILED
    except ModuleNotFoundError as error:
        extra = EXTRAS.get((error.name or "").partition(".")[0])
        if extra is None:
            raise
        words = f"needs the extra {extra!r}: pip install 'sampling-reference[{extra}]'"
        print(f"sampling {options.command}: {words}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        print(file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # the reader of a pipe went away; nothing is left to say
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except OSError as error:
        print(f"sampling {options.command}: {one_line(str(error))}", file=sys.stderr)
        return FAILED
    except Exception:  # a fault of this library's: to be reported, and no result of `verify`
        traceback.print_exc()
        return FAILED
    return code


def run(options: argparse.Namespace) -> int:
    """Run the command that was asked for; the exit code is 0 but for `verify`, which has a result to tell."""
    with at_once():
        module = importlib.import_module(f"sampling.cli.{options.command}")
    return getattr(module, f"run_{options.command}")(options) or 0
