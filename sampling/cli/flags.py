"""What flags say, which of them go together, and the files that they name."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

from sampling.errors import InvalidRequest

KEY_VARIABLE = "SAMPLING_API_KEY"
MOST = 2**31 - 1


def given(value: Any, default: Any) -> Any:
    """What a flag says, or what holds without it: flags that were left out are None, so that others can be refused."""
    return default if value is None else value


def refuse(options: argparse.Namespace, allowed: str, *names: str) -> None:
    """Refuse flags that would have no effect."""
    for name in names:
        if getattr(options, name) is not None:
            value = "(not shown)" if name == "api_key" else getattr(options, name)
            raise InvalidRequest(name, value, allowed)


def check_file(name: str, file: str | None) -> None:
    """Refuse a file that can not be written, before an hour's work is lost."""
    if file in (None, "-"):
        return
    path = Path(file).absolute()
    if not path.parent.is_dir():
        raise InvalidRequest(name, file, "a file in a folder that exists")
    if path.is_dir() or not os.access(path if path.exists() else path.parent, os.W_OK):
        raise InvalidRequest(name, file, "a file that can be written")


def save(file: str, text: str) -> None:
    """Write a file.

    Raises:
        InvalidRequest: It can not be written.
    """
    try:
        Path(file).write_text(text, encoding="utf-8")
    except OSError as error:
        raise InvalidRequest("file", file, f"one that can be written ({error.strerror})") from error
