"""The checkpoints that servers are given, made anew for each run."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.conformance.engines import probe
from sampling import load
from sampling.toy import CHECKPOINT

NAME = "checkpoint"  # how commands and requests name it
GGUF = f"{NAME}.gguf"


def toy(folder: Path, defaults: Mapping[str, Any] | None = None) -> Path:
    """Copy the built-in checkpoint, with more in its generation_config.json."""
    shutil.copytree(CHECKPOINT, folder)
    file = folder / "generation_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **(defaults or {})}))
    return folder


MAKERS = {"toy": toy, "probe": probe.write}


def make(kind: str, folder: Path, defaults: Mapping[str, Any] | None = None, as_gguf: bool = False) -> None:
    """Write a checkpoint as `checkpoint` in a folder.

    Args:
        kind: A key of MAKERS.
        folder: Where.
        defaults: What its generation_config.json says besides the special tokens.
        as_gguf: Whether to write `checkpoint.gguf` beside it.
    """
    made = MAKERS[kind](folder / NAME, defaults)
    if as_gguf:
        from benchmarks.conformance.engines.gguf_checkpoint import write_with_vocabulary

        write_with_vocabulary(load(str(made)), folder / GGUF)
