"""What `make bench-gpu` runs, in a tiny form on the CPU, with nothing in the environment but what it needs."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RECORD = ROOT / "benchmarks" / "record.py"


def record(*options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(RECORD), *map(str, options)], capture_output=True, text=True, check=False
    )


def test_a_tiny_run_records_every_module_without_the_extras(tmp_path: Path) -> None:
    """The packages of the extra "bench" are made to fail on import."""
    blocked = tmp_path / "blocked"
    blocked.mkdir()
    for name in ("rich", "matplotlib", "gguf", "llama_cpp"):
        (blocked / f"{name}.py").write_text(f"raise ModuleNotFoundError('{name}')")
    command = [sys.executable, str(RECORD), "--short", "--out", str(tmp_path)]
    environment = os.environ | {"PYTHONPATH": str(blocked)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    assert "### Decode" in done.stdout  # Markdown, as rich is not there
    recorded = {path.stem: json.loads(path.read_text()) for path in tmp_path.glob("*.json")}
    assert recorded.keys() == {"decode-cpu-short", "sampler-cpu-short"}
    assert all(result["lines"] for result in recorded.values())


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_every_recorded_run_has_options_that_its_module_knows(device: str) -> None:
    listed = record("--device", device, "--list").stdout.splitlines()
    assert listed
    for line in listed:
        module, *options = shlex.split(line.split(" min  ")[1])
        known = (ROOT / module.replace(".", "/") / "__main__.py").read_text()
        named = [option for option in options if option.startswith("--")]
        assert [option for option in named if f'"{option}"' not in known] == []


def test_a_name_that_is_not_there_is_refused() -> None:
    done = record("--only", "nothing")
    assert done.returncode == 2
    assert "got nothing, must be one of decode-cpu-toy" in done.stderr
