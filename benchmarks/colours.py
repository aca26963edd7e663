"""How engines are shown in every picture: Okabe and Ito's colours, ours in blues, each peer in one of its own.

The notebooks read the same `colours.json`.
"""

from __future__ import annotations

import json
from pathlib import Path

COLOURS: dict[str, str] = json.loads(Path(__file__).with_suffix(".json").read_text())
OURS = ("eager", "compiled")


def name(engine: str) -> str:
    """An engine as legends have it."""
    return f"ours, {engine}" if engine in OURS else engine
