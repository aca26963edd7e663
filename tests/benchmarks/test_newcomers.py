"""The record of newcomers' first calls: what counts as a good answer, and one client for real."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from server.command import served

from benchmarks.clients import __main__ as clients

ANKARA = "The capital of Turkey is Ankara."


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
def test_what_counts_as_good(answers: dict[str, str], good: bool) -> None:
    assert clients.good(answers) is good


def test_the_openai_package_is_answered(tmp_path: Path) -> None:
    command = [sys.executable, str(clients.CLIENTS / "openai_chat.py")]
    with served(tmp_path, "--dialect", "openai", "--api-key", clients.KEY) as server:
        found = clients.outcome(command, tmp_path, f"http://127.0.0.1:{server.port}/v1")
        refused = clients.outcome(command, tmp_path, f"http://127.0.0.1:{server.port}/v2")
    assert clients.good(found["answers"]), found
    assert "error" in refused
