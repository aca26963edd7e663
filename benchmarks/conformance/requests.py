"""How many requests do the checks of an endpoint take, and how many of them are decided by a thousand?

    PYTHONPATH=tests python -m benchmarks.conformance.requests [--out FILE]

Asks the built-in model, in this process, once with n = 16 taken and once with one choice a request, without a limit and within
a budget of 1,000. Writes benchmarks/results/conformance-requests.json: what was sent, what `--dry-run` says beforehand, which
checks were decided, and how long it took beside the other runs.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

from conformance.proxy import Fields
from conformance.transports import in_process

from benchmarks.harness.paths import RESULTS
from benchmarks.harness.timing import origin
from sampling import load, verify
from sampling.chat.language_model import LanguageModel
from sampling.conformance.endpoint.client import Budget
from sampling.conformance.endpoint.costs import cost
from sampling.conformance.table import CHECKS
from sampling.conformance.verdict import Verdict
from sampling.core.errors import InvalidRequest

RESULT = RESULTS / "conformance-requests.json"
OPEN = (Verdict.INCONCLUSIVE, Verdict.NOT_TESTABLE)
BUDGET = 1000


def one_choice(asked: Fields) -> Fields:
    """A request, if it asks for one choice."""
    if asked.get("n", 1) > 1:
        raise InvalidRequest("n", asked["n"], "1")
    return asked


def measured(model: LanguageModel, *, alone: bool, most: int | None) -> dict[str, Any]:
    """One run of all checks.

    Args:
        model: What is asked.
        alone: Whether one request gives one choice only.
        most: The budget of requests.
    """
    target = in_process(model, ask=one_choice if alone else lambda asked: asked, budget=Budget(most))
    began = time.perf_counter()
    report = verify(target)
    decided = [name for name, found in report.checks.items() if found.verdict not in OPEN]
    return {
        "one_choice_a_request": alone,
        "budget": most,
        "sent": target.client.budget.sent,
        "seconds": time.perf_counter() - began,
        "identified": report.headline,
        "decided": len(decided),
        "undecided": [n for n, found in report.checks.items() if found.verdict is Verdict.INCONCLUSIVE],
        "not_testable": [n for n, found in report.checks.items() if found.verdict is Verdict.NOT_TESTABLE],
    }


def main() -> None:
    """Run and record."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, default=RESULT)
    options = parser.parse_args()
    told = cost([*CHECKS])
    model = load(None)
    runs = [
        measured(model, alone=alone, most=most)
        for alone, most in ((False, None), (True, None), (True, BUDGET))
    ]
    result = {
        **origin("conformance.requests", "numpy", "scipy", tests=True),
        "dry_run": {"with_n": told.requests, "alone": told.alone},
        "runs": runs,
    }
    options.out.write_text(json.dumps(result, indent=1) + "\n")
    for run in runs:
        print(
            f"{run['sent']} requests, {run['decided']} decided, {run['seconds']:.0f} s: {run['identified']}"
        )


if __name__ == "__main__":
    main()
