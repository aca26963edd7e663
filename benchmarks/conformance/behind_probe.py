"""Are faulty samplers caught behind a probe as they are as callables, and how many requests does a verdict take?

    PYTHONPATH=tests python -m benchmarks.conformance.behind_probe [--out FILE] [--only NAME ...]

Every named mutant that is not one of biases, log probabilities or the ends of texts is put behind a probe of 1,024 tokens and
asked by its own check; the dialects are identified on it, with 16 choices a request, with four and with one. Writes
benchmarks/results/conformance-behind-probe.json, a line of progress each.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from conformance.behind_probe import BehindProbe
from conformance.faulty import MUTANTS, Mutant
from conformance.oracle_engine import OracleEngine

from benchmarks.harness.paths import RESULTS
from benchmarks.harness.timing import origin
from sampling import Probe, verify, write_probe
from sampling.conformance.endings import CouldNotRun
from sampling.conformance.probe.context import ProbeContext
from sampling.conformance.probe.engine import FunctionEngine
from sampling.conformance.probe.identify import identify_probe
from sampling.conformance.probe.runs import RUNS
from sampling.conformance.probe.target import ProbeTarget
from sampling.conformance.semantics import Semantics
from sampling.dialects import DIALECTS

RESULT = RESULTS / "conformance-behind-probe.json"
VOCAB = 1024
TOGETHER = (16, 4, 1)


def caught(mutant: Mutant, probe: Probe) -> dict[str, Any]:
    """Whether a mutant is noticed by its check, behind a probe."""
    try:
        report = verify(BehindProbe(mutant.make(), probe), probe=probe, checks=[mutant.caught_by])
    except CouldNotRun as end:  # it has no way to the arg max, or a wrong one
        return {
            "check": mutant.caught_by,
            "noticed": True,
            "verdict": "could not run",
            "evidence": str(end),
            "took": "",
        }
    found = report.checks[mutant.caught_by]
    return {
        "check": mutant.caught_by,
        "noticed": mutant.noticed(report.checks),
        "verdict": found.verdict.value,
        "evidence": found.evidence,
        "took": report.notes[0],
    }


def identified(name: str, probe: Probe, together: int) -> dict[str, Any]:
    """What it takes to identify a dialect, the look at the load included."""
    semantics = Semantics.of(DIALECTS[name])
    engine = FunctionEngine(OracleEngine(probe, semantics, together), probe)
    context = ProbeContext(ProbeTarget(engine, probe), Semantics.of(DIALECTS["qstash"]))
    context.reach()
    found = identify_probe(context)
    return {
        "dialect": name,
        "choices_a_request": together,
        "winners": [*found.winners],
        "requests": context.requests,
        "tokens": context.sampled,
    }


def main() -> None:
    """Run and record."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, default=RESULT)
    parser.add_argument("--only", nargs="+", default=[*MUTANTS], metavar="NAME", help="mutants")
    options = parser.parse_args()
    asked = [one for one in MUTANTS.values() if one.name in options.only and one.caught_by in RUNS]
    result: dict[str, Any] = {
        **origin("conformance.behind_probe", "numpy", "scipy", tests=True),
        "vocab": VOCAB,
        "not_asked": [one.name for one in MUTANTS.values() if one.caught_by not in RUNS],
        "dialects": [],
        "mutants": {},
    }
    with TemporaryDirectory() as place:
        probe = write_probe(Path(place) / "probe", vocab=VOCAB)
        for together in TOGETHER:
            for name in DIALECTS:
                result["dialects"].append(identified(name, probe, together))
                say(name, result["dialects"][-1], result, options.out)
        for mutant in asked:
            result["mutants"][mutant.name] = caught(mutant, probe)
            say(mutant.name, result["mutants"][mutant.name], result, options.out)
    missed = [name for name, found in result["mutants"].items() if not found["noticed"]]
    most = max(found["requests"] for found in result["dialects"])
    print(
        f"{len(asked) - len(missed)} of {len(asked)} caught, not {missed}; {most} requests at most to identify"
    )


def say(name: str, found: dict[str, Any], result: dict[str, Any], out: Path) -> None:
    """Say what was found, and write all that was found until then."""
    print(f"{name}: {found}", file=sys.stderr, flush=True)
    out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
