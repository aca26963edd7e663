"""Is the fast path the readable one, in every row? Millions of random requests, each sampled both ways, compared bit for bit.

    python -m benchmarks.exactness [--rows 2000000] [--large-rows 50400] [--seed 0] [--seconds 3000]

The fast way is `Sampler.step`, eager, in batches, with the same stages once more as a `Pipeline` for the kept set. The twin,
`twin.py`, calls `sampling_kernels.reference`: dense stages in float64, truncations by sorting, the draw by a running
sum. Both share `effective_params` (what a dialect makes of a request), Philox and the products of fixed-point numbers.

Compared: status, token, processed logits, and in one of the modes the 20 alternatives, the rank, and all log probabilities.
Every row (`cases.py`) has parameters, a history, a seed and logits of its own (a row of a pool, rolled and scaled);
in some, a truncation ends within rounding of where a token begins. Writes benchmarks/results/exactness.json and exits with 1
if anything differs. One thread is enough.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

import sampling.sampler.step
from benchmarks.exactness.cases import ALTERNATIVES, Case, random_case
from benchmarks.exactness.twin import LOGITS_AT_ONCE, Fields, by_twin
from benchmarks.harness import logits as kinds
from benchmarks.harness.paths import RESULTS
from benchmarks.harness.timing import origin
from sampling import Pipeline, Sampler

RESULT = RESULTS / "exactness.json"
# Share of the rows at each width: multiples of 64 and others, below and above what the leading tokens cover.
SMALL = {64: 0.26, 100: 0.26, 129: 0.22, 256: 0.18, 1000: 0.06, 4096: 0.012, 8192: 0.004, 10007: 0.004}
LARGE = {128256: 0.92, 151936: 0.04, 262144: 0.04}
FIRST_LARGE = 128000
MOST_ROWS, ROWS_OF_LARGE = 2048, 8
SHOWN_MISMATCHES = 20


def by_library(case: Case) -> tuple[Fields, Tensor]:
    """What the sampler gives for a case, and which rows its leading tokens decided, bool [B]."""
    sampler = Sampler(
        case.params,
        vocab_size=case.logits.shape[1],
        prompt_ids=case.prompts,
        choices=case.choices.tolist(),
        dialect=case.dialect,
        logprob_modes=[case.mode],
    )
    for tokens in case.outputs:
        sampler.history.accept(tokens)
    plan = sampler.inputs.plan
    pipeline = Pipeline(*plan.edits, *plan.final)
    processed = pipeline(case.logits, sampler.history)
    with decisions() as decided:
        out = sampler.step(case.logits)
    fields = {
        "processed": processed,
        "status": out.status,
        "token": out.token_ids,
        "rank": out.ranks,
        "alternatives": out.top_token_ids,
        "logprobs": torch.cat([out.logprobs[:, None], out.top_logprobs], -1),
    }
    return fields, decided[-1] if decided else torch.zeros(len(case.params), dtype=torch.bool)


@contextmanager
def decisions() -> Generator[list[Tensor]]:
    """Listen to the step: in which rows the leading tokens were enough."""
    heard: list[Tensor] = []
    original = sampling.sampler.step.run_on_candidates

    def listening(*arguments: Any) -> tuple[Tensor, Tensor]:
        result, enough = original(*arguments)
        heard.append(enough)
        return result, enough

    with mock.patch.object(sampling.sampler.step, "run_on_candidates", listening):
        yield heard


def bits(numbers: Tensor) -> Tensor:
    """Whole numbers that are equal where the numbers are the same to the last bit."""
    return numbers.view(torch.int32) if numbers.is_floating_point() else numbers


def differing(got: Fields, expected: Fields) -> dict[str, Tensor]:
    """In which rows each field differs, bool [B]; the kept set is where the processed logits are above -inf."""
    kept = (got["processed"] > -torch.inf) != (expected["processed"] > -torch.inf)
    differs = {"kept set": kept.any(-1)}
    for name, numbers in expected.items():
        unequal = bits(got[name]) != bits(numbers)
        differs[name] = unequal.flatten(1).any(-1) if unequal.dim() > 1 else unequal
    return differs


def shown(numbers: Tensor) -> Any:
    """A row's numbers for the result; of whole rows of logits, how many are above -inf."""
    return int((numbers > -torch.inf).sum()) if numbers.numel() > ALTERNATIVES + 1 else numbers.tolist()


