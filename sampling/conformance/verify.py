"""Verify a target."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from sampling.conformance.case_context import CaseContext
from sampling.conformance.endings import CheckEnded, NotTestable
from sampling.conformance.endpoint.target import EndpointTarget
from sampling.conformance.identity import Identification
from sampling.conformance.kinds import KINDS, Kind
from sampling.conformance.outcome import outcome
from sampling.conformance.probe.endpoint import EndpointEngine, client_of
from sampling.conformance.probe.engine import FunctionEngine
from sampling.conformance.probe.target import ProbeTarget
from sampling.conformance.report import Header, Report
from sampling.conformance.score import score_note
from sampling.conformance.semantics import Semantics
from sampling.conformance.table import CHECKS
from sampling.conformance.target import CallableTarget
from sampling.conformance.trace.target import TraceTarget
from sampling.conformance.typed import typed
from sampling.conformance.verdict import Finding, Verdict
from sampling.core.errors import InvalidArgument
from sampling.dialects import Dialect, DialectName
from sampling.dialects import dialect as dialect_named
from sampling.probe import Probe

CHEAP = 24  # what checks may cost that come before the identification, where they are sorted by that

Progress = Callable[[str, int, int], None]
Target = CallableTarget | EndpointTarget | ProbeTarget | TraceTarget

# By kind of target what `verify` takes besides, and what it takes with a URL to open it.
SETTINGS = {
    "callable": ("depth", "seed", "rule"),
    "endpoint": ("seed", "reference", "rule"),
    "probe": ("depth", "seed"),
    "trace": ("reference", "rule", "logits"),
}
OPENING = ("model", "key", "parallel")


def verify(
    target: Target | Callable[..., int] | str | Path,
    dialect: DialectName | Dialect = "qstash",
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
        reference: The weights that an endpoint serves or that a trace's engine had, for the leg that compares with them; a
            callable needs none.
        checks: Ids of the checks to run; all when left out.
        progress: Called with the id of each check, its number and how many there are, before it runs.
        settings: What else a kind of target takes: for callables `depth` and `seed` of `CheckContext`, for endpoints `seed`,
            and with a URL `model`, `key` and `parallel` of `Client`; for traces `logits`, a file of them; for these three
            `rule`, that of the draw, by which randomness is proved and not estimated (of an endpoint with a `reference`). With
            `probe`, the folder of a probe checkpoint or a `Probe`, the target is an engine that has loaded it: the URL of chat
            completions, or of completions of text, or a callable `f(prompt, params, max_tokens, n, seed)` that returns the
            token ids or the text of each of n choices; `prompts` is "ids" or "text", and `depth` and `seed` are as above.

    Returns:
        The report, with a finding for every check that was asked for.

    Raises:
        InvalidArgument: No such dialect or check, a target of an unknown kind, a setting that it does not take, or one of
            another type.
        CouldNotRun: A callable answers no plain request by a token.

    Example:
        >>> from sampling.conformance.reference import reference
        >>> report = verify(reference("qstash"), checks=["bias.ban"])
        >>> report.checks["bias.ban"].verdict.value
        'conforms'
    """
    return Verification(target, dialect, reference, checks=checks, progress=progress, **settings).run()


class Verification:
    """A verification that can be left in the middle with what was found until then; arguments and errors are those of `verify`.

    Attributes:
        progress: That of `verify`.
        found: The findings so far, by check.
        wanted: The checks that were asked for.
    """

    def __init__(
        self,
        target: Target | Callable[..., int] | str | Path,
        dialect: DialectName | Dialect = "qstash",
        reference: Any = None,
        *,
        checks: Iterable[str] | None = None,
        progress: Progress | None = None,
        **settings: Any,
    ) -> None:
        typed("progress", progress, Callable | None, "a callable, or None")
        self.target, self.progress = as_target(target, settings), progress
        self._dialect, self._kind = dialect_named(dialect), KINDS[self.target.kind]
        if reference is not None:
            settings["reference"] = reference
        self.wanted, self._identifies = ids(checks), checks is None
        check_settings(self.target.kind, settings)
        self._context = self._kind.context(self.target, Semantics.of(self._dialect), **settings)
        self.found: dict[str, Finding] = {}
        self._identified: Identification | Finding | None = None
        self._asked = False  # whether it was tried to identify the target

    def run(self) -> Report:
        """Ask everything.

        Raises:
            CouldNotRun: See `verify`.
        """
        if isinstance(self._context, CaseContext):
            self._context.reach()
        cost = self._kind.cost
        try:
            for number, name in enumerate(sorted(self.wanted, key=cost) if cost else self.wanted):
                if cost and cost(name) > CHEAP and not self._asked:
                    self._identify()
                if self.progress:
                    self.progress(name, number, len(self.wanted))
                self.found[name] = outcome(name, partial(run, self._kind, name, self._context))
            self._identify()  # again, with all that the checks have drawn
            notes = outcome("notes", lambda: self._context.notes)
        finally:
            if isinstance(self.target, EndpointTarget | ProbeTarget):
                self.target.close()
        return self._report([notes.evidence] if isinstance(notes, Finding) else [*notes])

    def so_far(self, ended: str) -> Report:
        """Return the report of what was found before something, in words, ended the run; what was not is inconclusive."""
        missing = Finding(Verdict.INCONCLUSIVE, f"not asked to the end: {ended}")
        done = len(self.found)
        self.found = {name: self.found.get(name, missing) for name in self.wanted}
        return self._report([f"{ended} after {done} of {len(self.wanted)} checks"], ended)

    def _identify(self) -> None:
        """Identify the target, where all checks are asked for."""
        self._asked = True
        if self._identifies:
            found = outcome("identification", partial(identity, self._kind, self._context))
            if self._identified is None or isinstance(found, Identification):
                self._identified = found

    def _report(self, told: list[str], ended: str = "") -> Report:
        """Return the report, its checks in the order of the table."""
        target, identified = self.target, self._identified
        header = Header(self._dialect.name, target.name, target.version, target.kind, self._context.legs)
        if isinstance(identified, Finding):
            told, identified = [*told, f"not identified: {identified.evidence}"], None
        found = {name: self.found[name] for name in self.wanted}
        return Report(header, identified, found, tuple(note for note in (*told, score_note()) if note), ended)


