"""The record of newcomers' first calls: what counts as a good answer, and one client for real."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from server.command import served

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"

pytestmark = pytest.mark.skipif(not BENCHMARKS.exists(), reason="a source distribution holds no benchmarks")

ANKARA = "The capital of Turkey is Ankara."


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The script as a module."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    yield importlib.import_module("newcomers")
    sys.modules.pop("newcomers", None)


@pytest.mark.parametrize(
    ("answers", "good"),
    [
        ({"plain": "Some text.", "greedy": ANKARA, "streamed": ANKARA}, True),
        ({"plain": "", "greedy": ANKARA}, False),
        ({"greedy": ANKARA}, False),
        ({"plain": ANKARA}, False),
        ({"plain": ANKARA, "greedy": ANKARA, "streamed": ANKARA[:-1]}, False),
        ({}, False),
    ],
)
def test_what_counts_as_good(script: ModuleType, answers: dict[str, str], good: bool) -> None:
    assert script.good(answers) is good


def test_the_openai_package_is_answered(script: ModuleType, tmp_path: Path) -> None:
    command = [sys.executable, str(BENCHMARKS / "clients" / "openai_chat.py")]
    with served(tmp_path, "--dialect", "openai", "--api-key", script.KEY) as server:
        found = script.outcome(command, tmp_path, f"http://127.0.0.1:{server.port}/v1")
        refused = script.outcome(command, tmp_path, f"http://127.0.0.1:{server.port}/v2")
    assert script.good(found["answers"]), found
    assert "error" in refused
