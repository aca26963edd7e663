"""Fields of APIs and engines that would change the answer in a way that is not offered, and their values that do not."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path

from sampling.chat.kinds import Only, only

TABLE = tomllib.loads(Path(__file__).with_name("not_offered.toml").read_text(encoding="utf-8"))

NOT_OFFERED: Mapping[str, Only] = {
    name: only(tuple(neutral), reason) for reason, fields in TABLE.items() for name, neutral in fields.items()
}
"""What requests may have at these values only, where their dialect names the field."""
