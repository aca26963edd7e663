"""The record of lying endpoints says of each entry what was asked of it, whichever run it is from."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from benchmarks.conformance import lies
from sampling.conformance.verdict import Verdict


def test_an_entry_keeps_the_rate_that_was_asked_of_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """0.99 less three standard errors: of 4 repeats 0.99 - 3 sqrt(0.0099 / 4), of 9 repeats 0.99 - 3 sqrt(0.0099 / 9)."""
    noticed = SimpleNamespace(checks={"any": SimpleNamespace(verdict=Verdict.DEVIATES, draws=1)})
    monkeypatch.setattr(lies, "verify", lambda *_, **__: noticed)
    monkeypatch.setattr(lies, "measured", lambda *_: {"exact": True})
    monkeypatch.setattr(lies, "origin", lambda *_, **__: {})
    monkeypatch.setattr(lies, "load", lambda _: None)
    one, other = lies.LIES[0].name, lies.LIES[1].name
    for name, repeats in ((one, "4"), (other, "9")):
        monkeypatch.setattr(sys, "argv", ["", name, "--repeats", repeats, "--out", str(tmp_path / "lies")])
        assert lies.main() == 0
    told = json.loads((tmp_path / "lies").read_text())
    assert told.keys() == {"lies"}
    asked = {name: entry["power"]["least_rate"] for name, entry in told["lies"]["endpoints"].items()}
    assert asked == {one: pytest.approx(0.84075, abs=1e-5), other: pytest.approx(0.8905, abs=1e-5)}


def test_a_case_is_recorded_beside_the_lies_which_stay_as_they_were(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    before = {
        "origin": {"commit": "before"},
        "endpoints": {"any": {"exact": True, "power": {"enough": True}}},
    }
    (tmp_path / "lies").write_text(json.dumps({"lies": before}))
    monkeypatch.setattr(lies, "origin", lambda *_, **__: {"commit": "now"})
    arguments = ["", "one seed for all", "--only", "cases", "--repeats", "2", "--out", str(tmp_path / "lies")]
    monkeypatch.setattr(sys, "argv", arguments)
    assert lies.main() == 0
    told = json.loads((tmp_path / "lies").read_text())
    assert told["lies"] == before
    assert told["cases"]["origin"] == {"commit": "now"}
    case = told["cases"]["endpoints"]["one seed for all"]
    assert (case["told"], case["right"]) == ({"randomness.seeds-differ": "deviates"}, 2)


def test_the_record_holds_the_whole_catalogue() -> None:
    recorded = json.loads(lies.RESULT.read_text())
    assert [*recorded["lies"]["endpoints"]] == ["nothing", *(lie.name for lie in lies.LIES)]
    assert [*recorded["cases"]["endpoints"]] == [case.name for case in lies.CASES]
    assert all(lies.good(part, found) for part in recorded for found in recorded[part]["endpoints"].values())
