"""A replay in the terminal, and as JSON."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.text import Text

from sampling.conformance.trace.replay import Difference, Replay, RuleReplay


def print_replay(replay: Replay, console: Console) -> None:
    """Print what became of a trace: the rule that fits, the others, and the first token that differs."""
    console.print(Text(headline(replay), style="bold"))
    if replay.best.first is not None:
        console.print(Text(told(replay.best.first), style="red"))
    for one in sorted(replay.rules.values(), key=lambda one: -one.log_e_value):
        console.print(Text.assemble(f"{one.rule:<22}  ", (counts(one), "dim")), soft_wrap=True)
    for note in replay.notes:
        console.print(Text(note, style="yellow"), soft_wrap=True)


def headline(replay: Replay) -> str:
    """Return the result in a sentence."""
    best = replay.best
    if not best.fits:
        return f"no rule is shown to fit by {best.tokens} tokens of {replay.records} records"
    if best.differing:
        return f"{best.rule}, but for {best.differing} of {best.tokens} tokens"
    return f"{best.rule}: all {best.tokens} tokens, {best.decided} of them beyond doubt"


def told(first: Difference) -> str:
    """Return the first token that differs, in words."""
    where = f"record {first.record}, position {first.position}"
    kept = "" if first.kept else ", which the parameters do not even keep"
    ahead = f"ahead by {first.distance:.3g}" if math.isfinite(first.distance) else "the only one that is left"
    return f"first difference: {where}: {first.recorded}{kept}; the rule draws {first.drawn}, {ahead}"


def counts(one: RuleReplay) -> str:
    """Return what became of the trace under a rule."""
    if one.untried:
        return f"cannot be tried: {one.untried}"
    words = f"{one.as_said} as the rule says, {one.within_margin} within the margin, {one.differing} differ"
    state = "" if one.alive else f"; out after {one.tokens} tokens"
    return f"{words}{state}; e-value 10^{one.log_e_value / math.log(10):.1f}"


def as_json(replay: Replay) -> dict[str, Any]:
    """Return a replay as JSON has it; a draw without a second token has no distance, null."""
    best = replay.best
    return {
        "rule": best.rule if best.fits else None,
        "records": replay.records,
        "exit_code": replay.exit_code,
        "rules": {name: rule_as_json(one) for name, one in replay.rules.items()},
        "notes": list(replay.notes),
    }


def rule_as_json(one: RuleReplay) -> dict[str, Any]:
    """Return what became of a trace under a rule as JSON has it, without its single tokens."""
    told: dict[str, Any] = {**asdict(one), "fits": one.fits}
    del told["judged"]
    if one.first is not None and one.first.distance == math.inf:
        told["first"]["distance"] = None
    return told
