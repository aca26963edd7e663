"""What the kit noticed of its own mutants when that was last recorded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

RECORD = Path(__file__).with_suffix(".json")


def score_note(record: Path = RECORD) -> str:
    """Return the mutation score that `benchmarks/conformance/power.py` recorded, in one sentence; empty where there is none."""
    if not record.exists():
        return ""
    score: dict[str, Any] = json.loads(record.read_text())
    since = score["since"]
    changed = (
        f"; the {since['checks']} checks that have changed since were run {since['runs']} more times"
        if since["runs"]
        else ""
    )
    return (
        f"the kit itself: {score['caught']} of {score['mutants']} named mutants caught, each in at least "
        f"{score['least_rate']:.1%} of {score['repeats']} repeats at the draws that it makes; "
        f"{score['false_alarms']} false alarms in {score['reference_runs']:,} runs of the reference "
        f"({score['reference_findings']:,} findings, {score['reference_date']}){changed} "
        f"(recorded {score['date']}, spec {score['spec']})"
    )
