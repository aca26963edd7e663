"""The files of a checkpoint: whether one is there, and is a file that can be read."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from sampling.core.errors import CheckpointError

POINTER = b"version https://git-lfs.github.com/spec/"


def is_there(path: Path) -> bool:
    """Whether a file is there; what stands in its place and cannot be read as that file is refused.

    To open a pipe would wait for somebody to write to it, and a device may never end.

    Args:
        path: Where the file would be. A link is followed.

    Raises:
        CheckpointError: It is a directory, a pipe, a socket, a device, a link to nothing, or the pointer that Git LFS leaves
            in place of a file.

    Source: https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md, for pointers.
    """
    if not os.path.lexists(path):
        return False
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):
            raise CheckpointError(f"{path}: must be a file, is {kind_of(mode)}")
        with path.open("rb") as file:
            start = file.read(len(POINTER))
    except FileNotFoundError:
        raise CheckpointError(f"{path}: must be a file, is a link to one that is not there") from None
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read: {error.strerror}") from error
    if start == POINTER:
        raise CheckpointError(f"{path}: is a Git LFS pointer, not the file itself; `git lfs pull` gets it")
    return True


def require(path: Path) -> None:
    """Refuse a file that is not there, too.

    Raises:
        CheckpointError: It is not there, or `is_there` refuses it.
    """
    if not is_there(path):
        raise CheckpointError(f"{path}: the file is missing")


def kind_of(mode: int) -> str:
    """Return what such a mode is of, in words."""
    kinds = {
        stat.S_IFDIR: "a directory",
        stat.S_IFIFO: "a pipe",
        stat.S_IFSOCK: "a socket",
        stat.S_IFCHR: "a device",
        stat.S_IFBLK: "a device",
    }
    return kinds.get(stat.S_IFMT(mode), "none")
