"""A result names the command that makes it again."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from benchmarks.conformance.engines.serving import serving
from benchmarks.harness.paths import ROOT
from benchmarks.harness.timing import origin

TEXTS = {path: path.read_text() for path in (ROOT / "benchmarks").rglob("*.py")}
CALL = re.compile(r"(?<!def )\borigin\(\"([\w.]+)\"(.*)\)")
OF_THE_TESTS = re.compile(r"^\s*from (?:conformance\.|draw_trials)", re.MULTILINE)


def test_a_command_is_that_of_the_module_from_the_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["anything", "--named", "all of it"])
    command = "python -m benchmarks.exactness --named 'all of it'"
    assert origin("exactness")["command"] == command
    assert origin("exactness", tests=True)["command"] == f"PYTHONPATH=tests {command}"


@pytest.mark.parametrize(
    "path", [path for path, text in TEXTS.items() if CALL.search(text)], ids=lambda path: path.stem
)
def test_each_module_names_itself_and_what_it_needs(path: Path) -> None:
    parts = path.relative_to(ROOT / "benchmarks").with_suffix("").parts
    own = ".".join(part for part in parts if part != "__main__")
    for module, others in CALL.findall(TEXTS[path]):
        assert module == own
        assert "tests=True" in others or not OF_THE_TESTS.search(TEXTS[path])


def test_a_server_that_ends_says_why() -> None:
    ended = serving(["-c", "raise SystemExit('no such model')"])
    with pytest.raises(RuntimeError, match="no such model"), ended:
        pass
