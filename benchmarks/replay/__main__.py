"""Is a rule of the draw that of its engine? The engine's own code draws, the rule is asked afterwards.

    python -m benchmarks.replay [RULE ...] [--environments DIR] [--out DIR] [--vectors DIR]

Each engine runs in an environment of its own, which `bash benchmarks/replay/environments.sh DIR` makes. Writes
benchmarks/results/replay-RULE.json; with --vectors, small vectors for the tests as well. Ends with 1 where a rule differs from
its engine outside the stated margin.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from benchmarks.harness.paths import RESULTS, ROOT
from benchmarks.harness.timing import origin
from benchmarks.replay.cases import Case
from benchmarks.replay.table import ENGINES, Engine
from sampling import Margin, draw, draw_margin
from sampling.sampler.rules import RULES, Rule, rule_of_batch

FEWEST = 2000


def answers(engine: Engine, cases: list[Case], environments: Path) -> list[tuple[Tensor, Tensor]]:
    """Tokens and processed logits of each case, by the engine."""
    script = ROOT / "benchmarks" / "replay" / "engines" / engine.script
    with tempfile.TemporaryDirectory() as folder:
        given, got = Path(folder) / "cases.pt", Path(folder) / "tokens.pt"
        torch.save(cases, given)
        python = environments.absolute() / engine.environment / "bin" / "python"
        subprocess.run([python, "-W", "ignore", script, given, got], check=True)
        return torch.load(got)


def answers_of_rule(case: Case, logits: Tensor, rule: Rule) -> tuple[Tensor, Margin]:
    """Tokens and margins by the rule, batch by batch."""
    size = case.get("rows", len(logits))
    tokens, margins = [], []
    for start in range(0, len(logits), size):
        rows = slice(start, start + size)
        keys: dict[str, Any] = {name: case[name][rows] for name in ("seed", "choice", "position")}
        tokens.append(draw(logits[rows], **keys, rule=rule))
        margins.append(draw_margin(logits[rows], **keys, rule=rule))
    parts = [
        torch.cat([getattr(one, name) for one in margins]) for name in ("runner_up", "distance", "tolerance")
    ]
    return torch.cat(tokens), Margin(*parts)


def compared(case: Case, tokens: Tensor, logits: Tensor) -> dict[str, Any]:
    """How the rule's tokens compare with the engine's."""
    rule = cast("Rule", case["rule"])
    rule = rule_of_batch(rule, [any(case[name] is not None for name in RULES[rule].sorted_by)])
    own, margin = answers_of_rule(case, logits, rule)
    equal = own == tokens
    close = ~equal & ~margin.decided  # of many small tokens in a running sum, several may be that near
    return {
        "rule": rule,
        "vocab_size": logits.shape[1],
        "top_k": case["top_k"],
        "top_p": case["top_p"],
        "tokens": len(tokens),
        "equal": int(equal.sum()),
        "within_margin": int(close.sum()),
        "different": int((~equal & ~close).sum()),
        "decided": int(margin.decided.sum()),
        "least_distance": float(margin.distance.min()),
    }


def vectors(case: Case, tokens: Tensor, logits: Tensor, count: int = 12) -> dict[str, Any]:
    """Some rows of a small case with the engine's answers, floats as hexadecimal."""
    count -= count % case.get("rows", 1)
    rows = [[value.hex() for value in row] for row in logits[:count].tolist()]
    keys = {name: case[name][:count] for name in ("seed", "choice", "position")}
    same = {"rows": case.get("rows", count), "top_k": case["top_k"], "top_p": case["top_p"]}
    return keys | same | {"logits": rows, "token_ids": tokens[:count].tolist()}


def examined(name: str, environments: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The record of a rule, and vectors."""
    engine = ENGINES[name]
    cases = engine.cases(name)
    got = list(zip(cases, answers(engine, cases, environments), strict=True))
    parts = [compared(case, *answer) for case, answer in got]
    counts = ("tokens", "equal", "within_margin", "different", "decided")
    total = {key: sum(part[key] for part in parts) for key in counts}
    head = {
        "rule": name,
        "source": RULES[name].source,
        "packages": engine.packages,
        "through": engine.through,
    }
    small = [vectors(case, *answer) for case, answer in got if case["logits"].shape[1] <= 16]
    return head | {**origin("replay"), **total, "cases": parts}, small


def main() -> None:
    """Examine rules and store what was found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("rules", nargs="*", default=[], help=f"of {', '.join(ENGINES)}; all when left out")
    parser.add_argument(
        "--environments", type=Path, default=Path("environments"), help="folder of environments.sh"
    )
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the results")
    parser.add_argument("--vectors", type=Path, help="folder for vectors, tests/sampler/vectors")
    options = parser.parse_args()
    wrong = False
    for name in options.rules or ENGINES:
        result, small = examined(name, options.environments)
        (options.out / f"replay-{name}.json").write_text(json.dumps(result, indent=1) + "\n")
        if options.vectors:
            (options.vectors / f"{name}.json").write_text(json.dumps({"rule": name, "batches": small}) + "\n")
        print({key: value for key, value in result.items() if isinstance(value, int)} | {"rule": name})
        wrong |= result["different"] > 0 or result["tokens"] < FEWEST
    sys.exit(wrong)


if __name__ == "__main__":
    main()
