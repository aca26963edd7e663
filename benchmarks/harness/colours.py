"""How engines are shown in every picture: ours in blues, each peer of a picture in a colour of its own.

Okabe and Ito's colours where they suffice, which most kinds of colour blindness tell apart.

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
