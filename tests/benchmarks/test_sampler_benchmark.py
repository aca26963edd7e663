"""The sampler benchmark runs on a small size, and its result has the form that tables and pictures are made from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from benchmark_command import printed_by

ENGINES = ("eager", "transformers", "llama3", "multinomial", "flashinfer")
KINDS = ("llm", "bf16")
ROWS, WIDTH = (1, 2), 500


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The result of a tiny run, and what it printed."""
    out = tmp_path_factory.mktemp("results") / "sampler-cpu.json"
    chosen = ["--rows", *ROWS, "--vocab", WIDTH, "--kinds", *KINDS, "--engines", *ENGINES, "--features"]
    small = ["--base", 1, WIDTH, "--seconds", 0.01, "--buffer-mib", 4]
    return out, printed_by("sampler", *chosen, *small, "--out", out)


@pytest.fixture(scope="module")
def result(ran: tuple[Path, str]) -> dict[str, Any]:
    return json.loads(ran[0].read_text())


def lines(result: dict[str, Any], part: str) -> list[dict[str, Any]]:
    return [line for line in result["lines"] if line["part"] == part]


def test_every_engine_is_there_in_every_cell(result: dict[str, Any]) -> None:
    found = [(line["kind"], line["B"], line["V"], line["engine"]) for line in lines(result, "engines")]
    assert found == [(kind, rows, WIDTH, engine) for kind in KINDS for rows in ROWS for engine in ENGINES]


def test_times_are_ordered_and_the_floor_is_one_read(result: dict[str, Any]) -> None:
    bandwidth = result["read_bandwidth"]["GB_per_s"]
    timed = [line for line in result["lines"] if "median_us" in line]
    assert len(timed) >= len(KINDS) * len(ROWS) * (len(ENGINES) - 1)
    for line in timed:
        assert 0 < line["p10_us"] <= line["median_us"] <= line["p90_us"] <= line["slowest_us"]
        assert line["calls"] >= 5
        assert line["bytes"] == 4 * line["B"] * line["V"]
        floor = line["bytes"] / (1e9 * bandwidth) * 1e6
        assert line["x_floor"] == pytest.approx(line["median_us"] / floor)


def test_what_is_not_available_says_why(result: dict[str, Any]) -> None:
    missing = {line["engine"]: line["not_available"] for line in result["lines"] if "not_available" in line}
    assert missing == {"flashinfer": "it needs CUDA"}


def test_ratios_are_of_medians_in_the_same_cell(result: dict[str, Any]) -> None:
    medians = {
        (line["kind"], line["B"], line["engine"]): line["median_us"]
        for line in lines(result, "engines")
        if "median_us" in line
    }
    for (kind, rows, engine), median in medians.items():
        (line,) = (
            line
            for line in lines(result, "engines")
            if (line["kind"], line["B"], line["engine"]) == (kind, rows, engine)
        )
        for peer in ("llama3", "transformers"):
            assert line["times_as_fast_as"][peer] == pytest.approx(medians[kind, rows, peer] / median)


def test_the_cost_of_log_probabilities_is_a_ratio_of_two_features(result: dict[str, Any]) -> None:
    medians = {line["feature"]: line["median_us"] for line in lines(result, "features")}
    expected = medians["everything"] / medians["everything but logprobs"]
    assert result["logprobs_cost"] == {"eager": pytest.approx(expected)}


def test_the_result_says_where_it_comes_from(result: dict[str, Any]) -> None:
    assert result["command"].startswith("python -m benchmarks.sampler --rows 1 2")
    assert result["machine"]["threads"] >= 1
    assert {"python", "torch", "transformers"} <= result["versions"].keys()
    assert {"commit", "date", "device", "timing", "logits"} <= result.keys()
    assert all(result["engines"][engine]["leaves_out"] for engine in ENGINES)


def test_it_ends_in_tables(ran: tuple[Path, str]) -> None:
    printed = ran[1]
    for text in ("llm, B = 1, V = 500", "x floor", "x llama3", "everything but logprobs", "reads "):
        assert text in printed


def test_page_and_picture_are_made_from_the_result(ran: tuple[Path, str], tmp_path: Path) -> None:
    printed_by("sampler.plot", ran[0], "--out", tmp_path)
    assert "| **bf16, B = 2, V = 500** |" in (tmp_path / "sampler_speed.md").read_text()
    assert "</svg>" in (tmp_path / "sampler_speed.svg").read_text()
