"""Which sampling semantics do real engines have? The conformance kit on each, against the page and against its own dialect.

    PYTHONPATH=UNPACKED_WHEELS python -m benchmarks.conformance.matrix [ENGINE ...] [--environments DIR]
        [--requests N] [--out DIR]

One engine a process is the rule: some change what others import. An engine that cannot be imported or started is recorded
with the reason. Writes benchmarks/results/conformance-ENGINE.json; `python -m benchmarks.conformance.table` makes
docs/conformance_matrix.md from these. benchmarks/README.md says how to come by the engines.
"""

from __future__ import annotations

import argparse
import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks.conformance.engines.table import ENGINES, REQUESTS, Engine
from benchmarks.harness.paths import RESULTS
from benchmarks.harness.timing import origin
from sampling.conformance.endings import CheckEnded
from sampling.conformance.verify import verify

PAGE = "qstash"


def examined(key: str, engine: Engine, environments: Path, requests: int) -> dict[str, Any]:
    """The reports on one engine, or why there is none."""
    head = {"engine": engine.name, "key": key, "dialect": engine.dialect, **origin("conformance.matrix")}
    with ExitStack() as stack:
        try:
            opened = stack.enter_context(engine.open(environments))
        except (ImportError, OSError, RuntimeError, AttributeError, CheckEnded) as error:
            return {**head, "not_available": f"{type(error).__name__}: {error}"}
        asked = dict.fromkeys((PAGE, engine.dialect))
        reports = {name: verify(opened.target(requests), name).to_json() for name in asked}
    return {**head, "version": opened.version, "through": opened.through, "reports": reports}


def main() -> None:
    """Examine engines and store what was found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("engines", nargs="*", default=[], help=f"of {', '.join(ENGINES)}; all when left out")
    parser.add_argument(
        "--environments", type=Path, default=Path("environments"), help="folder of engines/environments.sh"
    )
    parser.add_argument(
        "--requests", type=int, default=REQUESTS, help="to a server, at most, in one verification"
    )
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the results")
    options = parser.parse_args()
    for key in options.engines or ENGINES:
        result = examined(key, ENGINES[key], options.environments, options.requests)
        (options.out / f"conformance-{key}.json").write_text(json.dumps(result, indent=1) + "\n")
        found = {name: report["headline"] for name, report in result.get("reports", {}).items()}
        print(f"{key}: {result.get('not_available') or found}")


if __name__ == "__main__":
    main()
