"""Which recorded findings about real servers are false: python -m benchmarks.conformance.truth.

engines/truths.json has the checks in which a server does not conform, from its source or from raw requests to it on the probe
checkpoint, whose logits are known: the one verdict that is true against the page, and against the server's own dialect. In all
others it conforms. A check that says nothing ("inconclusive", "not testable here") says nothing false. What was recorded
before a mend of the checks that it would be judged by is told, and not judged (engines/stale.json).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from benchmarks.harness.paths import RESULTS

HERE = Path(__file__).parent
TRUTHS: dict[str, dict[str, dict[str, Any]]] = json.loads((HERE / "engines" / "truths.json").read_text())
STALE: dict[str, str] = json.loads((HERE / "engines" / "stale.json").read_text())
SAYING = ("conforms", "deviates", "ignored silently", "unsupported")
PAGE = "qstash"


def of_engine(known: Mapping[str, Any], key: str) -> Any:
    """What is known about an engine: under its key, or under that of all its runs; an empty dict if nothing is."""
    names = [name for name in known if key == name or key.startswith(f"{name}-")]
    return known[max(names, key=len)] if names else {}


def true_verdict(key: str, dialect: str, check: str) -> str:
    """The verdict of a check that is true of a server; where that depends on the checkpoint, its name is in the key."""
    told = of_engine(TRUTHS, key).get(check, {}).get("page" if dialect == PAGE else "own", "conforms")
    return (
        told
        if isinstance(told, str)
        else next(verdict for name, verdict in told.items() if name in key.split("-"))
    )


def contradictions(result: Mapping[str, Any]) -> Iterator[str]:
    """The findings of a recorded run that are false; none of one that is older than the checks."""
    if result["commit"] == STALE.get(result["key"]):
        return
    for dialect, report in result.get("reports", {}).items():
        for check, finding in report["checks"].items():
            verdict, true = finding["verdict"], true_verdict(result["key"], dialect, check)
            if verdict in SAYING and verdict != true:
                yield f"{result['key']} as {dialect}: {check} {verdict}, and not {true}: {finding['evidence']}"


if __name__ == "__main__":
    found = [
        line
        for path in sorted(RESULTS.glob("conformance-*.json"))
        for result in [json.loads(path.read_text())]
        if of_engine(TRUTHS, result.get("key", ""))
        for line in contradictions(result)
    ]
    print("\n".join(found) or "No finding is false.")
    print(
        "\n".join(
            f"Not judged, being older than the checks: {key} ({commit})" for key, commit in STALE.items()
        )
    )
    sys.exit(1 if found else 0)