def ids(checks: Iterable[str] | None) -> list[str]:
    """Return the ids of checks, in the order of the table.

    Raises:
        InvalidArgument: There is no such check.
    """
    if isinstance(checks, str):
        raise InvalidArgument("checks", checks, f"a list of ids, such as [{checks!r}]")
    typed("checks", checks, Iterable | None, "a list of ids, or None")
    asked = [*(CHECKS if checks is None else checks)]
    unknown = [name for name in asked if name not in list(CHECKS)]
    if unknown:
        raise InvalidArgument("checks", unknown[0], f"any of {', '.join(CHECKS)}")
    return [name for name in CHECKS if name in asked]


def run(kind: Kind, name: str, context: Any) -> Finding:
    """Run one check.

    Raises:
        CheckEnded: It has no answer.
    """
    if name not in kind.runs:
        raise NotTestable(kind.reason)
    return kind.runs[name](context)


def identity(kind: Kind, context: Any) -> Identification | None:
    """Which dialects the target is consistent with; None if no token could be drawn."""
    try:
        found = kind.identify(context)
    except CheckEnded:
        return None
    return found if found and found.draws else None


def check_settings(kind: str, settings: Mapping[str, Any]) -> None:
    """Refuse what a kind of target does not take."""
    wrong = next((name for name in settings if name not in SETTINGS[kind]), None)
    if wrong is not None:
        value = "(not shown)" if wrong == "key" else settings[wrong]
        taken = ", ".join(SETTINGS[kind]) or "no settings"
        raise InvalidArgument(wrong, value, f"left out: a target of the kind {kind!r} takes {taken}")


def as_target(target: Target | Callable[..., int] | str | Path, settings: dict[str, Any]) -> Target:
    """Return a target from what names it; settings that open a URL are taken out.

    Raises:
        InvalidArgument: It is none of what `verify` takes.
    """
    if isinstance(target, Target):
        return target
    if settings.get("probe") is not None:
        return on_probe(target, settings.pop("probe"), settings)
    if isinstance(target, str) and target.startswith(("http://", "https://")):
        return EndpointTarget(target, **{name: settings.pop(name) for name in OPENING if name in settings})
    if isinstance(target, str | Path):
        return TraceTarget(Path(target))
    if callable(target):
        return CallableTarget(target)
    allowed = "a callable, the URL of an endpoint (http:// or https://), the path of a trace, or a Target"
    raise InvalidArgument("target", target, allowed)


def on_probe(target: Callable[..., Any] | str | Path, probe: object, settings: dict[str, Any]) -> ProbeTarget:
    """Return an engine that has loaded a probe; settings that open it are taken out.

    Raises:
        InvalidArgument: It is neither a URL nor a callable, or the probe is none.
    """
    known = probe if isinstance(probe, Probe) else Probe.read(folder_of(probe))
    if isinstance(target, str) and target.startswith(("http://", "https://")):
        opening = {name: settings.pop(name) for name in OPENING if name in settings}
        return ProbeTarget(EndpointEngine(client_of(target, **opening), known), known)
    if callable(target):
        opening = {name: settings.pop(name) for name in ("prompts",) if name in settings}
        return ProbeTarget(FunctionEngine(target, known, **opening), known)
    allowed = "a callable that takes prompts, or the URL of an endpoint (http:// or https://): it has loaded the probe"
    raise InvalidArgument("target", target, allowed)


def folder_of(probe: object) -> str | Path:
    """Return the folder that an argument names."""
    if not isinstance(probe, str | Path):
        raise InvalidArgument("probe", probe, "the folder of a probe checkpoint, or a Probe")
    return probe
