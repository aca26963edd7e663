"""`sampling verify`: which sampling semantics has an engine?"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import threading
from collections.abc import Callable, Generator, Mapping
from contextlib import closing, contextmanager
from typing import Any

from sampling.cli.flags import check_files, save
from sampling.cli.targets import reference_of, seed_of, target_of
from sampling.conformance.endings import CheckEnded
from sampling.conformance.endpoint.costs import estimate
from sampling.conformance.endpoint.target import EndpointTarget
from sampling.conformance.probe.costs import estimate as estimate_probe
from sampling.conformance.probe.endpoint import EndpointEngine
from sampling.conformance.probe.target import ProbeTarget
from sampling.conformance.report import Report
from sampling.conformance.verdict import Verdict
from sampling.conformance.verify import Target, Verification, ids
from sampling.core.errors import InvalidArgument, SamplingError
from sampling.dialects import Dialect, dialect

OUTPUTS = ("json", "junit", "html")


def run_verify(options: argparse.Namespace) -> int:
    """Verify a target and write the report; the exit code is the report's, or 2 where there is none."""
    checks = ids(options.checks)
    chosen = dialect(options.dialect)
    check_files(options, OUTPUTS, read=("trace", "transcript", "logits"))
    if options.methods and options.json == "-":
        raise InvalidArgument("methods", True, "left out: standard output is the JSON's alone")
    target = target_of(options)
    settings: dict[str, Any] = {} if target.kind == "trace" else {"seed": seed_of(options)}
    if options.dry_run:
        told = {"endpoint": estimate, "probe": estimate_probe}.get(target.kind)
        print(told(checks) if told else "no requests: what it takes is on this machine")
        return 0
    if options.reference is not None:
        settings["reference"] = reference_of(options.reference)
    settings |= {name: getattr(options, name) for name in ("rule", "logits") if getattr(options, name)}
    # without a selection the target is identified, too
    settings["checks"] = None if options.checks is None else checks
    try:
        with ended_like_ctrl_c():
            report = reached(target, chosen, settings)
    except CheckEnded as end:
        raise SamplingError(" ".join(f"{target.name}: {end}".split())) from end
    except KeyboardInterrupt:
        print(f"sampling verify: interrupted; {way_on(options)}", file=sys.stderr, end="")
        raise
    if report.ended:
        print(f"sampling verify: {report.ended}; {way_on(options)}", file=sys.stderr)
    write(report, options)
    return report.exit_code


def reached(target: Target, chosen: Dialect, settings: Mapping[str, Any]) -> Report:
    """Return the report on a target, once it answers at all; an interruption leaves what was found until then.

    Raises:
        CheckEnded: It does not.
    """
    if isinstance(target, EndpointTarget):
        with closing(target):
            target.reach()
    verification = Verification(target, chosen, **settings)
    with progress_of(verification) as verification.progress:
        try:
            return verification.run()
        except KeyboardInterrupt:
            return verification.so_far("interrupted")


@contextmanager
def ended_like_ctrl_c() -> Generator[None]:
    """Let SIGTERM end what runs as Ctrl+C does."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def way_on(options: argparse.Namespace) -> str:
    """How an interrupted run is taken up again."""
    if options.url is None:
        return "nothing is kept of this run"
    if options.transcript is None:
        return "nothing is kept of this run; with --transcript FILE the next can be taken up again"
    return f"the same command goes on from {options.transcript}"


@contextmanager
def progress_of(verification: Verification) -> Generator[Callable[[str, int, int], None]]:
    """Return a bar on standard error: which check runs, how many requests were sent, and how the checks before it ended."""
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
            bar.update(task, description=name, completed=number, total=total, sent=told(verification))

        yield show


def told(verification: Verification) -> str:
    """How many requests were sent, and how the checks so far ended."""
    target, ended = verification.target, [finding.verdict for finding in verification.found.values()]
    asked = target.engine if isinstance(target, ProbeTarget) else target
    sent = (
        [f"{asked.client.budget.sent} requests"] if isinstance(asked, EndpointTarget | EndpointEngine) else []
    )
    return ", ".join(
        [*sent, *(f"{ended.count(verdict)} {verdict}" for verdict in Verdict if verdict in ended)]
    )


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
        save("json", options.json, text + "\n")
    if options.junit is not None:
        from sampling.conformance.render.junit import junit

        save("junit", options.junit, junit(report))
    if options.html is not None:
        from sampling.conformance.render.html import html

        save("html", options.html, html(report))
