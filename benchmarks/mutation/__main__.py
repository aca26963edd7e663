"""Mutation testing: small changes to kernels and processors, each of which some eager test must notice.

    python -m benchmarks.mutation [--file kernels/sampling_kernels/sort_key.py ...] [--jobs 2] [--sample 50 --seed 1]
    python -m benchmarks.mutation --survivors      # bring the result up to date after new tests or reasons
    python -m benchmarks.mutation --file FILE ...  # run files anew; the others stay, and "parts" says where each is from

`mutants.py` makes the changes. Nothing is written into the tree: a process that has imported torch once forks for each
mutant, and the fork imports the changed source in place of the module. A mutant is killed when a test fails, also when it
takes longer than the limit; it is equivalent when `equivalents.json` says why no test can tell it from the original.
Writes benchmarks/results/mutation.json after each file. (mutmut changes no constants outside of functions; cosmic-ray imports
torch anew for each mutant.)
"""

from __future__ import annotations

import argparse
import importlib
import importlib.machinery
import json
import multiprocessing
import multiprocessing.connection
import os
import random
import resource
import signal
import statistics
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
# Other plugins that happen to be installed take longer to import than most mutants to die.
os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"

import hypothesis
import pytest
import torch
from tqdm import tqdm

from benchmarks.harness.paths import RESULTS, ROOT
from benchmarks.harness.timing import origin
from benchmarks.mutation.mutants import Mutant, mutants

RESULT = RESULTS / "mutation.json"
EQUIVALENTS = Path(__file__).with_name("equivalents.json")
# What the tests import and the code under test does not change: loaded once, before any fork.
HEAVY = ("mpmath", "scipy.stats", "transformers.generation.logits_process")
FOLDERS = ("kernels/sampling_kernels", "kernels/sampling_kernels/candidates", "sampling/processors")
KERNEL_TESTS = (
    "tests/kernels/test_*.py",
    "tests/sampler/test_draw.py",
    "tests/processors/test_candidates.py",
    "tests/processors/test_order_preserving.py",
    "tests/processors/test_temperature.py",
    "tests/processors/test_truncation_processors.py",
)
PROCESSOR_TESTS = tuple(f"tests/{room}/test_*.py" for room in ("core", "processors", "pipeline", "sampler"))
# Of other modules.
NOT_RUN = {"tests/core/test_params.py", "tests/core/test_history.py", "tests/sampler/test_draw_statistics.py"}
# By the stems of modules: whose tests look at them, too.
NEAR = {
    "run_stages": "order_preserving",
    **dict.fromkeys(("order_preserving", "temperature", "truncation", "constants"), "candidates"),
}
LAST = "tests/processors/test_processor_invariants.py"  # the slowest by far
SLOW = ("tests/kernels/test_gumbel.py::test_distribution",)
PYTEST = (
    *("-x", "-q", "-m", "not compiled", "-p", "no:cacheprovider"),
    *("-p", "_hypothesis_pytestplugin", "--hypothesis-profile=mutation"),
    *("-o", "addopts=--import-mode=importlib"),  # no doctests
    *("-W", "ignore::pytest.PytestAssertRewriteWarning"),  # hypothesis is imported before pytest starts
    *(f"--deselect={test}" for test in SLOW),
)
CPU_S, WALL_S = 120, 900  # a survivor takes half of the first, however busy the machine
KEY = ("file", "function", "before", "after")
LISTS = {"survived": "survivors", "equivalent": "equivalents", "timeout": "timeouts"}
MEMORY = 16 * 2**30
NOT_IMPORTED = 99
BROKEN_RUNS = (pytest.ExitCode.USAGE_ERROR, pytest.ExitCode.NO_TESTS_COLLECTED, NOT_IMPORTED)


@dataclass(frozen=True)
class Job:
    """A mutant of a file."""

    file: str
    mutant: Mutant

    @property
    def key(self) -> tuple[str, ...]:
        """What names it while lines move."""
        return self.file, self.mutant.function, self.mutant.before, self.mutant.after

    def __str__(self) -> str:
        function = self.mutant.function or "module"
        return f"{self.place} {function}: {self.mutant.before}  ->  {self.mutant.after}"

    @property
    def place(self) -> str:
        """File, line and column."""
        return f"{self.file}:{self.mutant.line}:{self.mutant.column}"


