"""Does the conformance kit notice every named mutant, and nothing in the reference?

    PYTHONPATH=tests python -m benchmarks.conformance.power [--repeats 100] [--runs 1000] [--only mutants|reference]
        [--named NAME ...] [--checks ID ...]

A repeat makes the mutant anew, and runs the one check that must notice it with the draws that `verify` makes by itself, under
seeds of its own. The detection rate has to be 0.99 but for three standard errors. A run of the reference is all checks with
seeds of its own; nothing in it may be other than "conforms". What a mutant does wrong must be no fault to the checks that it is
none of their business of, either. All tokens are drawn by the samplers themselves. Writes
benchmarks/results/conformance-power.json and from it sampling/conformance/score.json, which reports of the kit quote. With
--only, the other part stays as it was, and runs of the reference are added to those that are there, under the next seeds.
--named repeats some mutants and leaves the others as they were; --checks runs the reference with some checks, in an account of
their own.
Exits with 1 if a mutant is missed too often or the reference suspected.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from conformance.faulty import MUTANTS, Mutant
from tqdm import tqdm

import sampling.conformance.score
from benchmarks.harness.paths import RESULTS
from benchmarks.harness.timing import origin
from sampling.conformance.reference import reference
from sampling.conformance.report import SPEC_VERSION
from sampling.conformance.table import CHECKS
from sampling.conformance.verdict import FALSE_ALARM, POWER, Verdict
from sampling.conformance.verify import verify

RESULT = RESULTS / "conformance-power.json"
SCORE = Path(sampling.conformance.score.__file__).with_suffix(".json")


def least_rate(repeats: int) -> float:
    """The detection rate that is asked for: POWER less three standard errors."""
    return POWER - 3 * math.sqrt(POWER * (1 - POWER) / repeats)


def power_of(mutant: Mutant, repeats: int) -> dict[str, Any]:
    """How often a mutant's check notices it."""
    noticed, spared, draws, verdicts = 0, 0, list[int](), Counter[str]()
    for repeat in range(repeats):
        found = verify(mutant.make(), checks=[mutant.caught_by, *mutant.spared_by], seed=repeat).checks
        noticed += mutant.noticed(found)
        spared += mutant.spared(found)
        draws.append(found[mutant.caught_by].draws)
        verdicts[found[mutant.caught_by].verdict.value] += 1
    return {
        "wrong": mutant.wrong,
        "source": mutant.source,
        "check": mutant.caught_by,
        **({"spared_by": mutant.spared_by, "spared": spared} if mutant.spared_by else {}),
        "noticed": noticed,
        "repeats": repeats,
        "rate": noticed / repeats,
        "enough": noticed / repeats >= least_rate(repeats) and spared == repeats,
        "verdicts": dict(verdicts),
        "median_draws": statistics.median(draws),
        "most_draws": max(draws),
    }


def mutants_part(known: dict[str, Any], repeats: int, names: list[str]) -> dict[str, Any]:
    """The rate of every mutant, those of earlier calls included, and the score."""
    bar = tqdm([MUTANTS[name] for name in names or MUTANTS], desc="mutants")
    measured = {**known.get("rates", {}), **{mutant.name: power_of(mutant, repeats) for mutant in bar}}
    rates = {name: measured[name] for name in MUTANTS if name in measured}
    return {
        **origin("conformance.power", "numpy", "scipy", tests=True),
        "repeats": repeats,
        "least_rate": least_rate(repeats),
        "score": {"caught": sum(line["enough"] for line in rates.values()), "mutants": len(rates)},
        "checks_with_a_mutant": len({line["check"] for line in rates.values()}),
        "rates": rates,
    }


def reference_part(known: dict[str, Any], runs: int, checks: list[str]) -> dict[str, Any]:
    """What the checks say about the reference, run after run, those of earlier calls included."""
    first = known.get("runs", 0)
    verdicts, alarms = (
        Counter[str](known.get("verdicts", {})),
        list[dict[str, Any]](known.get("not_conforming", [])),
    )
    for run in tqdm(range(first, first + runs), desc="reference"):
        for name, finding in verify(reference(), checks=checks, seed=run).checks.items():
            verdicts[finding.verdict.value] += 1
            if finding.verdict != Verdict.CONFORMS:
                alarms.append(
                    {"run": run, "check": name, "verdict": finding.verdict, "evidence": finding.evidence}
                )
    part = {**origin("conformance.power", "numpy", "scipy", tests=True), "first": first, "runs": runs}
    return {
        "runs": first + runs,
        "checks": len(checks),
        **({} if len(checks) == len(CHECKS) else {"names": checks}),
        "promised_false_alarm_rate": FALSE_ALARM,
        "verdicts": dict(verdicts),
        "not_conforming": alarms,
        "parts": [*known.get("parts", []), part],
    }


def score_of(result: dict[str, Any]) -> dict[str, Any]:
    """What reports of the kit say about the kit."""
    mutants, runs = result["mutants"], result["reference"]
    since = result.get("reference_of_some_checks", {"runs": 0, "checks": 0, "not_conforming": []})
    return {
        **mutants["score"],
        "repeats": mutants["repeats"],
        "least_rate": min(line["rate"] for line in mutants["rates"].values()),
        "reference_runs": runs["runs"],
        "reference_findings": sum(runs["verdicts"].values()),
        "reference_date": max(part["date"] for part in runs["parts"]),
        "false_alarms": len(runs["not_conforming"]) + len(since["not_conforming"]),
        "since": {"runs": since["runs"], "checks": since["checks"]},
        "spec": SPEC_VERSION,
        "date": mutants["date"],
    }


def main() -> None:
    """Run one part or both, and store them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=100, help="of each mutant")
    parser.add_argument("--runs", type=int, default=1000, help="of the reference")
    parser.add_argument("--only", choices=("mutants", "reference"))
    parser.add_argument("--named", nargs="*", default=[], choices=MUTANTS, help="mutants")
    parser.add_argument("--checks", nargs="*", default=[], choices=CHECKS, help="of the reference's runs")
    parser.add_argument("--out", type=Path, default=RESULT)
    options = parser.parse_args()
    result = json.loads(options.out.read_text()) if options.only and options.out.exists() else {}
    if options.only != "reference":
        earlier = result.get("mutants", {}) if options.named else {}
        result["mutants"] = mutants_part(earlier, options.repeats, options.named)
    if options.only != "mutants":
        account = "reference_of_some_checks" if options.checks else "reference"
        result[account] = reference_part(result.get(account, {}), options.runs, options.checks or [*CHECKS])
    options.out.write_text(json.dumps(result, indent=1) + "\n")
    if options.out == RESULT and {"mutants", "reference"} <= result.keys():
        SCORE.write_text(json.dumps(score_of(result), indent=1) + "\n")
    missed = [name for name, line in result.get("mutants", {}).get("rates", {}).items() if not line["enough"]]
    accounts = [part for name, part in result.items() if name.startswith("reference")]
    alarms = [alarm for part in accounts for alarm in part["not_conforming"]]
    print(f"missed: {', '.join(missed) or 'none'}; not conforming: {len(alarms)}")
    sys.exit(1 if missed or alarms else 0)


if __name__ == "__main__":
    main()