def compare(kind: str, vocabulary: int, rows: int, seed: Sequence[int]) -> dict[str, Any]:
    """Sample one case both ways.

    Returns:
        How many rows the leading tokens decided, and for each row that differs what is needed to run it again:
        `random_case(kind, V, B, seed)` and the row.
    """
    case = random_case(kind, vocabulary, rows, seed)
    (got, decided), expected = by_library(case), by_twin(case)
    differs = differing(got, expected)
    wrong = torch.stack(list(differs.values())).any(0).nonzero()[:, 0].tolist()
    mismatches = [
        {
            "kind": kind,
            "V": vocabulary,
            "B": rows,
            "seed": list(seed),
            "row": row,
            "dialect": case.dialect.name,
            "params": repr(case.params[row]),
            "fields": [name for name, where in differs.items() if where[row]],
            "library": {name: shown(numbers[row]) for name, numbers in got.items()},
            "twin": {name: shown(numbers[row]) for name, numbers in expected.items()},
        }
        for row in wrong
    ]
    return {"decided": int(decided.sum()), "dialect": case.dialect.name, "mismatches": mismatches}


def plan(rows: int, large_rows: int, seed: int) -> list[tuple[str, int, int]]:
    """Batches (kind, V, B) that make up the rows of each kind and width, in random order."""
    batches: list[tuple[str, int, int]] = []
    for widths, total in ((SMALL, rows - large_rows), (LARGE, large_rows)):
        for vocabulary, share in widths.items():
            most = min(max(LOGITS_AT_ONCE // vocabulary, ROWS_OF_LARGE), MOST_ROWS)
            for kind in kinds.KINDS:
                each = round(total * share / len(kinds.KINDS))
                batches += [(kind, vocabulary, min(most, each - i)) for i in range(0, each, most)]
    np.random.default_rng(seed).shuffle(batches)
    return [(kind, int(vocabulary), int(count)) for kind, vocabulary, count in batches]


def run(rows: int, large_rows: int, seed: int, seconds: float) -> dict[str, Any]:
    """Compare random cases until the rows are done or the time is used up."""
    batches, begun = plan(rows, large_rows, seed), time.monotonic()
    compared, decided, dialects = Counter[Any](), Counter[Any](), Counter[str]()
    mismatches: list[dict[str, Any]] = []
    with tqdm(total=sum(count for _, _, count in batches), unit="row") as progress:
        for number, (kind, vocabulary, count) in enumerate(batches):
            if time.monotonic() - begun > seconds:
                break
            found = compare(kind, vocabulary, count, (seed, number))
            compared[kind, vocabulary] += count
            decided[kind, vocabulary] += found["decided"]
            dialects[found["dialect"]] += count
            mismatches += found["mismatches"]
            progress.update(count)
    return {
        "seconds": round(time.monotonic() - begun),
        "rows": compared.total(),
        "rows_at_128k_or_more": sum(n for (_, width), n in compared.items() if width >= FIRST_LARGE),
        "rows_decided_by_leading_tokens": decided.total(),
        "rows_that_needed_whole_rows": compared.total() - decided.total(),
        "rows_with_mismatches": len(mismatches),
        "lines": [
            {"kind": kind, "V": width, "rows": n, "decided_by_leading_tokens": decided[kind, width]}
            for (kind, width), n in sorted(compared.items())
        ],
        "dialects": dict(sorted(dialects.items())),
        "mismatches": mismatches[:SHOWN_MISMATCHES],
    }


def main() -> None:
    """Compare, write the result, print a table; exit with 1 if anything differs."""
    parser = argparse.ArgumentParser(
        f"python -m {__package__}", description="Compare the fast path with the reference implementation."
    )
    parser.add_argument("--rows", type=int, default=2_000_000, help="all rows, the large ones among them")
    parser.add_argument("--large-rows", type=int, default=50_400, help="rows of 128256 logits and more")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=float("inf"), help="stop after this time")
    parser.add_argument("--out", type=Path, default=RESULT)
    options = parser.parse_args()
    result: dict[str, Any] = {
        **origin("exactness", "numpy"),
        "library": "Sampler.step in batches, eager; processed logits by Pipeline",
        "compared": "status, token, kept set, processed logits; 20 alternatives, rank and logprobs of a random mode",
        "logits": {name: kind.description for name, kind in kinds.KINDS.items()},
        **run(options.rows, options.large_rows, options.seed, options.seconds),
    }
    options.out.write_text(json.dumps(result, indent=1) + "\n")
    print(f"{'kind':8}{'V':>8}{'rows':>10}{'decided by leading tokens':>28}")
    for line in result["lines"]:
        print(f"{line['kind']:8}{line['V']:8}{line['rows']:10}{line['decided_by_leading_tokens']:28}")
    print(f"{result['rows']} rows, {result['rows_with_mismatches']} of them with mismatches")
    sys.exit(result["rows_with_mismatches"] > 0)


if __name__ == "__main__":
    main()
