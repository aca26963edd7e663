"""Record every speed result of a machine: each run a module in a process of its own, with a result file of its own.

    python -m benchmarks.record [--only NAME ...]       # on the CPU
    python benchmarks/record.py --device cuda           # what `make bench-gpu` runs
    python -m benchmarks.record --list                  # the runs, and about how long each takes

Needs torch, transformers, safetensors and numpy, and no network; what else is missing is reported by the run as not
available. Only the price lists on the CPU, which go over HTTP, too, need the extras bench, json and serve.
`python -m benchmarks.report` makes the report from the results.
"""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
RESULTS = Path("benchmarks/results")  # from the root: results tell no path of the machine


@dataclass(frozen=True)
class Run:
    """A module and its options.

    Args:
        minutes: About how long it takes.
        module: In this package.
        options: Of the module, as on a command line, without --out.
    """

    minutes: float
    module: str
    options: str


ALONE = "--engines eager compiled --sampling sampled"
RUNS: dict[str, dict[str, Run]] = {
    "cpu": {
        "decode-cpu-toy": Run(2, "decode", "--shapes toy --rows 1 8 --growth --growth-contexts 64 128 256"),
        "decode-cpu-240M-float32": Run(5, "decode", "--dtypes float32 --new 16 --rounds 12"),
        "decode-cpu-240M-bfloat16": Run(5, "decode", "--dtypes bfloat16 --new 16 --rounds 12"),
        "decode-cpu-240M-context-1024": Run(
            5, "decode", "--contexts 1024 --sampling sampled --new 16 --rounds 5"
        ),
        "decode-cpu-240M-rows-16": Run(
            5, "decode", "--dtypes float32 --rows 16 --sampling sampled --new 8 --rounds 3"
        ),
        "decode-cpu-240M-growth-float32": Run(
            5, "decode", f"--dtypes float32 {ALONE} --new 16 --rounds 2 --growth"
        ),
        "decode-cpu-240M-growth-bfloat16": Run(
            5, "decode", f"--dtypes bfloat16 {ALONE} --new 16 --rounds 2 --growth"
        ),
        "decode-cpu-240M-memory": Run(
            4, "decode", "--dtypes float32 --sampling greedy --new 16 --rounds 6 --memory"
        ),
        "decode-cpu-Llama-3.2-1B": Run(
            5, "decode", "--shapes Llama-3.2-1B --dtypes bfloat16 --sampling sampled --new 8 --rounds 5"
        ),
        "decode-cpu-Llama-3-8B": Run(
            5,
            "decode",
            "--shapes Llama-3-8B --dtypes bfloat16 --contexts 32 --sampling sampled --new 4 --rounds 4 "
            "--unpacked --engines compiled transformers",
        ),
        "api-toy-cpu": Run(3, "api", "--shape toy"),
        "api-toy-cpu-compiled": Run(10, "api", "--shape toy --compile"),
        "api-240M-cpu": Run(6, "api", "--shape 240M --tokens 17 --turns 3"),
        "api-240M-cpu-compiled": Run(15, "api", "--shape 240M --tokens 17 --turns 3 --compile"),
    },
    "cuda": {
        "sampler-cuda": Run(9, "sampler", "--device cuda --rows 1 16 128 512 --features --growth"),
        "decode-cuda-Llama-3.2-1B": Run(
            8,
            "decode",
            "--device cuda --shapes Llama-3.2-1B --dtypes bfloat16 --rows 1 64 --contexts 128 1024 --growth --memory",
        ),
        "decode-cuda-Llama-3-8B": Run(
            9,
            "decode",
            "--device cuda --shapes Llama-3-8B --dtypes bfloat16 --rows 1 64 --contexts 128 1024 --growth --memory",
        ),
        "decode-cuda-240M": Run(4, "decode", "--device cuda --sampling sampled"),
        "api-Llama-3.2-1B-cuda-compiled": Run(
            9, "api", "--device cuda --shape Llama-3.2-1B --dtype bfloat16 --compile --in-process"
        ),
    },
}
SHORT = {
    "sampler": Run(
        0.5,
        "sampler",
        "--short --rows 1 --vocab 500 --kinds llm --engines eager transformers --seconds 0.01 --base 1 500",
    ),
    "decode": Run(0.5, "decode", "--short --rows 1 --sampling greedy --engines eager transformers"),
}
FASTEST_PARTS = "--buffer-mib 16"


def runs_of(options: argparse.Namespace) -> dict[str, Run]:
    """What was asked for."""
    known = short_runs(options.device) if options.short else RUNS[options.device]
    return {name: known[name] for name in options.only or known}


def short_runs(device: str) -> dict[str, Run]:
    """A run of each module that takes seconds."""
    return {
        f"{name}-{device}-short": Run(
            run.minutes, run.module, f"{run.options} --device {device} {FASTEST_PARTS}"
        )
        for name, run in SHORT.items()
    }


def command_of(name: str, run: Run, out: Path) -> list[str]:
    """The command line of a run, from the root of the repository."""
    return ["-m", f"benchmarks.{run.module}", *shlex.split(run.options), "--out", str(out / f"{name}.json")]


def done(name: str, run: Run, out: Path) -> bool:
    """Run it, and say how it went."""
    command = command_of(name, run, out)
    print(f"\n{name}, about {run.minutes:g} minutes: python {shlex.join(command)}", flush=True)
    folders = [ROOT, ROOT / "kernels", ROOT / "tests"]  # the last one has Llama-3's tokenizer
    paths = [*map(str, folders), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
    started = time.perf_counter()
    ended = subprocess.run([sys.executable, *command], cwd=ROOT, env=environment, check=False)
    print(f"{name}: {'done' if ended.returncode == 0 else 'FAILED'} in {time.perf_counter() - started:.0f} s")
    return ended.returncode == 0


def arguments() -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", choices=RUNS, default="cpu")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="some runs instead of all")
    parser.add_argument("--short", action="store_true", help="tiny runs instead")
    parser.add_argument("--list", action="store_true", help="say what would be run")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the results, from the root")
    options = parser.parse_args()
    known = short_runs(options.device) if options.short else RUNS[options.device]
    if unknown := [name for name in options.only or () if name not in known]:
        parser.error(f"--only: got {unknown[0]}, must be one of {', '.join(known)}")
    return options


def main() -> None:
    """Run all of them, and end with 1 if one failed."""
    options = arguments()
    if options.list:
        for name, run in runs_of(options).items():
            print(f"{name:34} {run.minutes:4g} min  benchmarks.{run.module} {run.options}")
        return
    failed = [name for name, run in runs_of(options).items() if not done(name, run, options.out)]
    sys.exit(f"failed: {', '.join(failed)}" if failed else 0)


if __name__ == "__main__":
    main()
