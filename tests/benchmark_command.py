"""The benchmarks as commands."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def printed_by(module: str, *options: object) -> str:
    """What a module of the benchmarks prints, run from the root of the repository; it must end well."""
    command = [sys.executable, "-m", f"benchmarks.{module}", *map(str, options)]
    environment = os.environ | {"COLUMNS": "120"}
    return subprocess.run(
        command, check=True, capture_output=True, text=True, env=environment, cwd=ROOT
    ).stdout
