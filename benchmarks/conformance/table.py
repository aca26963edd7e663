"""Makes two pages from the recorded reports: python -m benchmarks.conformance.table.

docs/conformance_matrix.md has all engines, docs/conformance_report.md the whole report of this library's own server.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.conformance.truth import TRUTHS, of_engine
from benchmarks.harness.paths import RESULTS, ROOT

HERE = Path(__file__).parent
PAGE = ROOT / "docs" / "conformance_matrix.md"
REPORT = ROOT / "docs" / "conformance_report.md"
WITNESSES: dict[str, dict[str, str]] = json.loads((HERE / "engines" / "witnesses.json").read_text())

SIGNS = {
    "conforms": "yes",
    "deviates": "**no**",
    "ambiguous in the spec": "open",
    "unsupported": "refused",
    "ignored silently": "**ignored**",
    "inconclusive": "?",
    "not testable here": "",
}
TO_EXPLAIN = ("deviates", "ambiguous in the spec", "unsupported", "ignored silently")
LONGEST = 220
OURS = "sampling-serve"

HEAD = """# Which sampling semantics do engines have?

What the checks of `sampling verify` found in the engines' own code and in their servers. Servers are asked on two
checkpoints: the built-in one ("toy") and one whose logits are chosen numbers ("probe",
`benchmarks/conformance/engines/probe.py`).
`python -m benchmarks.conformance.table` made this page from `benchmarks/results/conformance-*.json`, which hold the evidence of
every check. A conforming engine gets "no" from a check with a chance of 1e-6 for each part of the check, of
which there are at most eight.

| word | meaning |
| :-- | :-- |
| yes | the engine conforms |
| **no** | it deviates |
| **ignored** | it accepts the parameter, which has no effect |
| open | the page is silent, and this is another reading of it |
| refused | the engine does not take the parameter or the value |
| ? | inconclusive |
| empty | cannot be seen in this way: a function without an API has no messages, and an endpoint shows no logits |
"""

Result = dict[str, Any]


def results() -> list[Result]:
    """All recorded engines, this library first."""
    found = [json.loads(path.read_text()) for path in sorted(RESULTS.glob("conformance-*.json"))]
    engines = [result for result in found if "engine" in result]
    return sorted(engines, key=lambda result: (result["key"] != OURS, result["key"]))


def table(rows: list[list[str]]) -> str:
    """A Markdown table."""
    lines = [rows[0], [":--"] * len(rows[0]), *rows[1:]]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def verdicts(tested: list[Result], own: bool) -> str:
    """Checks by engines, against the page or against each engine's own dialect."""

    def checks(result: Result) -> dict[str, Any]:
        return result["reports"][result["dialect"] if own else "qstash"]["checks"]

    names = [f"{result['engine']}{' as ' + result['dialect'] if own else ''}" for result in tested]
    rows = [["check", *names]]
    rows += [
        [f"`{check}`", *(SIGNS[checks(result)[check]["verdict"]] for result in tested)]
        for check in checks(tested[0])
    ]
    return table(rows)


def identity(tested: list[Result]) -> str:
    """What each engine was identified as."""
    rows = [["engine", "version", "consistent with", "draws", "measured"]]
    for result in tested:
        found = result["reports"]["qstash"]["identified"]
        winners = ", ".join(found["winners"]) or "none of the dialects" if found else "not identified"
        if found and not found["winners"] and found["but_for_ties"]:
            winners += f"; but for equal logits {', '.join(found['but_for_ties'])}"
        draws = f"{found['draws']:,}" if found else ""
        rows.append([result["engine"], result["version"], winners, draws, result["date"]])
    return table(rows)


def explanations(result: Result) -> Iterator[str]:
    """One line for each check that does not conform to the page."""
    own = result["reports"][result["dialect"]]["checks"]
    for check, finding in result["reports"]["qstash"]["checks"].items():
        if finding["verdict"] not in TO_EXPLAIN:
            continue
        evidence = " ".join(finding["evidence"].split())
        shown = evidence if len(evidence) <= LONGEST else evidence[: LONGEST - 3] + "..."
        kept = " (as its own dialect has it)" if own[check]["verdict"] == "conforms" else ""
        yield f"- `{check}`: {finding['verdict']}{kept}. {shown}. Witness: {witness(result, check)}."


def undecided(result: Result) -> Iterator[str]:
    """The checks that came to no end, each reason once."""
    reasons: dict[str, list[str]] = {}
    for check, finding in result["reports"]["qstash"]["checks"].items():
        if finding["verdict"] == "inconclusive":
            reasons.setdefault(finding["evidence"], []).append(f"`{check}`")
    for reason, checks in reasons.items():
        yield f"- inconclusive, {reason}: {', '.join(checks)}."


def witness(result: Result, check: str) -> str:
    """Where the engine's own source says so."""
    told = of_engine(TRUTHS, result["key"]).get(check, {}).get("source")
    return told or WITNESSES.get(result["key"], {}).get(check, "not found yet")


def page(found: list[Result]) -> str:
    """The whole page."""
    tested = [result for result in found if "reports" in result]
    missing = [
        f"- {result['engine']}: {result['not_available']}" for result in found if "reports" not in result
    ]
    blocks = [HEAD, "## What they are", identity(tested), "## Against the page", verdicts(tested, own=False)]
    others = [result for result in tested if result["dialect"] != "qstash"]
    blocks += ["## Against the dialect that this library has for each", verdicts(others, own=True)]
    blocks += ["## How each was asked", "\n".join(f"- {r['engine']}: {r['through']}." for r in tested)]
    blocks += ["## Every deviation from the page, and where the engine's source says so"]
    for result in tested:
        lines = list(explanations(result))
        blocks += [
            f"### {result['engine']} {result['version']}",
            "\n".join([*lines, *undecided(result)]) or "None.",
        ]
    return "\n\n".join([*blocks, *(["## Not available", "\n".join(missing)] if missing else [])]) + "\n"


def report(result: Result) -> str:
    """One engine's report against the page, check by check."""
    found = result["reports"]["qstash"]
    rows = [["check", "question", "verdict", "draws", "evidence"]]
    for check, finding in found["checks"].items():
        draws, evidence = f"{finding['draws']:,}", " ".join(finding["evidence"].split())
        rows.append([f"`{check}`", finding["asks"], finding["verdict"], draws, evidence.replace("|", "\\|")])
    blocks = [
        "# A report: this library, verified by itself",
        f"This is what `sampling verify` says of {result['engine']}, version {result['version']}, on {result['date']}. "
        "`python -m benchmarks.conformance.table` made this page from `benchmarks/results/conformance-sampling-serve.json`, "
        "which also has the effect that each check would have noticed, its false-alarm rate and all e-values.",
        f"**Headline.** {'; '.join(found['headline'].split('; ')[:1])}; the others are excluded.",
        table(rows),
        "## Notes",
        "\n".join(f"- {note}." for note in found["notes"]),
        "## Dialects that are excluded",
        "\n".join(
            f"- {excluded.replace(' excluded, ', ': ')}." for excluded in found["headline"].split("; ")[1:]
        ),
    ]
    return "\n\n".join(blocks) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(results()))
    REPORT.write_text(report(results()[0]))
