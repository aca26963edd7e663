"""`sampling verify`: which sampling semantics has an engine?"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
from collections.abc import Callable, Generator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from sampling.cli.serve import KEY_VARIABLE
from sampling.conformance.endings import CheckEnded
from sampling.conformance.endpoint.client import Budget, Patience
from sampling.conformance.endpoint.costs import estimate
from sampling.conformance.endpoint.target import EndpointTarget
from sampling.conformance.endpoint.transcript import Transcript
from sampling.conformance.report import Report
from sampling.conformance.target import CallableTarget, Target
from sampling.conformance.trace.target import TraceTarget
from sampling.conformance.verify import ids, verify
from sampling.dialects import Dialect, dialect
from sampling.errors import InvalidRequest, SamplingError
from sampling.params import LARGEST, integer, number

MOST = 2**31 - 1
OUTPUTS = ("json", "junit", "html")
ENDPOINT_FLAGS = ("model", "api_key", "max_requests", "timeout", "tries")
FOR_ENDPOINTS = "left out: it is for the URL of an endpoint"
INTERRUPTED = 130  # 128 and the number of SIGINT


def run_verify(options: argparse.Namespace) -> int:
    """Verify a target and write the report; the exit code is the report's, or 2 where there is none."""
    checks = ids(options.checks)
    chosen = dialect(options.dialect)
    for name in OUTPUTS:
        check_file(name, getattr(options, name))
    if options.methods and options.json == "-":
        raise InvalidRequest("methods", True, "left out: standard output is the JSON's alone")
    target = target_of(options)
    settings: dict[str, Any] = {} if target.kind == "trace" else {"seed": seed_of(options)}
    if options.dry_run:
        print(
            estimate(checks)
            if target.kind == "endpoint"
            else "no requests: the target is asked on this machine"
        )
        return 0
    if options.reference is not None:
        settings["reference"] = reference_of(options.reference)
    # without a selection the target is identified, too
    settings["checks"] = None if options.checks is None else checks
    try:
        report = reached(target, chosen, settings)
    except CheckEnded as end:
        raise SamplingError(" ".join(f"{target.name}: {end}".split())) from end
    except KeyboardInterrupt:
        print(f"sampling verify: interrupted; {way_on(options)}", file=sys.stderr)
        return INTERRUPTED
    write(report, options)
    return report.exit_code


def reached(target: Target, chosen: Dialect, settings: Mapping[str, Any]) -> Report:
    """The report on a target, once it answers at all.

    Raises:
        CheckEnded: It does not.
    """
    if isinstance(target, EndpointTarget):
        with closing(target):
            target.reach()
    with progress_of(target) as progress:
        return verify(target, chosen, progress=progress, **settings)


def way_on(options: argparse.Namespace) -> str:
    """How an interrupted run is taken up again."""
    if options.url is None:
        return "nothing is kept of this run"
    if options.transcript is None:
        return "nothing is kept of this run; with --transcript FILE the next can be taken up again"
    return f"the same command goes on from {options.transcript}"


def target_of(options: argparse.Namespace) -> Target:
    """The one target that the flags name."""
    named = [name for name in ("url", "callable", "trace") if getattr(options, name) is not None]
    if len(named) != 1:
        raise InvalidRequest("target", ", ".join(named) or None, "one of URL, --callable and --trace")
    if options.url is None:
        refuse(options, FOR_ENDPOINTS, *ENDPOINT_FLAGS, "transcript", "reference")
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
    """The seed of the kit's own choices."""
    return integer("seed", given(options.seed, 0), 0, MOST)


def given(value: Any, default: Any) -> Any:
    """What a flag says, or what holds without it: flags that were left out are None, so that others can be refused."""
    return default if value is None else value


def refuse(options: argparse.Namespace, allowed: str, *names: str) -> None:
    """Refuse flags that would have no effect."""
    for name in names:
        if getattr(options, name) is not None:
            value = "(not shown)" if name == "api_key" else getattr(options, name)
            raise InvalidRequest(name, value, allowed)


def endpoint_of(options: argparse.Namespace, transcript: Transcript | None = None) -> EndpointTarget:
    """The endpoint that the flags name."""
    most = options.max_requests
    return EndpointTarget(
        options.url,
        model=options.model,
        key=(os.environ.get(KEY_VARIABLE) or None) if options.api_key is None else options.api_key,
        budget=Budget(None if most is None else integer("max_requests", most, 1, MOST)),
        patience=Patience(
            seconds=number("timeout", given(options.timeout, Patience.seconds), 1e-3, LARGEST),
            tries=integer("tries", given(options.tries, Patience.tries), 1, 100),
        ),
        transcript=transcript,
    )


def function_of(name: str) -> Callable[..., Any]:
    """A function by module and name; the folder where the command runs is looked into, too.

    Raises:
        InvalidRequest: There is none.
    """
    module, _, path = name.partition(":")
    if not (module and path):
        raise InvalidRequest("callable", name, "MODULE:FUNCTION")
    sys.path.insert(0, str(Path.cwd()))
    try:
        found: Any = importlib.import_module(module)
        for part in path.split("."):
            found = getattr(found, part)
    except (Exception, SystemExit) as error:  # whatever a stranger's module raises
        words = " ".join(f"{type(error).__name__}: {error}".split())
        raise InvalidRequest("callable", name, f"MODULE:FUNCTION ({words})") from error
    if not callable(found):
        raise InvalidRequest("callable", name, "MODULE:FUNCTION, something that can be called")
    return found


def reference_of(folder: str) -> Any:
    """The reference weights."""
    from sampling.language_model import load

    return load(None if folder == "toy" else folder)


def check_file(name: str, file: str | None) -> None:
    """Refuse a file that can not be written, before an hour's work is lost."""
    if file in (None, "-"):
        return
    path = Path(file).absolute()
    if not path.parent.is_dir():
        raise InvalidRequest(name, file, "a file in a folder that exists")
    if path.is_dir() or not os.access(path if path.exists() else path.parent, os.W_OK):
        raise InvalidRequest(name, file, "a file that can be written")


@contextmanager
def progress_of(target: Target) -> Generator[Callable[[str, int, int], None]]:
    """A bar on standard error that says which check runs, and how many requests were sent."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[sent]}"),
        TimeElapsedColumn(),
    )
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=None, sent="")

        def show(name: str, number: int, total: int) -> None:
            sent = f"{target.client.budget.sent} requests" if isinstance(target, EndpointTarget) else ""
            bar.update(task, description=name, completed=number, total=total, sent=sent)

        yield show


def write(report: Report, options: argparse.Namespace) -> None:
    """Write the report in every form that was asked for."""
    from rich.console import Console

    from sampling.conformance.render.methods import methods
    from sampling.conformance.render.terminal import print_report

    text = json.dumps(report.to_json(), indent=1, allow_nan=False)
    if options.json == "-":
        print(text)
    else:
        print_report(report, Console(highlight=False))
        if options.methods:
            print(f"\n{methods(report)}")
    if options.json not in (None, "-"):
        save(options.json, text + "\n")
    if options.junit is not None:
        from sampling.conformance.render.junit import junit

        save(options.junit, junit(report))
    if options.html is not None:
        from sampling.conformance.render.html import html

        save(options.html, html(report))


def save(file: str, text: str) -> None:
    """Write a file.

    Raises:
        InvalidRequest: It can not be written.
    """
    try:
        Path(file).write_text(text, encoding="utf-8")
    except OSError as error:
        raise InvalidRequest("file", file, f"one that can be written ({error.strerror})") from error
