"""Clients that leave in the middle: does a row stay occupied?

    python -m benchmarks.soak.disconnects [--clients 200] [--at-once 32] [--seed 0]

Starts `sampling serve` with the built-in checkpoint. Each client asks for an answer that lasts as long as the context does; it
leaves after some chunks, or, where it has asked for the whole response, after some milliseconds, while its request decodes or
waits; it closes or resets the connection. First one after another, then many at once. Afterwards /metrics has to show
no row and no request, steps must not go on, and the next request has to get its known answer.
Writes benchmarks/results/soak-disconnects.json.
"""

from __future__ import annotations

import argparse
import json
import random
import socket
import struct
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from tqdm import tqdm

from benchmarks.harness.paths import RESULTS
from benchmarks.harness.timing import origin
from benchmarks.soak.client import ask
from benchmarks.soak.mix import MODEL
from benchmarks.soak.serving import CHAT, Address, seconds_until, served
from benchmarks.soak.summaries import latencies
from sampling.toy import CHECKPOINT

RESULT = RESULTS / "soak-disconnects.json"
OCCUPIED = ("sampling_rows_running", "sampling_requests_running", "sampling_requests_waiting")
STEPS = "sampling_step_seconds_count"
DISCONNECTED = 'sampling_requests_total{status="disconnected"}'
MOST_STEPS = (
    60  # of about 490 that each answer would take; who closes is noticed after some hundredths of a second
)
RESET = struct.pack("ii", 1, 0)
ENDS = json.loads((CHECKPOINT / "generation_config.json").read_text())["eos_token_id"]
MESSAGES = [{"role": "user", "content": "What is the capital of Turkey?"}]
ENDLESS = {"model": MODEL, "messages": MESSAGES, "logit_bias": {str(token): -100 for token in ENDS}}
KNOWN = {"model": MODEL, "messages": MESSAGES, "seed": 1, "logprobs": True}
ANSWER = "The capital of Turkey is Ankara."

Json = Any


@dataclass(frozen=True)
class Plan:
    """How a client leaves.

    Args:
        n: How many choices it asks for.
        chunks: After how many chunks of a stream it leaves; None for the whole response.
        seconds: How long it waits for the whole response.
        reset: Whether it resets the connection.
    """

    n: int
    chunks: int | None
    seconds: float
    reset: bool


def plans(count: int, seed: int) -> list[Plan]:
    """So many plans, two of three streamed."""
    chance = random.Random(seed)
    return [
        Plan(
            n=chance.choice([1, 1, 2, 3]),
            chunks=chance.randint(0, 40) if chance.random() < 2 / 3 else None,
            seconds=chance.uniform(0, 0.5),
            reset=chance.random() < 0.5,
        )
        for _ in range(count)
    ]


def leave(address: Address, plan: Plan) -> None:
    """Ask, and leave as planned."""
    connection = address.connect()
    request = ENDLESS | {"n": plan.n, "stream": plan.chunks is not None}
    connection.request("POST", CHAT, json.dumps(request).encode())
    if plan.chunks:
        response = connection.getresponse()
        for _ in range(2 * plan.chunks):  # a line of data and an empty one
            response.readline()
    elif plan.chunks is None:
        time.sleep(plan.seconds)
    if plan.reset:
        connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    connection.sock.close()
    connection.close()


def occupied(address: Address) -> dict[str, float]:
    """What is not free, by metric."""
    values = {name: address.metric(name) for name in OCCUPIED}
    return {name: value for name, value in values.items() if value}


def one_after_another(address: Address, some: list[Plan]) -> Json:
    """Let clients come and leave one at a time; how long does it take until no row is occupied, and how many steps?"""
    seconds, steps = [], []
    for plan in tqdm(some, desc="one after another"):
        leave(address, plan)
        before = address.metric(STEPS)
        took = seconds_until(lambda: not occupied(address))
        if took is None:
            return {"clients": len(seconds), "still_occupied": occupied(address), "plan": asdict(plan)}
        seconds.append(took)
        steps.append(address.metric(STEPS) - before)
    return {"clients": len(some), "seconds_until_free": latencies(seconds), "most_steps_after": max(steps)}


def at_once(address: Address, some: list[Plan], clients: int) -> Json:
    """Let many clients come and leave together."""
    with ThreadPoolExecutor(clients) as threads:
        for _ in tqdm(threads.map(partial(leave, address), some), total=len(some), desc="at once"):
            pass
    before = address.metric(STEPS)
    took = seconds_until(lambda: not occupied(address))
    return {
        "clients": len(some),
        "at_once": clients,
        "seconds_until_free": took,
        "most_steps_after": address.metric(STEPS) - before,
        "still_occupied": occupied(address),
    }


def steps_while_idle(address: Address) -> float:
    """How many steps a server makes that has nothing to do."""
    before = address.metric(STEPS)
    time.sleep(0.5)
    return address.metric(STEPS) - before


def known(address: Address) -> Json:
    """The known answer."""
    reply = ask(address, KNOWN)
    return reply.problem or reply.answer


def measured(address: Address, count: int, clients: int, seed: int) -> Json:
    """Everything that one server shows; `faults` says what was wrong."""
    some, expected = plans(count, seed), known(address)
    before, third = address.metric(DISCONNECTED), count // 3
    parts = [one_after_another(address, some[:third])]
    between = known(address)
    parts.append(at_once(address, some[third:], clients))
    idle = steps_while_idle(address)
    after, left = known(address), address.metric(DISCONNECTED) - before
    faults = {
        "the published answer is another one": expected["choices"][0]["message"]["content"] != ANSWER,
        "a row stayed occupied": any(part.get("still_occupied") for part in parts),
        "steps went on": idle > 0 or max(part.get("most_steps_after", 0) for part in parts) > MOST_STEPS,
        "the next answer was another one": not expected == between == after,
        "a client was counted otherwise": left != count,
    }
    return {
        "clients": count,
        "streamed": sum(plan.chunks is not None for plan in some),
        "reset": sum(plan.reset for plan in some),
        "counted_as_disconnected": left,
        "one_after_another": parts[0],
        "at_once": parts[1],
        "steps_afterwards": idle,
        "faults": [name for name, applies in faults.items() if applies],
    }


def main() -> None:
    """Run everything and write the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--at-once", type=int, default=32)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=RESULT)
    options = parser.parse_args()
    source = origin("soak.disconnects", "starlette", "uvicorn")
    with served() as server:
        found = measured(server, options.clients, options.at_once, options.seed)
        errors = len(server.errors())
    result = {**source, **found, "errors_logged": errors}
    options.out.write_text(json.dumps(result, indent=1) + "\n")
    print(found)
    sys.exit(bool(found["faults"] or errors))


if __name__ == "__main__":
    main()
