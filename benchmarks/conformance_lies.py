"""Are endpoints that lie in one thing caught in exactly that thing, when all checks run?

    PYTHONPATH=tests python benchmarks/conformance_lies.py [NAME ...]

Serves the built-in model on this machine, honestly and with each fault of tests/conformance/lies.py, and runs all checks
through HTTP. Writes benchmarks/results/conformance-lies.json (with names, the other faults stay as they were), and exits with
1 if a fault is missed or something else is found.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from conformance.lies import LIES, Lie, honest
from timing import origin

from sampling import load, verify
from sampling.conformance.verdict import Verdict

RESULT = Path(__file__).parent / "results" / "conformance-lies.json"
HONEST = Lie("nothing", "", (), honest)
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


def main() -> int:
    """Run and record."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="faults; all when left out")
    names = parser.parse_args().names
    model = load(None)
    known: dict[str, Any] = json.loads(RESULT.read_text())["endpoints"] if names and RESULT.exists() else {}
    for lie in (HONEST, *LIES):
        if not names or lie.name in names:
            known[lie.name] = measured(lie, model)
            print(
                f"{lie.name}: {'exact' if known[lie.name]['exact'] else known[lie.name]['wrong']}", flush=True
            )
    result = {"origin": origin("conformance_lies.py", "torch"), "endpoints": known}
    RESULT.write_text(json.dumps(result, indent=1) + "\n")
    return 0 if all(found["exact"] for found in known.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
