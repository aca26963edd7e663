"""How much memory the system still has: on Linux an allocation beyond it succeeds, and the process is ended later."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch

LEFT_FREE = 0.1  # of what is free, for everything that is allocated without being asked about
# Of a control group, by the name of its controller in /proc/self/cgroup ("" in version 2): where its folders are, the files of
# its limit and its use, and what of its use is given back on demand.
GROUPS = {
    "": ("", "memory.max", "memory.current", "inactive_file"),
    "memory": ("memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
}


def free_bytes(device: torch.device, root: Path = Path("/")) -> int | None:
    """How many bytes can still be taken without harm.

    Sources: https://docs.kernel.org/filesystems/proc.html, MemAvailable;
    https://docs.kernel.org/admin-guide/cgroup-v2.html, "Memory Interface Files".

    Args:
        device: Where they are wanted.
        root: Where the system's files are.

    Returns:
        The bytes; None where the system has no such files, or where the allocator itself tells, as on CUDA.
    """
    if device.type != "cpu":
        return None
    free = [*available(root / "proc/meminfo"), *left_in_groups(root)]
    return int(min(free) * (1 - LEFT_FREE)) if free else None


def available(file: Path) -> Iterator[int]:
    """Yield what the machine has, in one line of a file: "MemAvailable:    1024 kB"."""
    for line in lines_of(file):
        name, *rest = line.split()
        if name == "MemAvailable:":
            yield 1024 * int(rest[0])


def left_in_groups(root: Path) -> Iterator[int]:
    """Yield what each control group that this process is in may still take."""
    for line in lines_of(root / "proc/self/cgroup"):
        _, controllers, path = line.split(":", 2)
        for name in {*controllers.split(",")} & {*GROUPS}:
            folder, limit, use, given_back = GROUPS[name]
            top = root / "sys/fs/cgroup" / folder
            group = top / path.lstrip("/")
            for each in (group, *(parent for parent in group.parents if parent.is_relative_to(top))):
                yield from left_in(each / limit, each / use, each / "memory.stat", given_back)


def left_in(limit: Path, use: Path, statistics: Path, given_back: str) -> Iterator[int]:
    """Yield a group's limit less its use; nothing where it has no limit."""
    for most, used in zip(lines_of(limit), lines_of(use), strict=False):
        if most != "max":
            pages = dict(line.split() for line in lines_of(statistics))
            yield max(0, int(most) - int(used) + int(pages.get(given_back, 0)))


def lines_of(file: Path) -> list[str]:
    """Return the lines of a file; none where it cannot be read."""
    try:
        return file.read_text().splitlines()
    except OSError:
        return []
