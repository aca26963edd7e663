"""The report holds what the results hold, and nothing else; each figure has the command that measured it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from benchmark_command import printed_by

COMMAND = "python -m benchmarks.decode --shapes 240M"
ORIGIN: dict[str, Any] = {
    "command": COMMAND,
    "date": "2026-11-25",
    "commit": "0123abc",
    "device": "cpu",
    "machine": {"processor": "a CPU", "threads": 2, "last_level_cache_bytes": 2**25},
    "versions": {"torch": "2.13.0"},
}
JOB: dict[str, Any] = {
    "shape": "240M",
    "dtype": "float32",
    "sampling": "sampled",
    "B": 1,
    "context": 128,
    "new": 32,
    "bytes_per_step": 10**9,
    "read_GB_per_s": 32.0,
}
DECODED = {
    "decode_tokens_per_s": 23.4567,
    "prefill_tokens_per_s": 512.0,
    "share_of_bandwidth": 0.7331,
    "sampler_share": 0.0123,
    "times_as_fast_as": {"transformers": 1.87},
}


def times(median: float) -> dict[str, float]:
    return {"median_us": median, "p10_us": 0.9 * median, "p90_us": 1.2 * median}


def decode_result() -> dict[str, Any]:
    engine = JOB | DECODED | {"engine": "eager", "ttft": times(2e5), "tpot": times(42632.0)}
    sweep = [
        JOB | DECODED | {"engine": "eager", "axis": "rows", "value": rows, "step": times(4e4 + 1e3 * rows)}
        for rows in (1, 16)
    ]
    absent = JOB | {"part": "engines", "engine": "gpt-fast", "not_available": "no package"}
    memory = JOB | {"part": "memory", "engine": "eager", "peak_bytes": 3 * 2**30}
    lines = [engine | {"part": "engines"}, *(line | {"part": "growth"} for line in sweep), absent, memory]
    return ORIGIN | {"weights": "random", "lines": lines}


def api_result() -> dict[str, Any]:
    line = {
        "way": "chat",
        "parameter": "temperature",
        "tokens_per_s": 98.7,
        "request_tokens_per_s": 90.1,
        "share_of_greedy": 0.9,
        "added_us": 12.0,
        "per_token": times(1e4),
        "request": times(1e5),
    }
    refused = {"way": "chat", "parameter": "seed", "refused": "422"}
    return ORIGIN | {"model": {"name": "toy"}, "lines": [line, refused]}


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """The report of three results, one of them of a short run, and its folder of pictures."""
    folder, out = tmp_path_factory.mktemp("results"), tmp_path_factory.mktemp("out")
    (folder / "decode-cpu-240M.json").write_text(json.dumps(decode_result()))
    (folder / "decode-cpu-short.json").write_text(json.dumps(decode_result() | {"command": "of a short run"}))
    (folder / "api-toy-cpu.json").write_text(json.dumps(api_result()))
    printed_by("report", "--results", folder, "--out", out)
    return (out / "REPORT.md").read_text(), out / "report"


def test_figures_are_those_of_the_results(page: tuple[str, Path]) -> None:
    assert "| eager | 23.5 | 42.6 ms | 38.4-51.2 | 1.87 |  |" in page[0]
    assert "| eager | 73.3% | 1.2% | 200 ms | 180-240 | 512 |" in page[0]
    assert "| eager | 3,072 MiB | 954 MiB | 3.22 |" in page[0]
    assert "| 16 | 56.0 ms | 50.4-67.2 | 23.5 | 73.3% | 1.37 |" in page[0]
    assert "| temperature | 98.7 |" in page[0]


def test_what_is_missing_is_said(page: tuple[str, Path]) -> None:
    assert "gpt-fast: not available: no package" in page[0]
    assert "| seed | refused |" in page[0]


def test_each_result_has_its_command(page: tuple[str, Path]) -> None:
    assert page[0].count(f"    {COMMAND}\n") == 2
    assert "`results/decode-cpu-240M.json`, commit 0123abc" in page[0]
    assert "short run" not in page[0]


def test_every_picture_of_the_page_is_there(page: tuple[str, Path]) -> None:
    text, folder = page
    pictures = sorted(folder.glob("*.svg"))
    assert [picture.stem for picture in pictures] == [
        "decode",
        "growth-of-a-decode-step",
        "what-each-parameter-costs",
    ]
    for picture in pictures:
        assert f"](report/{picture.name})" in text
        assert "</svg>" in picture.read_text()


def test_sections_without_results_are_left_out(page: tuple[str, Path]) -> None:
    assert "## Growth of a sampling step" not in page[0]
