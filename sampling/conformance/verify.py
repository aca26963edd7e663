"""Verify a target."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from sampling.conformance.endings import CheckEnded, NotTestable
from sampling.conformance.endpoint.target import EndpointTarget
from sampling.conformance.kinds import KINDS, Kind
from sampling.conformance.report import Header, Report
from sampling.conformance.score import score_note
from sampling.conformance.semantics import Semantics
from sampling.conformance.table import CHECKS
from sampling.conformance.target import CallableTarget, Target
from sampling.conformance.trace.target import TraceTarget
from sampling.conformance.verdict import Finding
from sampling.dialects import Dialect
from sampling.dialects import dialect as dialect_named
from sampling.errors import InvalidRequest

FIXTURES = ("fixtures",)

Progress = Callable[[str, int, int], None]


def verify(
    target: Target | Callable[..., int] | str | Path,
    dialect: str | Dialect = "qstash",
    reference: Any = None,
    *,
    checks: Iterable[str] | None = None,
    progress: Progress | None = None,
    **settings: Any,
) -> Report:
    """Find out which sampling semantics a target has.

    Args:
        target: A callable `f(logits, params, prompt_ids, output_ids, seed) -> int`, the URL of an endpoint, the path of
            a trace, or a Target.
        dialect: What it should be.
        reference: The weights that an endpoint serves, for the leg that compares with them; a callable needs none.
        checks: Ids of the checks to run; all when left out.
        progress: Called with the id of each check, its number and how many there are, before it runs.
        settings: What else the kind of target takes: for callables `depth` and `seed` of `Lab`.

    Returns:
        The report, with a finding for every check that was asked for.

    Raises:
        InvalidRequest: No such dialect or check, or a target of an unknown kind.

    Example:
        >>> from sampling.conformance.reference import reference
        >>> report = verify(reference("qstash"), checks=["bias.ban"])
        >>> report.checks["bias.ban"].verdict.value
        'conforms'
    """
    opened = as_target(target)
    chosen = dialect_named(dialect)
    kind = KINDS[opened.kind]
    if reference is not None:
        settings["reference"] = reference
    wanted = ids(checks)
    lab = kind.lab(opened, Semantics.of(chosen), **settings)
    found: dict[str, Finding] = {}
    try:
        for number, name in enumerate(wanted):
            if progress:
                progress(name, number, len(wanted))
            found[name] = run(kind, name, lab)
        identified = kind.identify(lab) if kind.identify and checks is None else None
    finally:
        if isinstance(opened, EndpointTarget):
            opened.close()
    legs: tuple[str, ...] = getattr(lab, "legs", FIXTURES)
    header = Header(chosen.name, opened.name, opened.version, opened.kind, legs)
    notes = (*getattr(lab, "notes", ()), score_note())
    return Report(header, identified, found, tuple(note for note in notes if note))


def ids(checks: Iterable[str] | None) -> list[str]:
    """The ids of checks, in the order of the table."""
    asked = set(CHECKS if checks is None else checks)
    unknown = next((name for name in sorted(asked) if name not in CHECKS), None)
    if unknown is not None:
        raise InvalidRequest("checks", unknown, f"any of {', '.join(CHECKS)}")
    return [name for name in CHECKS if name in asked]


def run(kind: Kind, name: str, lab: Any) -> Finding:
    """Run one check."""
    if name not in kind.runs:
        return NotTestable(kind.reason).finding()
    try:
        return kind.runs[name](lab)
    except CheckEnded as end:
        return end.finding()


def as_target(target: Target | Callable[..., int] | str | Path) -> Target:
    """A target from what names it.

    Raises:
        InvalidRequest: It is none of what `verify` takes.
    """
    if getattr(target, "kind", None) in KINDS:
        return target  # pyright: ignore[reportReturnType]
    if isinstance(target, str) and target.startswith(("http://", "https://")):
        return EndpointTarget(target)
    if isinstance(target, str | Path):
        return TraceTarget(Path(target))
    if callable(target):
        return CallableTarget(target)
    raise InvalidRequest("target", target, "a callable or a target")
