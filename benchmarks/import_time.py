"""How long `import sampling` takes beyond `import torch`.

    python -m benchmarks.import_time [--runs 10]

Each run is a fresh interpreter. Writes benchmarks/results/import_time.json.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys

from tqdm import tqdm

from benchmarks.harness.paths import RESULTS
from benchmarks.harness.timing import origin

PROBE = """
import time
start = time.perf_counter(); import torch; middle = time.perf_counter(); import sampling; end = time.perf_counter()
print(middle - start, end - middle)
"""
RESULT = RESULTS / "import_time.json"


def one_run() -> tuple[float, float]:
    """Seconds for torch, and for sampling after it."""
    printed = subprocess.run([sys.executable, "-c", PROBE], check=True, capture_output=True, text=True).stdout
    torch_seconds, own_seconds = map(float, printed.split())
    return torch_seconds, own_seconds


def main() -> None:
    """Measure and write the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=10)
    options = parser.parse_args()
    pairs = [one_run() for _ in tqdm(range(options.runs))]
    result = {
        **origin("import_time"),
        "import_torch_s": statistics.median(pair[0] for pair in pairs),
        "import_sampling_after_torch_s": statistics.median(pair[1] for pair in pairs),
        "runs": options.runs,
    }
    RESULT.write_text(json.dumps(result, indent=1) + "\n")
    print(
        f"torch {result['import_torch_s']:.2f} s, sampling after it {result['import_sampling_after_torch_s']:.3f} s"
    )


if __name__ == "__main__":
    main()
