"""Clients that misbehave beside many that do not: do the latter get every answer? Does anything stay behind?

    python -m benchmarks.soak.hostile [--seconds 600] [--clients 64] [--hostile 32] [--pool 256] [--seed 0]

Starts `sampling serve` with the built-in checkpoint and short deadlines, and lets two crowds loose on it for the time given.
The clients of `soak.load` ask, and each answer has to be complete and, where it is seeded, the one that the request got alone.
The others (`soak/mischief.py`) read nothing or byte by byte, send half of a head or of a body, more than the request, too much,
no HTTP, or nothing at all, leave in the middle, or close one side; each way has few endings that are right. Afterwards no row
may be occupied and no connection open, the server's memory may not have grown, and its log may show no error and no 500.
Linux only. Writes benchmarks/results/soak-hostile.json.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks.harness.paths import RESULTS
from benchmarks.harness.timing import origin
from benchmarks.soak.disconnects import occupied
from benchmarks.soak.load import alone, stormed
from benchmarks.soak.mischief import MISCHIEF
from benchmarks.soak.mix import mixed
from benchmarks.soak.serving import Address, Served, seconds_until, served

RESULT = RESULTS / "soak-hostile.json"
FLAGS = {"max-queue": 512, "keep-alive": 10, "head-timeout": 2, "body-timeout": 3, "write-timeout": 2}
SPARE = 2  # descriptors that a server may keep

Json = Any


def pestered(address: Address, *, clients: int, seconds: float, seed: int) -> list[tuple[str, str]]:
    """Let clients misbehave, each in one way after another, until the time is over.

    Returns:
        Each time, the way and what came of it.
    """
    deadline = time.monotonic() + seconds

    def client(number: int) -> list[tuple[str, str]]:
        chance, endings = random.Random(f"hostile {seed}/{number}"), []
        while time.monotonic() < deadline:
            kind = chance.choice([*MISCHIEF])
            endings.append((kind, ended(address, kind, chance)))
        return endings

    with ThreadPoolExecutor(clients) as threads:
        return [one for endings in threads.map(client, range(clients)) for one in endings]


def ended(address: Address, kind: str, chance: random.Random) -> str:
    """What comes of a way to misbehave."""
    try:
        return MISCHIEF[kind].act(address, chance)
    except OSError as error:
        return repr(error)


def counted(endings: list[tuple[str, str]]) -> Json:
    """How often each way ended how, and how often wrongly."""
    wrong = Counter(f"{kind}: {ending}" for kind, ending in endings if ending not in MISCHIEF[kind].right)
    return {
        "times": len(endings),
        "by_kind_and_ending": dict(sorted(Counter(f"{kind}: {ending}" for kind, ending in endings).items())),
        "wrong_endings": dict(sorted(wrong.items())),
    }


def measured(server: Served, pool: list[Json], options: argparse.Namespace) -> Json:
    """Everything that one server shows; `faults` says what was wrong."""
    expected, before = alone(server, pool), server.descriptors()
    with ThreadPoolExecutor(1) as beside:
        pest = beside.submit(
            pestered, server, clients=options.hostile, seconds=options.seconds, seed=options.seed
        )
        good = stormed(server, pool, expected, options)
        hostile = counted(pest.result())
    free = seconds_until(lambda: not occupied(server))
    closed = seconds_until(lambda: server.descriptors() <= before + SPARE)
    statuses = Counter(str(line["status"]) for line in server.logged() if line["event"] == "request")
    faults = {
        "an answer was lost": good["incomplete_or_refused"] > 0,
        "an answer was another one": good["seeded_answers_that_differ"] + good["replay"]["that_differ"] > 0,
        "an error": good["errors_logged"] + statuses["500"] > 0,
        "memory grows": good["memory"]["grows"],
        "a way to misbehave ended wrongly": bool(hostile["wrong_endings"]),
        "a row stayed occupied": free is None,
        "a connection stayed open": closed is None,
    }
    return {
        **good,
        "hostile": hostile,
        "requests_logged_by_status": dict(sorted(statuses.items())),
        "descriptors_before_and_after": [before, server.descriptors()],
        "faults": [name for name, applies in faults.items() if applies],
    }


def main() -> None:
    """Run everything and write the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--clients", type=int, default=64, help="clients that behave")
    parser.add_argument("--hostile", type=int, default=32, help="clients that do not")
    parser.add_argument("--pool", type=int, default=256, help="how many different requests the former have")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=RESULT)
    options = parser.parse_args()
    source = origin("soak.hostile", "starlette", "uvicorn", "h11")
    with served(*(word for name, value in FLAGS.items() for word in (f"--{name}", str(value)))) as server:
        found = measured(server, mixed(options.pool, options.seed), options)
    settings = {name: getattr(options, name) for name in ("seconds", "clients", "hostile", "pool", "seed")}
    result = {**source, **settings, "flags": FLAGS, **found}
    options.out.write_text(json.dumps(result, indent=1) + "\n")
    print(
        {name: found[name] for name in ("answers", "faults")}, found["hostile"], found["memory"]["grown_mib"]
    )
    sys.exit(bool(found["faults"]))


if __name__ == "__main__":
    main()
