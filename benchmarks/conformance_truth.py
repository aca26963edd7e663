"""Which recorded findings about real servers are false: python benchmarks/conformance_truth.py.

engines/truths.json has the checks in which a server does not conform, from its source or from raw requests to it on the probe
checkpoint, whose logits are known: the verdicts that are true against the page, and against the server's own dialect. In all
others it conforms. A check that says nothing ("inconclusive", "not testable here") says nothing false.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
TRUTHS: dict[str, dict[str, dict[str, Any]]] = json.loads((HERE / "engines" / "truths.json").read_text())
SAYING = ("conforms", "deviates", "ignored silently", "unsupported")
PAGE = "qstash"


def of_engine(known: Mapping[str, Any], key: str) -> Any:
    """What is known about an engine: under its key, or under that of all its runs; an empty dict if nothing is."""
    names = [name for name in known if key == name or key.startswith(f"{name}-")]
    return known[max(names, key=len)] if names else {}


def true_verdicts(key: str, dialect: str, check: str) -> list[str]:
    """The verdicts of a check that are true of a server."""
    told = of_engine(TRUTHS, key).get(check, {}).get("page" if dialect == PAGE else "own", "conforms")
    return [told] if isinstance(told, str) else told


def contradictions(result: Mapping[str, Any]) -> Iterator[str]:
    """The findings of a recorded run that are false."""
    for dialect, report in result.get("reports", {}).items():
        for check, finding in report["checks"].items():
            verdict, true = finding["verdict"], true_verdicts(result["key"], dialect, check)
            if verdict in SAYING and verdict not in true:
                yield f"{result['key']} as {dialect}: {check} {verdict}, and not {' or '.join(true)}: {finding['evidence']}"


if __name__ == "__main__":
    found = [
        line
        for path in sorted((HERE / "results").glob("conformance-*.json"))
        for result in [json.loads(path.read_text())]
        if of_engine(TRUTHS, result.get("key", ""))
        for line in contradictions(result)
    ]
    print("\n".join(found) or "No finding is false.")
    sys.exit(1 if found else 0)
