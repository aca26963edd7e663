"""A replay as one HTML page that needs nothing else: the rules, and a table of the tokens."""

from __future__ import annotations

import math
from collections.abc import Iterable
from html import escape

from sampling.conformance.render.replay import counts, headline, told
from sampling.conformance.trace.judged import Judged, Likeness
from sampling.conformance.trace.replay import Replay, RuleReplay

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
body { color: #222; background: #fff; }
h1 { font-size: 1.4rem; overflow-wrap: anywhere; } h2 { font-size: 1.1rem; margin-top: 2rem; }
.wide { overflow-x: auto; } table { border-collapse: collapse; width: 100%; }
td, th { text-align: left; vertical-align: bottom; padding: .2rem .4rem; } tr { border-top: 1px solid #ddd; }
th { font-weight: 600; } .tokens td { white-space: nowrap; }
.number { text-align: right; font-variant-numeric: tabular-nums; }
.differs td { background: #fdecea; } .close td { background: #fff8e1; } .differs .verdict { color: #b71c1c; font-weight: 600; }
.close .verdict { color: #7a5c00; font-weight: 600; } .verdict { color: #2e7d32; } .small { color: #555; font-size: .9em; }
"""
CLASSES = {Likeness.AS_SAID: "", Likeness.WITHIN_MARGIN: "close", Likeness.DIFFERS: "differs"}
COLUMNS = (
    "record",
    "position",
    "verdict",
    "recorded",
    "the rule draws",
    "ahead by",
    "tolerance",
    "probability",
)


def replay_html(replay: Replay) -> str:
    """Return a replay as one HTML page."""
    title = headline(replay)
    best = replay.best
    first = best.first
    link = f'<p><a href="#first">{escape(told(first))}</a></p>' if first else ""
    parts = [
        f"<h1>{escape(title)}</h1>",
        link,
        *(f"<p>{escape(note)}</p>" for note in replay.notes),
        f"<h2>Tokens under {escape(best.rule)}</h2>",
        *left_out(best),
        f'<div class="wide"><table class="tokens">\n{head()}\n{token_rows(best)}\n</table></div>',
        "<h2>Rules</h2>",
        f"<table>\n{rule_rows(replay.rules.values())}\n</table>",
    ]
    body = "\n".join(part for part in parts if part)
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head>\n<body>\n{body}\n</body></html>\n"
    )


def left_out(one: RuleReplay) -> Iterable[str]:
    """Say which tokens are not in the table."""
    missing = one.tokens - len(one.judged)
    if missing:
        words = "of a long trace the table has the first, and then those that are not as the rule says"
        yield f'<p class="small">{missing:,} of {one.tokens:,} tokens are left out: {words}.</p>'


def head() -> str:
    """Return the names of the columns."""
    return "<thead><tr>" + "".join(f"<th{side(name)}>{name}</th>" for name in COLUMNS) + "</tr></thead>"


def side(name: str) -> str:
    """Return the attribute of a column's cells."""
    return "" if name == "verdict" else ' class="number"'


def token_rows(one: RuleReplay) -> str:
    """Return the rows of the tokens; the first that differs can be linked to."""
    first = one.first and (one.first.record, one.first.position)
    return "\n".join(token_row(token, marked=(token.record, token.position) == first) for token in one.judged)


def token_row(token: Judged, *, marked: bool) -> str:
    """Return a token's row."""
    attributes = (' id="first"' if marked else "") + f' class="{CLASSES[token.likeness]}"'
    cells = [
        *map(number, (token.record, token.position)),
        f'<td class="verdict">{token.likeness}</td>',
        *map(number, (token.recorded, token.drawn)),
        *map(number, (figure(token.distance), figure(token.tolerance), f"{math.exp(token.logprob):.3g}")),
    ]
    return f"<tr{attributes}>" + "".join(cells) + "</tr>"


def number(value: int | str) -> str:
    """Return a cell of a number."""
    return f'<td class="number">{value}</td>'


def figure(value: float) -> str:
    """Return a distance in three digits; a dash where there was no other token."""
    return f"{value:.3g}" if math.isfinite(value) else "–"  # noqa: RUF001 (a dash)


def rule_rows(rules: Iterable[RuleReplay]) -> str:
    """Return what became of the trace under each rule, the likeliest first."""
    ordered = sorted(rules, key=lambda one: -one.log_e_value)
    return "\n".join(f"<tr><td>{escape(one.rule)}</td><td>{escape(counts(one))}</td></tr>" for one in ordered)
