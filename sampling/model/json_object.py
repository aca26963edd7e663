"""A JSON file of a checkpoint, read so that every error names file, field and value."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from sampling.core.errors import CheckpointError, InvalidArgument, shown
from sampling.core.reading import read_json
from sampling.model.files import require

MISSING = object()
LARGEST = 2**63 - 1  # what a tensor's size can be
SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")  # an escape that may be half a character


@dataclass(frozen=True)
class JsonObject:
    """An object in a JSON file: a field that is missing or wrong is told by file, field and value.

    Null counts as missing, as it does for the writers of these files.

    Args:
        path: The file.
        members: What the object holds.
        name: Where in the file the object stands: empty at the top, else the field's name.
    """

    path: Path
    members: Mapping[str, object] = field(default_factory=dict[str, object])
    name: str = ""

    @classmethod
    def read(cls, path: Path) -> JsonObject:
        """Read a file that holds one JSON object.

        Raises:
            CheckpointError: The file cannot be read, is not JSON that names each key once, or holds something else than
                an object, or half a character.
        """
        require(path)
        try:
            text = path.read_bytes()
            members = read_json(text, constants=True)
        except OSError as error:
            raise CheckpointError(f"{path}: cannot be read: {error.strerror}") from error
        except InvalidArgument as error:
            raise CheckpointError(
                f"{path}: not a JSON file: got {shown(error.value)}, must be {error.allowed}"
            ) from error
        if not isinstance(members, dict):
            raise CheckpointError(f"{path}: must hold a JSON object, not {type(members).__name__}")
        if SURROGATE.search(text):
            _refuse_lone_surrogates(path, members)
        return cls(path, cast("dict[str, object]", members))

    def where(self, key: str) -> str:
        """Return the field's name as seen from the top of the file."""
        return f"{self.name}.{key}" if self.name else key

    def error(self, key: str, value: object, allowed: str) -> CheckpointError:
        """Return the error for a field whose value is not allowed."""
        return CheckpointError(f"{self.path}: {InvalidArgument(self.where(key), value, allowed)}")

    def get(self, key: str, default: object = None) -> Any:
        """Return the field's value, or the default where it is missing or null."""
        value = self.members.get(key)
        return default if value is None else value

    def need(self, key: str, default: object, allowed: str) -> Any:
        """Return the field's value; an error where it is missing and there is no default."""
        value = self.get(key, default)
        if value is MISSING:
            raise CheckpointError(f"{self.path}: {self.where(key)} is missing, must be {allowed}")
        return value

    def integer(self, key: str, default: object = MISSING) -> int:
        """Return a whole number of at least 1 that fits 64 bits."""
        value = self.need(key, default, "an integer of at least 1")
        allowed = "an integer of at least 1" if type(value) is not int or value < 1 else f"at most {LARGEST}"
        if type(value) is not int or not 1 <= value <= LARGEST:
            raise self.error(key, value, allowed)
        return value

    def number(self, key: str, default: object = MISSING) -> float:
        """Return a finite number above 0."""
        allowed = "a finite number above 0"
        value = self.need(key, default, allowed)
        if type(value) not in (int, float) or not 0 < value <= sys.float_info.max:
            raise self.error(key, value, allowed)
        return float(value)

    def flag(self, key: str, default: object = MISSING) -> bool:
        """Return a truth value."""
        value = self.need(key, default, "true or false")
        if type(value) is not bool:
            raise self.error(key, value, "true or false")
        return value

    def section(self, key: str, default: object = MISSING) -> JsonObject:
        """Return an object inside this one."""
        value = self.need(key, default, "an object")
        if not isinstance(value, dict):
            raise self.error(key, value, "an object")
        return JsonObject(self.path, cast("dict[str, object]", value), key)


def refuse_code(file: JsonObject) -> None:
    """Refuse a file that names Python code in its directory.

    Raises:
        CheckpointError: It has an `auto_map`.
    """
    if file.get("auto_map"):
        raise file.error("auto_map", file.get("auto_map"), "absent: code of a checkpoint is never run")


def _refuse_lone_surrogates(path: Path, members: object) -> None:
    try:
        json.dumps(members, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        around = error.object[max(0, error.start - 20) : error.start + 20]
        raise CheckpointError(f"{path}: got {around!r}, must be text without lone surrogates") from None
