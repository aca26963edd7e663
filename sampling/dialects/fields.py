"""Request fields beyond those of every dialect, by who has them; `sampling.chat.fields` says what they are."""

from __future__ import annotations

import tomllib
from pathlib import Path

FIELDS = tomllib.loads(Path(__file__).with_name("fields.toml").read_text(encoding="utf-8"))


def fields_of(*groups: str) -> tuple[str, ...]:
    """Return the fields of some groups of the table."""
    return tuple(name for group in groups for name in FIELDS[group])
