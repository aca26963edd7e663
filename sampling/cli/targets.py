"""The targets that flags name: endpoints, callables, traces, and reference weights."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sampling.cli.flags import KEY_VARIABLE, MOST, given, refuse
from sampling.conformance.endpoint.client import Budget
from sampling.conformance.endpoint.retries import LONGEST, MOST_PARALLEL, PARALLEL, RetryPolicy
from sampling.conformance.endpoint.target import EndpointTarget
from sampling.conformance.endpoint.transcript import Transcript
from sampling.conformance.target import CallableTarget
from sampling.conformance.trace.target import TraceTarget
from sampling.conformance.verify import Target
from sampling.core.errors import InvalidArgument, printable
from sampling.core.params import integer, number

ENDPOINT_FLAGS = ("model", "api_key", "max_requests", "timeout", "tries")
VERIFY_FLAGS = ("parallel", "max_seconds", "transcript")
FOR_ENDPOINTS = "left out: it is for the URL of an endpoint"


def target_of(options: argparse.Namespace) -> Target:
    """Return the one target that the flags name."""
    named = [name for name in ("url", "callable", "trace") if getattr(options, name) is not None]
    if len(named) != 1:
        raise InvalidArgument("target", ", ".join(named) or None, "one of URL, --callable and --trace")
    if options.url is None:
        refuse(options, FOR_ENDPOINTS, *ENDPOINT_FLAGS, *VERIFY_FLAGS)
    if options.callable is not None:
        refuse(options, "left out: a callable is given its logits", "reference")
    if options.trace is not None:
        refuse(options, "left out: of a trace nothing is chosen by chance", "seed")
    if options.callable is not None:
        return CallableTarget(function_of(options.callable), name=options.callable)
    if options.trace is not None:
        return TraceTarget(Path(options.trace))
    run = {"url": options.url, "model": options.model, "seed": seed_of(options), "dialect": options.dialect}
    transcript = Transcript(None if options.transcript is None else Path(options.transcript), run)
    return endpoint_of(options, transcript)


def seed_of(options: argparse.Namespace) -> int:
    """Return the seed of the kit's own choices."""
    return integer("seed", given(options.seed, 0), 0, MOST)


def endpoint_of(options: argparse.Namespace, transcript: Transcript | None = None) -> EndpointTarget:
    """Return the endpoint that the flags name."""

    def waiting(words: str) -> None:
        print(f"sampling {options.command}: {printable(words)}", file=sys.stderr, flush=True)

    most, seconds = options.max_requests, getattr(options, "max_seconds", None)
    parallel = given(getattr(options, "parallel", None), PARALLEL)
    return EndpointTarget(
        options.url,
        model=options.model,
        key=(os.environ.get(KEY_VARIABLE) or None) if options.api_key is None else options.api_key,
        budget=Budget(
            None if most is None else integer("max_requests", most, 1, MOST),
            seconds=None if seconds is None else number("max_seconds", seconds, 1e-3, LONGEST),
        ),
        patience=RetryPolicy(
            seconds=number("timeout", given(options.timeout, RetryPolicy.seconds), 1e-3, LONGEST),
            tries=integer("tries", given(options.tries, RetryPolicy.tries), 1, 100),
        ),
        transcript=transcript,
        waiting=waiting,
        parallel=integer("parallel", parallel, 1, MOST_PARALLEL),
    )


def function_of(name: str) -> Callable[..., Any]:
    """Return a function by module and name; the folder where the command runs is looked into, too.

    Raises:
        InvalidArgument: There is none.
    """
    module, _, path = name.partition(":")
    if not (module and path):
        raise InvalidArgument("callable", name, "MODULE:FUNCTION")
    sys.path.insert(0, str(Path.cwd()))
    try:
        found: Any = importlib.import_module(module)
        for part in path.split("."):
            found = getattr(found, part)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # whatever a stranger's module raises
        words = " ".join(f"{type(error).__name__}: {error}".split())
        raise InvalidArgument("callable", name, f"MODULE:FUNCTION ({words})") from error
    if not callable(found):
        raise InvalidArgument("callable", name, "MODULE:FUNCTION, something that can be called")
    return found


def reference_of(folder: str) -> Any:
    """Return the reference weights."""
    from sampling.chat.language_model import load

    return load(None if folder == "toy" else folder)
