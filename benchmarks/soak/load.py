"""Many clients at once: is every answer complete, and the same as alone? Does memory grow?

    python -m benchmarks.soak.load [--clients 64] [--seconds 120] [--pool 256] [--compared 1000] [--seed 0]

Starts `sampling serve` with the built-in checkpoint, asks each request of a pool once, one at a time, and then lets the clients
ask them in random order, streamed or not, for the time given. An answer is compared with the one that it had alone: content,
tokens, log probabilities to the last bit, finish reasons, usage. One request in eight has no seed; some of these are asked once
more with the seed that the server told. The server's memory is looked at every second. At the end other requests are compared
with `LanguageModel.chat`, whose batch is its own choices: how often is a token another one? Linux only.
Writes benchmarks/results/soak-load.json.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from benchmarks.harness.paths import RESULTS
from benchmarks.harness.timing import origin
from benchmarks.soak.client import Reply, ask
from benchmarks.soak.mix import mixed
from benchmarks.soak.serving import Address, Served, served
from benchmarks.soak.summaries import growth, latencies
from benchmarks.soak.tokens import against_chat

RESULT = RESULTS / "soak-load.json"
PACKAGES = ("starlette", "uvicorn", "transformers", "llguidance")
REPLAYED = 50

Json = Any


@dataclass(frozen=True)
class Asked:
    """One request of a client.

    Args:
        number: Its place in the pool.
        seeded: Whether it was asked with its seed.
        reply: What came.
    """

    number: int
    seeded: bool
    reply: Reply


def alone(address: Address, pool: list[Json]) -> list[Json]:
    """The answers of requests that are asked one at a time.

    Raises:
        RuntimeError: One failed.
    """
    replies = [ask(address, request) for request in tqdm(pool, desc="one at a time")]
    for request, reply in zip(pool, replies, strict=True):
        if reply.problem is not None:
            raise RuntimeError(f"{request}: {reply.problem}")
    return [reply.answer for reply in replies]


def storm(address: Address, pool: list[Json], *, clients: int, seconds: float, seed: int) -> list[Asked]:
    """Let clients ask, each one request after another, until the time is over; all that were begun are finished."""
    deadline = time.monotonic() + seconds

    def client(number: int) -> list[Asked]:
        chance, connection, asked = random.Random(f"{seed}/{number}"), address.connect(), []
        while time.monotonic() < deadline:
            place, seeded = chance.randrange(len(pool)), chance.random() < 7 / 8
            request = pool[place] if seeded else without_seed(pool[place])
            asked.append(Asked(place, seeded, ask(address, request, connection)))
        connection.close()
        return asked

    with ThreadPoolExecutor(clients) as threads, clock(seconds):
        return [one for asked in threads.map(client, range(clients)) for one in asked]


def without_seed(request: Json) -> Json:
    """The request, the seed left to the server."""
    return {name: value for name, value in request.items() if name != "seed"}


class clock:  # noqa: N801
    """A bar that shows how much of some seconds is over."""

    def __init__(self, seconds: float) -> None:
        self._bar = tqdm(total=round(seconds), desc="clients", unit="s")
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._tick)

    def _tick(self) -> None:
        while not self._over.wait(1):
            self._bar.update()

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        self._bar.close()


def watched(server: Served, samples: list[tuple[float, float]], over: threading.Event) -> None:
    """Note time and memory of a server every second."""
    started = time.monotonic()
    while not over.wait(1):
        samples.append((time.monotonic() - started, server.resident_mib()))


def verdicts(asked: list[Asked], pool: list[Json], expected: list[Json]) -> Json:
    """How many answers were complete, and how many as expected."""
    failed = [one for one in asked if one.reply.problem is not None]
    seeded = [one for one in asked if one.seeded and one.reply.problem is None]
    other = [one for one in seeded if one.reply.answer != expected[one.number]]
    first = [{"request": pool[one.number], "problem": one.reply.problem} for one in failed[:5]]
    first += [
        {"request": pool[one.number], "alone": expected[one.number], "among others": one.reply.answer}
        for one in other[:5]
    ]
    return {
        "answers": len(asked),
        "incomplete_or_refused": len(failed),
        "seeded_answers_compared": len(seeded),
        "requests_compared": len({one.number for one in seeded}),
        "seeded_answers_that_differ": len(other),
        "first_problems": first,
    }


def replayed(address: Address, asked: list[Asked], pool: list[Json]) -> Json:
    """Ask some requests that had no seed once more, with the seed that the server told."""
    fresh = [one for one in asked if not one.seeded and one.reply.problem is None]
    some = [(one, pool[one.number] | {"seed": one.reply.seed}) for one in fresh[:REPLAYED]]
    same = [ask(address, request).answer == one.reply.answer for one, request in some]
    return {"answers_without_seed": len(fresh), "replayed": len(same), "that_differ": same.count(False)}


def sampled_tokens(asked: list[Asked]) -> int:
    """How many tokens were sampled for complete answers."""
    return sum(one.reply.answer["usage"]["completion_tokens"] for one in asked if one.reply.answer)


def speed(asked: list[Asked], pool: list[Json], seconds: float) -> Json:
    """Throughput and latencies."""
    done = [one for one in asked if one.reply.problem is None]
    streamed = [one.reply.first_seconds for one in done if pool[one.number].get("stream")]
    return {
        "answers_per_second": round(len(done) / seconds, 2),
        "sampled_tokens_per_second": round(sampled_tokens(done) / seconds, 1),
        "seconds_to_the_last_byte": latencies([one.reply.seconds for one in done]),
        "seconds_to_the_first_content_of_a_stream": latencies(streamed),
    }


def stormed(server: Served, pool: list[Json], expected: list[Json], options: argparse.Namespace) -> Json:
    """What many clients at once get, beside what each request got alone, and what it costs the server."""
    samples, over = [], threading.Event()
    watch = threading.Thread(target=watched, args=(server, samples, over))
    watch.start()
    started = time.monotonic()
    asked = storm(server, pool, clients=options.clients, seconds=options.seconds, seed=options.seed)
    seconds = time.monotonic() - started
    over.set()
    watch.join()
    return {
        **verdicts(asked, pool, expected),
        "replay": replayed(server, asked, pool),
        "errors_logged": len(server.errors()),
        "speed": speed(asked, pool, seconds),
        "memory": growth(samples, options.seconds, len(asked)),
    }


def measured(server: Served, pool: list[Json], options: argparse.Namespace) -> Json:
    """Everything that one server shows."""
    found = stormed(server, pool, alone(server, pool), options)
    return {**found, "against_chat": against_chat(server, mixed(options.compared, options.seed + 1))}


def main() -> None:
    """Run everything and write the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--pool", type=int, default=256, help="how many different requests")
    parser.add_argument(
        "--compared", type=int, default=1000, help="how many other requests are compared with chat"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=RESULT)
    options = parser.parse_args()
    source = origin("soak.load", *PACKAGES)
    with served() as server:
        found = measured(server, mixed(options.pool, options.seed), options)
    settings = {"clients": options.clients, "seconds": options.seconds, "pool": options.pool}
    options.out.write_text(json.dumps({**source, **settings, **found}, indent=1) + "\n")
    bad = ("incomplete_or_refused", "seeded_answers_that_differ", "errors_logged")
    print({name: found[name] for name in ("answers", *bad)}, found["speed"], found["memory"]["grown_mib"])
    sys.exit(
        any(found[name] for name in bad) or found["replay"]["that_differ"] > 0 or found["memory"]["grows"]
    )


if __name__ == "__main__":
    main()
