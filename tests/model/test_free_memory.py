"""What the system says is free: files as the kernel's documentation describes them, written by hand."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from sampling.model.free_memory import LEFT_FREE, free_bytes

CPU = torch.device("cpu")
MACHINE = {"proc/meminfo": "MemTotal:       16000 kB\nMemFree:  10 kB\nMemAvailable:    8000 kB\n"}
SECOND = {
    "proc/self/cgroup": "0::/outer/inner\n",
    "sys/fs/cgroup/outer/memory.max": "3000000\n",
    "sys/fs/cgroup/outer/memory.current": "1000000\n",
    "sys/fs/cgroup/outer/memory.stat": "anon 5\ninactive_file 200000\n",
    "sys/fs/cgroup/outer/inner/memory.max": "max\n",
    "sys/fs/cgroup/outer/inner/memory.current": "900000\n",
}
FIRST = {
    "proc/self/cgroup": "5:cpu,cpuacct:/x\n4:memory:/box\n1:name=systemd:/\n",
    "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
    "sys/fs/cgroup/memory/memory.usage_in_bytes": "7\n",
    "sys/fs/cgroup/memory/box/memory.limit_in_bytes": "500000\n",
    "sys/fs/cgroup/memory/box/memory.usage_in_bytes": "450000\n",
    "sys/fs/cgroup/memory/box/memory.stat": "total_inactive_file 50000\n",
}
CONTAINER = {  # which sees its own group as the top
    "proc/self/cgroup": "0::/\n",
    "sys/fs/cgroup/memory.max": "2000000\n",
    "sys/fs/cgroup/memory.current": "2500000\n",
}


@pytest.mark.parametrize(
    ("files", "free"),
    [
        ([MACHINE], 8000 * 1024),
        ([MACHINE, SECOND], 2_200_000),
        ([MACHINE, FIRST], 100_000),
        ([MACHINE, CONTAINER], 0),
        ([], None),
    ],
    ids=["machine", "cgroup-2", "cgroup-1", "container", "another-system"],
)
def test_the_least_that_any_limit_leaves(tmp_path: Path, files: list[dict[str, str]], free: int | None):
    for name, text in (pair for group in files for pair in group.items()):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    expected = None if free is None else int(free * (1 - LEFT_FREE))
    assert free_bytes(CPU, tmp_path) == expected


def test_the_allocator_of_another_device_tells_by_itself(tmp_path: Path):
    assert free_bytes(torch.device("cuda"), tmp_path) is None


@pytest.mark.skipif(not Path("/proc/meminfo").exists(), reason="no Linux")
def test_this_machine_has_some():
    assert 2**20 < free_bytes(CPU) < 2**50
