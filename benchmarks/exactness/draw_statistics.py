"""Are the draws distributed as documented? The statistical tests of the draw at full size.

    PYTHONPATH=tests python -m benchmarks.exactness.draw_statistics [--draws 100000000]

The trials, the oracle and the faulty samplers are those of the tests (`tests/draw_trials.py`), which run them with a million
draws. Every test has one faulty sampler to reject, and states its false-alarm rate and what it detects with power 0.99:
for chi-square tests the root mean square of the relative error, weighted by probability (for independence, the
correlation), for races factors on the expected count, for kept sets the probability of a token outside.
Writes benchmarks/results/draw_statistics.json. Runs on one thread.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from draw_trials import Trial, gumbel_trials, independences, integer_trials, verdicts, wide_gumbel_trials
from scaled_draws import (
    SEED,
    VOCABULARY,
    Noise,
    Sampler,
    blocks,
    by_gumbel,
    by_weight,
    far_tail,
    gumbels,
    keys,
    peaked,
    sequence,
    softmax,
    uniforms,
    zipf,
)
from statistics_tools import POWER, Verdict
from torch import Tensor
from tqdm import tqdm

from benchmarks.harness.paths import RESULTS
from benchmarks.harness.timing import origin
from sampling import draw

RESULT = RESULTS / "draw_statistics.json"
LAGS = (1, 2, 3, 32)
AXES = ("position", "seed", "choice")

Record = dict[str, Any]
MEASURED = ("statistic", "p_value", "count", "outside")


def progress(draws: int, width: int, what: str) -> Iterator[tuple[int, int]]:
    """The blocks of so many draws, with a bar."""
    with tqdm(total=draws, desc=what, unit=" draws", unit_scale=True) as bar:
        for start, count in blocks(draws, width):
            yield start, count
            bar.update(count)


def record(test: str, rule: str, right: Verdict, faulty_name: str, wrong: Verdict) -> Record:
    """One line of the result."""
    faulty = {name: value for name, value in asdict(wrong).items() if name in MEASURED}
    return {
        "test": test,
        "rule": rule,
        **asdict(right),
        "passed": right.passed,
        "faulty_sampler": {"name": faulty_name, **faulty, "rejected": not wrong.passed},
    }


def tried(rule: str, noise: Noise, trials: list[Trial], draws: int, width: int) -> list[Record]:
    """Records of trials that look at one stream of noise."""
    what = f"{rule}, V = {trials[-1].size}"
    lines = verdicts(noise, trials, progress(draws, width, what))
    return [
        record(f"{trial.name}, V = {trial.size}", rule, right, trial.faulty_name, wrong)
        for trial, right, wrong in lines
    ]


def serial(rule: str, noise: Noise, sampler: Sampler, draws: int, width: int) -> list[Record]:
    """Records of independence between keys that differ in one part."""
    probabilities, lines = softmax(peaked()), []
    for axis in AXES:
        tokens = sequence(noise, sampler, axis, progress(draws, width, f"{rule}, {axis}s"))
        for lag in LAGS:
            right, wrong = independences(tokens, probabilities, lag)
            faulty_name = f"the draw of {lag} before, every second time"
            lines.append(
                record(f"independence, pairs of {axis}s {lag} apart", rule, right, faulty_name, wrong)
            )
    return lines


def agreement(
    name: str, rule: str, noise: Noise, sampler: Sampler, logits: Tensor, draws: int, rows: int
) -> Record:
    """How many tokens of `sampling.draw` itself the sampler gives."""
    same = 0
    for start in range(0, draws, rows):
        values = keys("position", start, rows)
        own = draw(logits.expand(rows, -1), seed=SEED, position=values[1], rule=rule)
        same += int((own == sampler(noise(*values))).sum())
    return {"distribution": name, "rule": rule, "V": len(logits), "positions": draws, "same": same}


def agreements() -> list[Record]:
    """The samplers of every distribution beside `sampling.draw`."""
    return [
        agreement("peaked", "integer", uniforms, by_weight(peaked()), peaked(), 8192, 1024),
        agreement("Zipf", "integer", uniforms, by_weight(zipf()), zipf(), 2048, 16),
        agreement("far tail", "integer", uniforms, by_weight(far_tail()), far_tail(), 2048, 16),
        agreement("peaked", "gumbel", gumbels(32), by_gumbel(peaked()), peaked(), 8192, 1024),
    ]


def tests(draws: int) -> list[Record]:
    """Every test; the wide Gumbel race draws V values of noise for each token, so it gets fewer tokens."""
    narrow, wide = gumbels(32), gumbels(VOCABULARY)
    return [
        *tried("integer", uniforms, integer_trials(draws), draws, 1),
        *serial("integer", uniforms, by_weight(peaked()), draws // 10, 1),
        *tried("gumbel", narrow, gumbel_trials(draws), draws, 32),
        *tried("gumbel", wide, wide_gumbel_trials(), max(256, draws // 50_000), VOCABULARY),
        *serial("gumbel", narrow, by_gumbel(peaked()), draws // 100, 32),
    ]


def main() -> None:
    """Run everything and write the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=100_000_000)
    parser.add_argument("--out", type=Path, default=RESULT)
    options = parser.parse_args()
    torch.set_num_threads(1)
    source, started = origin("exactness.draw_statistics", "numpy", "scipy", tests=True), time.perf_counter()
    same, lines = agreements(), tests(options.draws)
    result = {
        **source,
        "minutes": round((time.perf_counter() - started) / 60, 1),
        "keys": f"seed {SEED}, choice 0, positions from 0 on; independence: one part from 0 on, the others fixed",
        "power": POWER,
        "same_as_sampling_draw": same,
        "tests": lines,
    }
    options.out.write_text(json.dumps(result, indent=1) + "\n")
    for line in lines:
        print(shown(line))


def shown(line: Record) -> str:
    """One line of the table."""
    faulty = line["faulty_sampler"]
    verdict = "passed" if line["passed"] else "FAILED"
    rejected = "rejects" if faulty["rejected"] else "DOES NOT REJECT"
    return f"{line['rule']:8} {line['test']:43} {line['draws']:>11} {found(line):36} {verdict}, {rejected} {faulty['name']}"


def found(line: Record) -> str:
    """What a test found, in a few words."""
    if "p_value" in line:
        return f"p = {line['p_value']:.3f}, detects {line['detectable_effect']:.5f}"
    if "outside" in line:
        return f"{line['outside']} outside {line['kept']} tokens"
    return f"{line['count']}, expected {line['expected']:.1f}, band {line['band']}"


if __name__ == "__main__":
    main()
