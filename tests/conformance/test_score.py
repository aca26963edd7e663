"""The sentence on the kit's own score, from a record made by hand."""

from __future__ import annotations

import json
from pathlib import Path

from sampling.conformance.score import score_note

RECORD = {
    "caught": 76,
    "mutants": 77,
    "repeats": 100,
    "least_rate": 0.98,
    "reference_runs": 1000,
    "reference_findings": 40000,
    "reference_date": "2026-11-20",
    "since": {"runs": 15, "checks": 17},
    "false_alarms": 0,
    "spec": "2026-11",
    "date": "2026-11-25",
}


def test_the_score_in_words(tmp_path: Path) -> None:
    record = tmp_path / "score.json"
    assert score_note(record) == ""
    record.write_text(json.dumps(RECORD))
    words = score_note(record)
    assert "76 of 77 named mutants" in words
    assert "98.0% of 100 repeats" in words
    assert "0 false alarms in 1,000 runs of the reference (40,000 findings, 2026-11-20)" in words
    assert "; the 17 checks that have changed since were run 15 more times (recorded 2026-11-25" in words
