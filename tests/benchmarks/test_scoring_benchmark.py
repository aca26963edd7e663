"""The benchmark of scoring runs, its record has the right form, and the ways that it compares agree where sets are the same."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from benchmark_command import printed_by

from benchmarks.scoring.ways import WAYS


def test_a_small_run(tmp_path: Path) -> None:
    out = tmp_path / "scoring.json"
    options = ("--rows", 2, "--vocab", 500, "--rounds", 1, "--buffer-mib", 4, "--out", out)
    printed = printed_by("scoring", *options)
    result = json.loads(out.read_text())
    assert {line["way"] for line in result["lines"]} == {*WAYS}
    assert len(result["lines"]) == len(printed.splitlines()) == 2 * 2 * 2 * len(WAYS)
    assert all(line["minimum_s"] > 0 and line["largest_difference"] < 0.1 for line in result["lines"])
    assert {"command", "commit", "machine", "versions"} <= result.keys()


@pytest.mark.parametrize("k", [0, 5])
@pytest.mark.parametrize("name", WAYS)
def test_the_ways_agree(name: str, k: int) -> None:
    """Probabilities 8/16, 4/16, 2/16, 1/16, 1/16 at 0.8: three tokens are kept."""
    logits = torch.tensor([[8.0, 4.0, 2.0, 1.0, 1.0]]).log().expand(2, 5)
    found = WAYS[name].call(logits, torch.tensor([0, 2]), k, 0.8)
    assert torch.allclose(found.exp(), torch.tensor([8 / 14, 2 / 14]))
