"""What the definition of the weights costs, beside the candidates that it was chosen from.

    python -m benchmarks.exactness.exponential [--rows 1 8] [--repeats 50]

For each candidate: eager and compiled time for rows of V = 128256 logits, interleaved in one process; its largest
relative error; and its operations per element, counted from the traced graph, which is what a GPU pays.
Writes benchmarks/results/exponential.json.
"""

from __future__ import annotations

import argparse
import json
import math
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from sampling_kernels.weights import weights
from torch import Tensor
from torch.fx.experimental.proxy_tensor import make_fx
from tqdm import tqdm

from benchmarks.harness.paths import RESULTS
from benchmarks.harness.timing import origin, summary, timed

VOCABULARY = 128256
BINARY_POINT = 32  # fraction bits of the base-2 exponent in the integer candidates
RESULT = RESULTS / "exponential.json"

Candidate = Callable[[Tensor], Tensor]


def polynomial(table_bits: int, degree: int) -> list[int]:
    """Coefficients of 1 - 2^-x on [0, 2^-table_bits), scaled by 2^31, by least squares at Chebyshev points."""
    points = (np.cos(np.pi * (np.arange(200) + 0.5) / 200) + 1) / 2 / 2**table_bits
    powers = np.stack([points ** (k + 1) for k in range(degree)], axis=1)
    solution = np.linalg.lstsq(powers, 1 - 2.0**-points, rcond=None)[0]
    return [round(abs(float(c)) * 2**31) for c in solution]


def integer_candidate(table_bits: int, degree: int) -> Candidate:
    """2^-x from a table of 2^table_bits entries and an integer polynomial, x the gap in units of ln 2."""
    entries = 2**table_bits
    table = torch.tensor([round(2**31 * 2.0 ** (-i / entries)) for i in range(entries)])
    first, *rest = reversed(polynomial(table_bits, degree))
    low_bits = BINARY_POINT - table_bits

    def evaluate(logits: Tensor) -> Tensor:
        gap = logits.amax(-1, keepdim=True).double() - logits.double()
        x = (gap * (math.log2(math.e) * 2.0**BINARY_POINT)).clamp(max=45.0 * 2**BINARY_POINT).to(torch.int64)
        whole, rest_bits = x >> BINARY_POINT, x & (2**low_bits - 1)
        drop = first
        for coefficient in rest:
            drop = coefficient - ((rest_bits * drop) >> BINARY_POINT)
        mantissa = 2**31 - ((rest_bits * drop) >> BINARY_POINT)
        product = (mantissa << 31) if table_bits == 0 else table[(x >> low_bits) & (entries - 1)] * mantissa
        return ((product >> (18 + whole)) + 1) >> 1

    return evaluate


CANDIDATES: dict[str, Candidate] = {
    "rational power, the definition": weights,
    "integer polynomial, degree 7": integer_candidate(0, 7),
    "table of 32, degree 3": integer_candidate(5, 3),
    "table of 64, degree 2": integer_candidate(6, 2),
    "table of 256, degree 2": integer_candidate(8, 2),
}


def largest_error(candidate: Candidate) -> float:
    """Largest relative error above the rounding of the weight itself, over gaps of 0 to 20."""
    gaps = torch.linspace(0, 20, 200_001, dtype=torch.float64).float()
    exact = 2.0**43 * np.exp(-gaps.double().numpy())
    found = candidate(-gaps[None])[0].double().numpy()
    return float(np.max(np.abs(found - exact) / exact - 1 / exact))


def operations(candidate: Candidate) -> dict[str, int]:
    """Operations per element, by name and type of the result."""
    graph = make_fx(candidate)(torch.randn(1, 64)).graph
    calls = [node for node in graph.nodes if node.op == "call_function"]
    kinds = [f"{node.target.__name__.split('.')[0]} {node.meta['val'].dtype}" for node in calls]
    return dict(Counter(kind.replace("torch.", "") for kind in kinds))


def measure(rows: int, repeats: int) -> list[dict[str, object]]:
    """Times of all candidates, eager and compiled, one call of each in turn."""
    logits = 3 * torch.randn(rows, VOCABULARY, generator=torch.Generator().manual_seed(0))
    calls: dict[tuple[str, str], Candidate] = {}
    for name, candidate in CANDIDATES.items():
        compiled = torch.compile(candidate, fullgraph=True, dynamic=False)
        assert torch.equal(compiled(logits), candidate(logits)), name
        calls[name, "eager"], calls[name, "compiled"] = candidate, compiled
    seconds: dict[tuple[str, str], list[float]] = {key: [] for key in calls}
    for _ in tqdm(range(repeats), desc=f"B = {rows}"):
        for key, call in calls.items():
            seconds[key].append(timed(lambda call=call: call(logits)))
    return [{"candidate": n, "form": form, "B": rows, **summary(s)} for (n, form), s in seconds.items()]


def main() -> None:
    """Measure everything and write the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--repeats", type=int, default=50)
    parser.add_argument("--out", type=Path, default=RESULT)
    options = parser.parse_args()
    result = {
        **origin("exactness.exponential"),
        "V": VOCABULARY,
        "logits": "3 N(0, 1), float32",
        "candidates": {
            name: {"largest_relative_error": largest_error(candidate), "operations": operations(candidate)}
            for name, candidate in CANDIDATES.items()
        },
        "times": [line for rows in options.rows for line in measure(rows, options.repeats)],
    }
    options.out.write_text(json.dumps(result, indent=1) + "\n")
    for line in result["times"]:
        print(f"{line['candidate']:32} {line['form']:9} B = {line['B']}: {line['median_us']:9.0f} us")


if __name__ == "__main__":
    main()