@dataclass(frozen=True)
class Outcome:
    """What became of a job: "killed", "timeout" or "survived"."""

    job: Job
    fate: str
    seconds: float


class Changed(importlib.machinery.SourceFileLoader):
    """Imports one module from another text than that of its file; stands in `sys.meta_path`."""

    def __init__(self, file: str, source: str) -> None:
        name = file.removeprefix("kernels/").removesuffix(".py").replace("/", ".")
        super().__init__(name, str(ROOT / file))
        self.source = source

    def get_code(self, fullname: str) -> object:
        """The other text, compiled; no cache is read or written."""
        return compile(self.source, self.path, "exec")

    def find_spec(self, name: str, *_: object) -> importlib.machinery.ModuleSpec | None:
        """Find this module and no other."""
        return importlib.machinery.ModuleSpec(name, self, origin=self.path) if name == self.name else None

    def imported(self) -> bool:
        """Whether the module in use is the changed one."""
        return getattr(sys.modules.get(self.name), "__loader__", None) is self


def tests_of(file: str) -> list[str]:
    """The test files for a module, those that are named after it first, and then those that are near."""
    patterns = KERNEL_TESTS if file.startswith("kernels/") else PROCESSOR_TESTS
    paths = [path for pattern in patterns for path in sorted(ROOT.glob(pattern))]
    found = {path.relative_to(ROOT).as_posix() for path in paths} - NOT_RUN
    module = Path(file).stem
    named, near = module.removesuffix("s"), NEAR.get(module, module)
    return sorted(found, key=lambda test: (test == LAST, named not in test, near not in test, test))


