"""Write vectors.json: test vectors that another implementation can check itself by, computed by the oracle alone.

Run `python tests/kernels/make_vectors.py` with tests/ on the path. Logits are float32 bit patterns in hexadecimal; shares,
weights and sums are integers; 64-bit numbers are hexadecimal strings, since many JSON readers round integers above 2^53.
"""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
import oracle

FILE = Path(__file__).with_name("vectors.json")
SEEDS = [0, 1, 42, 2**32, 2**63, 2**64 - 1, -1, -(2**63)]


def rows() -> dict[str, list[float]]:
    """Logits by name: ties, zeros of both signs, denormals, bans, gaps past every limit, and random rows."""
    rng = random.Random(1)
    inf = oracle.INF
    named = {
        "one token": [-3.5],
        "ten equal": [0.25] * 10,
        "eight equal": [-100.0] * 8,
        "both zeros": [-0.0, 0.0, -1.0, 0.0, -0.0],
        "denormals": [oracle.from_bits32(b) for b in (1, 0x80000001, 0x007FFFFF, 0, 0x00800000, 0x80000000)],
        "bans": [-inf, 1.0, -inf, 0.5, 1.0, -inf],
        "all but one banned": [-inf, -inf, 88.0, -inf],
        "gaps": [0.0, -1.0, -9.0, -30.0, -30.25, -30.4, -30.5, -31.0, -45.0, -46.0, -1000.0],
        "extremes": [3.4e38, -3.4e38, 3.4e38, 0.0],
        "two levels": [0.0] + [-3.0] * 20,
        "halves": [1.0, 1.0, 0.0, 0.0, 0.0, 0.0, -1.0, -1.0],
    }
    for scale in (0.01, 1.0, 4.0, 15.0):
        named[f"normal, scale {scale}"] = [rng.gauss(0, scale) for _ in range(24)]
    named["quarters, tied"] = [round(rng.gauss(0, 6)) / 4 for _ in range(48)]
    named["257 wide"] = [rng.gauss(0, 3) for _ in range(257)]
    return {name: [oracle.f32(x) for x in row] for name, row in named.items()}


def nuclei(row: list[float]) -> list[dict[str, object]]:
    """Kept sets of top_p under both rules of both kinds."""
    return [
        {"p": p, "tie_break": tie_break, "stops_at_equality": stops, "kept": sorted(kept)}
        for p in ("0", "1e-12", "0.5", "0.75", "0.9", "0.999")
        for tie_break in ("lowest_id", "highest_id")
        for stops in (True, False)
        for kept in [oracle.nucleus(row, p, tie_break=tie_break, stops_at_equality=stops)]
    ]


def draws(row: list[float]) -> list[dict[str, object]]:
    """Tokens by key."""
    keys = [(seed, position, choice) for seed in SEEDS for position, choice in ((0, 0), (1, 0), (0, 1))]
    return [
        {
            "seed": seed,
            "position": position,
            "choice": choice,
            "token": oracle.draw(row, seed, position, choice),
        }
        for seed, position, choice in keys
    ]


def vectors() -> dict[str, object]:
    """The whole file."""
    keys = [(seed, position, choice) for seed in SEEDS for position in (0, 1, 2**32 - 1) for choice in (0, 3)]
    return {
        "uniforms": [
            {"seed": s, "position": p, "choice": c, "u": f"{oracle.uniform(s, p, c):016x}"}
            for s, p, c in keys
        ],
        "shares": [
            {"p": p, "share": oracle.share(p)} for p in ("0", "1e-12", "0.1", "0.5", "0.9", "0.999", "1")
        ],
        "rows": [
            {
                "name": name,
                "logits": [f"{oracle.bits32(x):08x}" for x in row],
                "weights": oracle.weights(row),
                "order": oracle.order(row),
                "top_p": nuclei(row),
                "top_k": [{"k": k, "kept": sorted(oracle.top_k(row, k))} for k in (0, 1, 3, 20)],
                "min_p": [{"p": p, "kept": sorted(oracle.min_p(row, p))} for p in ("0", "0.05", "0.5", "1")],
                "draws": draws(row),
            }
            for name, row in rows().items()
        ],
    }


if __name__ == "__main__":
    made = vectors()
    parts = [f'"{key}": [\n' + ",\n".join(map(json.dumps, made[key])) + "\n]" for key in made]
    FILE.write_text("{\n" + ",\n".join(parts) + "\n}\n")
