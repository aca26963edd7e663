"""A source distribution holds no benchmarks, so there these tests are left out."""

from pathlib import Path

collect_ignore_glob = [] if (Path(__file__).parents[2] / "benchmarks").exists() else ["test_*.py"]
