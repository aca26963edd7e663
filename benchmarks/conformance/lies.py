"""Are endpoints that lie in one thing caught in exactly that thing, and right ones of any manner left alone; and how often?

    PYTHONPATH=tests python -m benchmarks.conformance.lies [--only lies|cases] [--repeats N] [NAME ...]

Lies: serves the built-in model on this machine, honestly and with each fault of tests/conformance/lies.py, and runs all checks
through HTTP. Then each fault's check runs N times under seeds of its own, on the same endpoint in this process: the detection
rate has to be 0.99 but for three standard errors. Cases: the endpoints of tests/conformance/cases.py, each judged N times in
this process by its own checks under seeds of its own, at the same rate. Writes benchmarks/results/conformance-lies.json, whose
two parts each say which commit they are of (with --only or names, the others stay as they were), and exits with 1 if an
endpoint is misjudged.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from conformance.cases import CASES, WRONG, Case
from conformance.lies import HONEST, LIES, Lie
from tqdm import tqdm

from benchmarks.conformance.power import least_rate
from benchmarks.harness.paths import RESULTS
from benchmarks.harness.timing import origin
from sampling import load, verify
from sampling.conformance.verdict import Verdict

RESULT = RESULTS / "conformance-lies.json"


def measured(lie: Lie, model: Any) -> dict[str, Any]:
    """All checks of one endpoint."""
    with lie.serve(model) as url:
        report = verify(url)
    wrong = {name: found.evidence for name, found in report.checks.items() if found.verdict in WRONG}
    expected = {lie.caught_by} - {""}
    return {
        "caught_by": lie.caught_by,
        "wrong": wrong,
        "exact": set(wrong) == expected,
        "undecided": [name for name, found in report.checks.items() if found.verdict is Verdict.INCONCLUSIVE],
        "headline": report.headline,
        "draws": sum(found.draws for found in report.checks.values()),
        "notes": list(report.notes),
    }


def power_of(lie: Lie, model: Any, repeats: int) -> dict[str, Any]:
    """How often a fault's check notices it; for the honest endpoint, how often any fault's check is mistaken."""
    checks = [lie.caught_by] if lie.caught_by else sorted({other.caught_by for other in LIES})
    noticed, draws = 0, list[int]()
    for seed in tqdm(range(repeats), desc=lie.name, disable=None):
        with lie.answering(model) as target:
            found = verify(target, checks=checks, seed=seed).checks.values()
        noticed += any(finding.verdict in WRONG for finding in found)
        draws.append(sum(finding.draws for finding in found))
    rate = noticed / repeats
    least = least_rate(repeats) if lie.caught_by else None
    enough = noticed == 0 if least is None else rate >= least
    return {
        "noticed": noticed,
        "repeats": repeats,
        "rate": rate,
        "least_rate": least,
        "enough": enough,
        "most_draws": max(draws),
    }


def judged(case: Case, repeats: int) -> dict[str, Any]:
    """How often an endpoint of letters is judged as it must be by its own checks."""
    right, draws, requests, misjudged = 0, list[int](), list[int](), dict[str, str]()
    for seed in range(repeats):
        target = case.make()
        report = case.judged(seed, target)
        wrong = case.misjudged(report)
        right, misjudged = right + (not wrong), misjudged | wrong
        draws.append(sum(finding.draws for finding in report.checks.values()))
        requests.append(target.client.budget.sent)
    least = least_rate(repeats)
    return {
        "told": {name: verdict.value for name, verdict in case.told.items()},
        "words": list(case.words),
        "near": list(case.near),
        "dialect": case.dialect,
        "right": right,
        "repeats": repeats,
        "least_rate": least,
        "enough": right / repeats >= least,
        "most_draws": max(draws),
        "most_requests": max(requests),
        **({"misjudged": misjudged} if misjudged else {}),
    }


def lies_part(names: list[str], repeats: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """What is found in each lie that is named, and how often."""
    wanted = [lie for lie in (HONEST, *LIES) if lie.name in names]
    model = load(None) if wanted else None
    for lie in wanted:
        power = power_of(lie, model, repeats)
        found = {**measured(lie, model), "power": power}
        exact = "exact" if found["exact"] else found["wrong"]
        print(f"{lie.name}: {exact}; noticed {power['noticed']} of {power['repeats']} times", flush=True)
        yield lie.name, found


def cases_part(names: list[str], repeats: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """How often each case that is named is judged rightly."""
    for case in (case for case in CASES if case.name in names):
        found = judged(case, repeats)
        print(f"{case.name}: right {found['right']} of {repeats} times", flush=True)
        yield case.name, found


def good(part: str, found: dict[str, Any]) -> bool:
    """Whether an endpoint of a part was judged as it must be."""
    return found["enough"] if part == "cases" else found["exact"] and found["power"]["enough"]


PARTS = {"lies": lies_part, "cases": cases_part}
NAMES = {"lies": [lie.name for lie in (HONEST, *LIES)], "cases": [case.name for case in CASES]}


def main() -> int:
    """Run and record."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="endpoints; all when left out")
    parser.add_argument("--only", choices=PARTS, help="one part; both when left out")
    parser.add_argument("--repeats", type=int, default=20, help="of each endpoint's own checks (default: 20)")
    parser.add_argument("--out", type=Path, default=RESULT)
    options = parser.parse_args()
    parts = [options.only] if options.only else [*PARTS]
    names = options.names or [name for part in parts for name in NAMES[part]]
    unknown = {*names} - {name for part in parts for name in NAMES[part]}
    if unknown:
        parser.error(f"no endpoint has the name {', '.join(sorted(unknown))}")
    result: dict[str, Any] = json.loads(options.out.read_text()) if options.out.exists() else {}
    for part in parts:
        found = dict(PARTS[part](names, options.repeats))
        if found:
            both = {**result.get(part, {}).get("endpoints", {}), **found}
            kept = {name: both[name] for name in NAMES[part] if name in both}
            result[part] = {"origin": origin("conformance.lies", "torch", tests=True), "endpoints": kept}
    options.out.write_text(json.dumps(result, indent=1) + "\n")
    return (
        0 if all(good(part, found) for part in result for found in result[part]["endpoints"].values()) else 1
    )


if __name__ == "__main__":
    sys.exit(main())
