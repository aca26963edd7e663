"""What the benchmarks share: clocks, summaries, read bandwidth, and where a result comes from."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shlex
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import torch

Call = Callable[[], object]
Key = TypeVar("Key")

FEWEST_TURNS, MOST_TURNS, IN_A_ROW = 3, 50, 5
BANDWIDTH_CALLS = 15
BUFFER_MIB = {"cpu": 1024, "cuda": 4096}  # far beyond the caches


def timed(call: Call) -> float:
    """Seconds of one call on the host."""
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def timed_on_cuda(call: Call) -> float:
    """Seconds of one call between two events on the device, launches included."""
    begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    begin.record()
    call()
    end.record()
    torch.cuda.synchronize()
    return begin.elapsed_time(end) / 1e3


def clock(device: str) -> Callable[[Call], float]:
    """The clock for a device."""
    return timed_on_cuda if device == "cuda" else timed


def interleaved(
    calls: Mapping[Key, Call], device: str, seconds: float
) -> tuple[dict[Key, list[float]], dict[Key, list[float]]]:
    """Seconds of every call; each takes turns of 5 until the time is used up.

    Args:
        calls: What to time, warmed up.
        device: "cpu" or "cuda".
        seconds: Time for all of them together; each has 3 turns at least and 50 at most.

    Returns:
        By key the times of calls that follow one of their own, and those of the first calls of a turn, which find the caches
        as the others left them.
    """
    measure = clock(device)
    warm, first = ({key: list[float]() for key in calls} for _ in range(2))
    begun = time.perf_counter()
    for turn in range(MOST_TURNS):
        if turn >= FEWEST_TURNS and time.perf_counter() - begun > seconds:
            break
        for key, call in calls.items():
            first[key].append(measure(call))
            warm[key] += [measure(call) for _ in range(IN_A_ROW - 1)]
    return warm, first


def summary(seconds: list[float]) -> dict[str, float]:
    """Median, p10 and p90 in microseconds."""
    tenths = statistics.quantiles(seconds, n=10, method="inclusive")
    return {
        "median_us": 1e6 * statistics.median(seconds),
        "p10_us": 1e6 * tenths[0],
        "p90_us": 1e6 * tenths[-1],
    }


def read_bandwidth(device: str, mebibytes: int) -> dict[str, Any]:
    """Gigabytes per second of a plain sum over a buffer of float32 noise."""
    buffer = torch.rand(mebibytes * 2**18, device=device)
    calls = [clock(device)(buffer.sum) for _ in range(BANDWIDTH_CALLS)][1:]
    times = summary(calls)
    return {
        "GB_per_s": 4e-3 * buffer.numel() / times["median_us"],
        "bytes": 4 * buffer.numel(),
        "how": "torch.sum of float32",
        **times,
    }


def peak_memory(call: Call, device: str) -> dict[str, int]:
    """Make a call; on CUDA, the bytes it took beyond what was there before."""
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
    call()
    return {"peak_bytes": torch.cuda.max_memory_allocated() - before} if device == "cuda" else {}


def cpu_name() -> str:
    """The processor's name, as the system gives it."""
    info = Path("/proc/cpuinfo")
    names = (
        [line for line in info.read_text().splitlines() if line.startswith("model name")]
        if info.exists()
        else []
    )
    return names[0].split(":")[1].strip() if names else platform.processor()


def last_level_cache(device: str) -> int | None:
    """Bytes of the largest cache; None where the system does not say."""
    if device == "cuda":
        return torch.cuda.get_device_properties(0).L2_cache_size
    sizes = Path("/sys/devices/system/cpu/cpu0/cache").glob("index*/size")
    return max((1024 * int(path.read_text().strip().rstrip("K")) for path in sizes), default=None)


def settle_allocator() -> None:
    """Free a block of 31 MiB, as a forward pass does all the time.

    From then on the allocator of glibc keeps what is freed; before, every large result costs a page fault for each 4 KiB of it,
    in whichever engine.
    """
    torch.zeros(31 * 2**18).sum()


def machine(device: str = "cpu") -> dict[str, Any]:
    """The hardware and how much of it torch uses."""
    described = {
        "processor": cpu_name(),
        "threads": torch.get_num_threads(),
        "cores": os.cpu_count(),
        "system": platform.system(),
        "last_level_cache_bytes": last_level_cache(device),
    }
    return described | ({"gpu": torch.cuda.get_device_name()} if device == "cuda" else {})


def versions(*packages: str) -> dict[str, str]:
    """Versions of Python, torch and some packages; those not installed are left out."""
    found = {"python": platform.python_version(), "torch": torch.__version__}
    for package in packages:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def commit() -> str | None:
    """The commit that is measured, with "+" behind it where files were changed; None outside a repository."""
    command = [
        "git",
        "-C",
        str(Path(__file__).parent),
        "describe",
        "--always",
        "--exclude=*",
        "--abbrev=40",
        "--dirty=+",
    ]
    try:
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def origin(module: str, *packages: str, device: str = "cpu", tests: bool = False) -> dict[str, Any]:
    """Where a result comes from: command line, day, commit, machine and versions.

    Args:
        module: What is run, in `benchmarks`.
        packages: Whose versions matter.
        device: "cpu" or "cuda".
        tests: Whether it needs helpers of the tests.
    """
    command = shlex.join(["python", "-m", f"benchmarks.{module}", *sys.argv[1:]])
    return {
        "command": f"PYTHONPATH=tests {command}" if tests else command,
        "date": datetime.now(UTC).date().isoformat(),
        "commit": commit(),
        "machine": machine(device),
        "versions": versions(*packages),
    }
