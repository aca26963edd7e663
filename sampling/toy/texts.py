"""What the toy is asked and what it says, as data: lists of texts by name."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def read_table(name: str) -> dict[str, Any]:
    """Return a table that lies beside this file."""
    return tomllib.loads(Path(__file__).with_name(f"{name}.toml").read_text(encoding="utf-8"))


TEXTS: Mapping[str, tuple[str, ...]] = {name: tuple(texts) for name, texts in read_table("texts").items()}
