"""Copies of the built-in checkpoint, changed as people's checkpoints differ from it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from sampling.toy import CHECKPOINT

FILES = {
    "config": "config.json",
    "generation": "generation_config.json",
    "settings": "tokenizer_config.json",
    "tokenizer": "tokenizer.json",
}


def variant(
    folder: Path,
    *,
    files: Mapping[str, str] | None = None,
    edit: Callable[[dict[str, Any]], object] | None = None,
    **fields: Mapping[str, object],
) -> Path:
    """Make a copy of the built-in checkpoint.

    Args:
        folder: Where to; it is there.
        files: Texts of files to add or replace.
        edit: Changes what tokenizer.json holds.
        fields: Fields to set in the JSON file of that key in `FILES`; None removes one.
    """
    shutil.copytree(CHECKPOINT, folder, dirs_exist_ok=True)
    for key, changes in fields.items():
        path = folder / FILES[key]
        members = {**json.loads(path.read_text(encoding="utf-8")), **changes}
        path.write_text(json.dumps({name: value for name, value in members.items() if value is not None}))
    if edit is not None:
        path = folder / "tokenizer.json"
        members = json.loads(path.read_text(encoding="utf-8"))
        edit(members)
        path.write_text(json.dumps(members))
    for name, text in (files or {}).items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return folder
