"""What flags say, which of them go together, and the files that they name."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sampling.core.errors import InvalidArgument
from sampling.core.files import opened, standard_stream

KEY_VARIABLE = "SAMPLING_API_KEY"
MOST = 2**31 - 1


def given(value: Any, default: Any) -> Any:
    """Return what a flag says, or what holds without it: flags that were left out are None, so that others can be refused."""
    return default if value is None else value


def refuse(options: argparse.Namespace, allowed: str, *names: str) -> None:
    """Refuse flags that would have no effect."""
    for name in names:
        if getattr(options, name) is not None:
            value = "(not shown)" if name == "api_key" else getattr(options, name)
            raise InvalidArgument(name, value, allowed)


def check_files(options: argparse.Namespace, written: Sequence[str], read: Sequence[str] = ()) -> None:
    """Refuse files that cannot be written, and one file by two flags, before an hour's work is lost.

    `written` are the flags of files that will be written, `read` those of files that are read, or taken up again.
    """
    taken: dict[object, str] = {}
    for name in (*read, *written):
        file = getattr(options, name)
        if file is None or (name, file) == ("json", "-"):
            continue
        if name in written:
            check_file(name, file)
        elif standard_stream(file):
            raise InvalidArgument(name, file, "another file than that of standard output or standard error")
        place = place_of(file)
        if place in taken:
            raise InvalidArgument(name, file, f"another file than that of {taken[place]}")
        if regular(file):  # a pipe, or a device such as /dev/null, may serve twice
            taken[place] = name


def place_of(file: str) -> object:
    """Return what all names of a file have in common: inode and device, or the path where there is no file yet."""
    path = Path(file)
    return path.stat()[1:3] if path.exists() else os.path.realpath(file)


def regular(file: str) -> bool:
    """Whether a file is an ordinary one, or will be."""
    return Path(file).is_file() or not Path(file).exists()


def check_file(name: str, file: str) -> None:
    """Refuse a file that cannot be written."""
    path = Path(file)
    path = path if path.exists() else Path(os.path.realpath(file))  # a link may lead to what is not there yet
    if not path.parent.is_dir():
        raise InvalidArgument(name, file, "a file in a folder that exists")
    if path.is_dir() or not os.access(path if path.exists() else path.parent, os.W_OK):
        raise InvalidArgument(name, file, "a file that can be written")


def save(name: str, file: str, text: str) -> None:
    """Write the file that a flag names.

    Raises:
        InvalidArgument: It cannot be written.
    """
    try:
        with opened(file) as stream:
            stream.write(text)
    except OSError as error:
        raise InvalidArgument(name, file, f"a file that can be written ({error.strerror})") from error