def run_tests(job: Job) -> None:
    """In a fork: import the changed module, run its tests, and exit as pytest does."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S))
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)
    os.dup2(silence, 2)
    changed = Changed(job.file, job.mutant.source)
    sys.meta_path.insert(0, changed)
    code = pytest.main([*PYTEST, *tests_of(job.file)])
    sys.exit(NOT_IMPORTED if code == pytest.ExitCode.OK and not changed.imported() else code)


def run_all(work: list[Job], processes: int) -> list[Outcome]:
    """Run the tests on every mutant, so many at a time."""
    fork, waiting, outcomes = multiprocessing.get_context("fork"), work[::-1], []
    running: list[tuple[Job, multiprocessing.context.ForkProcess, float]] = []
    with tqdm(total=len(work), smoothing=0) as bar:
        while waiting or running:
            while waiting and len(running) < processes:
                job = waiting.pop()
                process = fork.Process(target=run_tests, args=(job,))
                process.start()
                running.append((job, process, time.monotonic()))
            multiprocessing.connection.wait([process.sentinel for _, process, _ in running], timeout=0.2)
            for entry in running[:]:
                job, process, start = entry
                seconds = time.monotonic() - start
                if not process.is_alive() or seconds > WALL_S:
                    outcomes.append(Outcome(job, fate(process), seconds))
                    if job.mutant.before and outcomes[-1].fate != "killed":
                        bar.write(f"{outcomes[-1].fate}: {job}")
                    running.remove(entry)
                    bar.update()
    return sorted(outcomes, key=lambda outcome: work.index(outcome.job))


def fate(process: multiprocessing.context.ForkProcess) -> str:
    """How a fork ended; one that still runs is ended."""
    if process.is_alive():
        process.kill()
    process.join()
    if process.exitcode in (-signal.SIGKILL, -signal.SIGXCPU):
        return "timeout"
    if process.exitcode in BROKEN_RUNS:
        raise RuntimeError(f"pytest ran no tests, or not on the mutant: exit code {process.exitcode}")
    return "killed" if process.exitcode else "survived"


def check_baseline(files: list[str], processes: int) -> None:
    """The tests pass with every module as it is, and fail with one that cannot be imported.

    Raises:
        SystemExit: They do not, so no outcome would mean anything.
    """
    broken = {Job(file, Mutant(1, 0, "", "", "raise", "raise RuntimeError")): "killed" for file in files}
    one_each = {
        tuple(sorted(tests_of(file))): file for file in files
    }.values()  # of those with the same tests
    intact = {
        Job(file, Mutant(1, 0, "", "", "as it is", (ROOT / file).read_text())): "survived"
        for file in one_each
    }
    expected = broken | intact
    outcomes = run_all(list(expected), processes)
    wrong = [f"{o.job.file}, {o.job.mutant.after}: {o.fate}" for o in outcomes if o.fate != expected[o.job]]
    if wrong:
        raise SystemExit(f"the tests must pass on modules as they are and fail on broken ones: {wrong}")


def chosen(options: argparse.Namespace) -> list[Job]:
    """The mutants that the options ask for."""
    paths = [path for folder in FOLDERS for path in sorted((ROOT / folder).glob("*.py"))]
    files = options.file or [path.relative_to(ROOT).as_posix() for path in paths]
    work = [Job(file, mutant) for file in files for mutant in mutants((ROOT / file).read_text())]
    if options.survivors:
        listed = {tuple(entry[f] for f in KEY) for entry in json.loads(options.out.read_text())["survivors"]}
        work = [job for job in work if job.key in listed]
    if options.sample:
        drawn = random.Random(options.seed).sample(range(len(work)), min(options.sample, len(work)))
        work = [work[i] for i in sorted(drawn)]
    return work[: options.limit]


def report(outcomes: list[Outcome]) -> dict[str, Any]:
    """Counts, score, and every mutant that was not killed by a failing test."""
    reasons = equivalence_reasons()
    counts: dict[str, Counter[str]] = {}
    lists: dict[str, list[dict[str, str]]] = {name: [] for name in LISTS.values()}
    for outcome in outcomes:
        job, kind = outcome.job, outcome.fate
        if kind == "survived" and job.key in reasons:
            kind = "equivalent"
        counts.setdefault(job.file, Counter()).update([kind, "mutants"])
        if kind != "killed":
            reason = {"reason": reasons[job.key]} if kind == "equivalent" else {}
            lists[LISTS[kind]].append({"place": job.place, **dict(zip(KEY, job.key, strict=True)), **reason})
    median = {"median_s": statistics.median(outcome.seconds for outcome in outcomes)}
    return {**summary(counts, lists), **median}


def equivalence_reasons() -> dict[tuple[str, ...], str]:
    """Why no test can tell some mutants from the original, by their keys."""
    return {key_of(entry): entry["reason"] for entry in json.loads(EQUIVALENTS.read_text())}


def key_of(entry: dict[str, str]) -> tuple[str, ...]:
    """The key of a mutant in a list."""
    return tuple(entry[field] for field in KEY)


def summary(counts: dict[str, Counter[str]], lists: dict[str, list[dict[str, str]]]) -> dict[str, Any]:
    """Counts of all files, the score, and which reasons belong to no survivor."""
    total = sum(counts.values(), Counter())
    survivors = {key_of(entry) for entry in lists["equivalents"]}
    return {
        "total": total,
        "score": (total["killed"] + total["timeout"]) / max(1, total["mutants"] - total["equivalent"]),
        "files": counts,
        **lists,
        "reasons_without_a_survivor": [
            k for k in equivalence_reasons() if k[0] in counts and k not in survivors
        ],
    }


def with_other_files(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """A result of some files, with the others as an earlier result has them; "parts" says where each file's numbers are from.

    Args:
        old: The earlier result.
        new: The result of the files that ran.
    """
    ran = new["files"].keys()
    counts = {file: Counter(numbers) for file, numbers in {**old["files"], **new["files"]}.items()}
    lists = {
        name: [entry for entry in old[name] if entry["file"] not in ran] + new[name]
        for name in LISTS.values()
    }
    others = [{**part, "files": sorted({*part["files"]} - ran)} for part in old.get("parts", [part_of(old)])]
    parts = [part for part in others if part["files"]] + [part_of(new)]
    return {**new, **summary(counts, lists), "parts": parts}


def part_of(result: dict[str, Any]) -> dict[str, Any]:
    """Which files a result has, and where it is from."""
    origin_of = {
        name: result[name] for name in ("command", "date", "commit", "machine", "versions", "median_s")
    }
    note = {name: result[name] for name in ("note", "again") if name in result}
    return {"files": sorted(result["files"]), **origin_of, **note}


def brought_up_to_date(old: dict[str, Any], outcomes: list[Outcome], start: dict[str, Any]) -> dict[str, Any]:
    """A result with what became of its survivors, run again or listed as equivalent since; "again" says when and how many.

    Args:
        old: The result.
        outcomes: Of its survivors.
        start: Where these outcomes come from.
    """
    new, ran = report(outcomes), {outcome.job.key for outcome in outcomes}
    counts = {file: Counter(numbers) for file, numbers in old["files"].items()}
    for file, numbers in new["files"].items():
        ran_here = numbers.pop("mutants")
        counts[file] = counts[file] + numbers - Counter(survived=ran_here)
    lists = {
        name: [entry for entry in old[name] if key_of(entry) not in ran] + new[name]
        for name in LISTS.values()
    }
    again = {**start, "survivors": len(outcomes), **sum(new["files"].values(), Counter())}
    return {**old, **summary(counts, lists), "again": [*old.get("again", []), again]}


def main() -> None:
    """Make the mutants, run the tests on each, write the result."""
    parser = argparse.ArgumentParser(f"python -m {__package__}", description=__doc__.splitlines()[0])
    parser.add_argument(
        "--file", nargs="+", help="modules, as paths from the root; all kernels and processors"
    )
    parser.add_argument("--limit", type=int, help="only so many, the first")
    parser.add_argument("--sample", type=int, help="only so many, drawn with --seed")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--survivors",
        action="store_true",
        help="bring the last result up to date: run its survivors again but for those that are listed by now",
    )
    parser.add_argument(
        "--skip-listed",
        action="store_true",
        help="take those with a listed reason as equivalent; to see that they survive takes a minute each",
    )
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--out", type=Path, default=RESULT)
    options = parser.parse_args()
    if options.file and options.out == RESULT and (options.sample or options.limit):
        parser.error("--sample and --limit need --out: the recorded result has all mutants of a file")
    os.chdir(ROOT)
    sys.path[:0] = [
        str(ROOT),
        str(ROOT / "kernels"),
    ]  # the code beside this script, wherever another is installed
    for name in HEAVY:
        importlib.import_module(name)
    torch.set_num_threads(1)
    # Examples as in `make test`, but a failure is enough: it need not be made small.
    phases = [hypothesis.Phase.explicit, hypothesis.Phase.generate]
    hypothesis.settings.register_profile(
        "mutation",
        derandomize=True,
        deadline=None,
        database=None,
        phases=phases,
        suppress_health_check=[hypothesis.HealthCheck.too_slow],  # a busy machine is no failure
    )
    work = chosen(options)
    files = sorted({job.file for job in work})
    check_baseline(files, options.jobs)
    start = {**origin("mutation", "hypothesis", "pytest"), "jobs": options.jobs}
    earlier = json.loads(options.out.read_text()) if options.out.exists() else None
    before = earlier if options.survivors else None
    listed = equivalence_reasons() if before or options.skip_listed else {}
    outcomes: list[Outcome] = []
    result: dict[str, Any] = {}
    for file in files:
        here = [job for job in work if job.file == file]
        outcomes += [Outcome(job, "survived", 0.0) for job in here if job.key in listed]
        outcomes += run_all([job for job in here if job.key not in listed], options.jobs)
        result = brought_up_to_date(before, outcomes, start) if before else {**start, **report(outcomes)}
        if earlier and options.file and not before:
            result = with_other_files(earlier, result)
        options.out.write_text(json.dumps(result, indent=1) + "\n")
    for file, counts in {**result["files"], "all": result["total"]}.items():
        print(f"{file:50}", *(f"{count} {kind}" for kind, count in counts.items()))
    print(f"score {result['score']:.3f}, median {result['median_s']:.1f} s")


if __name__ == "__main__":
    main()
