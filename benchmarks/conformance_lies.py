"""Are endpoints that lie in one thing caught in exactly that thing, when all checks run; and how often by its check alone?

    PYTHONPATH=tests python benchmarks/conformance_lies.py [--repeats N] [NAME ...]

Serves the built-in model on this machine, honestly and with each fault of tests/conformance/lies.py, and runs all checks
through HTTP. Then each fault's check runs N times under seeds of its own, on the same endpoint in this process: the detection
rate has to be 0.99 but for three standard errors. Writes benchmarks/results/conformance-lies.json (with names, the other faults
stay as they were), and exits with 1 if a fault is missed or something else is found.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from conformance.lies import HONEST, LIES, Lie
from conformance_power import least_rate
from timing import origin
from tqdm import tqdm

from sampling import load, verify
from sampling.conformance.verdict import Verdict

RESULT = Path(__file__).parent / "results" / "conformance-lies.json"
WRONG = (Verdict.DEVIATES, Verdict.IGNORED)


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


def main() -> int:
    """Run and record."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="faults; all when left out")
    parser.add_argument("--repeats", type=int, default=20, help="of each fault's check (default: 20)")
    parser.add_argument("--out", type=Path, default=RESULT)
    options = parser.parse_args()
    model = load(None)
    known: dict[str, Any] = {}
    if options.names and options.out.exists():
        known = json.loads(options.out.read_text())["endpoints"]
    for lie in (HONEST, *LIES):
        if not options.names or lie.name in options.names:
            power = power_of(lie, model, options.repeats)
            known[lie.name] = {**measured(lie, model), "power": power}
            exact = "exact" if known[lie.name]["exact"] else known[lie.name]["wrong"]
            print(f"{lie.name}: {exact}; noticed {power['noticed']} of {power['repeats']} times", flush=True)
    result = {
        "origin": origin("conformance_lies.py", "torch"),
        "endpoints": known,
    }
    options.out.write_text(json.dumps(result, indent=1) + "\n")
    return 0 if all(found["exact"] and found["power"]["enough"] for found in known.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
