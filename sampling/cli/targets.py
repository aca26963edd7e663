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
from sampling.conformance.probe.endpoint import EndpointEngine, client_of
from sampling.conformance.probe.engine import FunctionEngine
from sampling.conformance.probe.target import ProbeTarget
from sampling.conformance.target import CallableTarget
from sampling.conformance.trace.target import TraceTarget
from sampling.conformance.verify import Target
from sampling.core.errors import InvalidArgument, printable
from sampling.core.params import integer, number
from sampling.probe import Probe

ENDPOINT_FLAGS = ("model", "api_key", "max_requests", "timeout", "tries")
VERIFY_FLAGS = ("parallel", "max_seconds", "transcript")
FOR_ENDPOINTS = "left out: it is for the URL of an endpoint"


def target_of(options: argparse.Namespace) -> Target:
    """Return the one target that the flags name."""
    named = [name for name in ("url", "callable", "trace") if getattr(options, name) is not None]
    if len(named) != 1:
        raise InvalidArgument("target", ", ".join(named) or None, "one of URL, --callable and --trace")
    (kind,) = named
    if kind != "url":
        refuse(options, FOR_ENDPOINTS, *ENDPOINT_FLAGS, *VERIFY_FLAGS)
    if kind != "trace":
        refuse(options, "left out: it is for a trace", "logits")
    if kind == "callable":
        refuse(options, "left out: a callable is given its logits", "reference")
    if kind == "trace":
        refuse(options, "left out: of a trace nothing is chosen by chance", "seed")
        refuse(options, "left out: a trace is no engine that has loaded it", "probe")
        return TraceTarget(Path(options.trace))
    if options.probe is not None:
        refuse(options, "left out: a probe's logits are known", "reference")
        return probe_of(options, Probe.read(options.probe))
    refuse(options, "left out: it is for --callable with --probe", "prompts")
    if kind == "callable":
        return CallableTarget(function_of(options.callable), name=options.callable)
    return EndpointTarget(options.url, **client_settings(options, transcript_of(options)))


def probe_of(options: argparse.Namespace, probe: Probe) -> ProbeTarget:
    """Return the engine that the flags name, which has loaded a probe."""
    if options.callable is not None:
        return ProbeTarget(
            FunctionEngine(function_of(options.callable), probe, given(options.prompts, "ids")), probe
        )
    refuse(options, "left out: it is for --callable", "prompts")
    client = client_of(options.url, **client_settings(options, transcript_of(options)))
    return ProbeTarget(EndpointEngine(client, probe), probe)


def transcript_of(options: argparse.Namespace) -> Transcript:
    """Return where answers are kept, for the run that the flags name."""
    run = {"url": options.url, "model": options.model, "seed": seed_of(options), "dialect": options.dialect}
    if options.probe is not None:
        run["probe"] = str(Path(options.probe).resolve())
    return Transcript(None if options.transcript is None else Path(options.transcript), run)


def seed_of(options: argparse.Namespace) -> int:
    """Return the seed of the kit's own choices."""
    return integer("seed", given(options.seed, 0), 0, MOST)


def endpoint_of(options: argparse.Namespace) -> EndpointTarget:
    """Return the endpoint that the flags name."""
    return EndpointTarget(options.url, **client_settings(options))


def client_settings(options: argparse.Namespace, transcript: Transcript | None = None) -> dict[str, Any]:
    """Return what the flags say of how an endpoint is asked."""

    def waiting(words: str) -> None:
        print(f"sampling {options.command}: {printable(words)}", file=sys.stderr, flush=True)

    most, seconds = options.max_requests, getattr(options, "max_seconds", None)
    parallel = given(getattr(options, "parallel", None), PARALLEL)
    return {
        "model": options.model,
        "key": (os.environ.get(KEY_VARIABLE) or None) if options.api_key is None else options.api_key,
        "budget": Budget(
            None if most is None else integer("max_requests", most, 1, MOST),
            seconds=None if seconds is None else number("max_seconds", seconds, 1e-3, LONGEST),
        ),
        "patience": RetryPolicy(
            seconds=number("timeout", given(options.timeout, RetryPolicy.seconds), 1e-3, LONGEST),
            tries=integer("tries", given(options.tries, RetryPolicy.tries), 1, 100),
        ),
        "transcript": transcript,
        "waiting": waiting,
        "parallel": integer("parallel", parallel, 1, MOST_PARALLEL),
    }


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
