"""Generated requests, valid and broken, against the server: never a 500, never a hang, and the next valid one is served.

    python -m benchmarks.soak.fuzz [--bodies 14500] [--cases 6000] [--wire 600] [--seed 0]

Bodies are Hypothesis' own (`soak/bodies.py`): text, so that NaN, keys that come twice, broken UTF-8 and ten megabytes can be
said. Cases are schemathesis', from the server's /openapi.json, as described and not as described. Each answer is judged by that
description and by RFC 8259 (`soak/judge.py`): what fits is answered, complete and as described; what does not fit is refused
with the error of the API, which names a field that is at fault. After every tenth request one comes whose answer is known.
These are in this process, without sockets; some more go over sockets to a `sampling serve`, with HTTP itself broken, too
(`soak/wire.py`). With the same seed the requests are the same. Writes benchmarks/results/soak-fuzz.json.
"""

from __future__ import annotations

import argparse
import faulthandler
import json
import logging
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.strategies import SearchStrategy
from schemathesis import Case, GenerationMode
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import positive_data_acceptance
from tqdm import tqdm

from benchmarks.harness.paths import RESULTS
from benchmarks.harness.timing import origin
from benchmarks.soak.bodies import LARGE, MOST_ROWS, MOST_TOKENS, NAMES, PATHS, Sent, sent_requests
from benchmarks.soak.client import ask
from benchmarks.soak.observer import KNOWN, MOST_EVENTS, PATIENCE, Observer, Part
from benchmarks.soak.serving import Address, served
from benchmarks.soak.wire import UNFINISHED, exchange, status_of, wire_requests
from sampling import load
from sampling.server import ServerOptions, create_app

UNSAID = (
    "/completions",
    "/tokenize",
)  # of paths where a request may be refused for what no description can say
RESULT = RESULTS / "soak-fuzz.json"
MOMENT = 0.3  # seconds after which a client leaves whose request the server waits for the rest of
SLOW = (
    HealthCheck.too_slow,
    HealthCheck.data_too_large,
    HealthCheck.large_base_example,
    HealthCheck.filter_too_much,
)
PACKAGES = ("hypothesis", "schemathesis", "jsonschema", "starlette", "llguidance")

Json = Any


def each(strategy: SearchStrategy[Any], count: int, number: int, visit: Callable[[Any], None]) -> None:
    """Visit so many values; the same ones for the same seed."""
    if not count:
        return

    @seed(number)
    @settings(
        max_examples=count,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=SLOW,
    )
    @given(strategy)
    def visited(value: Any) -> None:
        visit(value)

    visited()


def bodies(observer: Observer, first: Sequence[Sent], count: int, number: int) -> Part:
    """Requests as text: some, then generated ones."""
    part = Part("bodies")
    with tqdm(total=count + len(first), desc="bodies", unit=" requests") as bar:

        def visit(sent: Any) -> None:
            observer.send(sent, part)
            bar.update()

        for sent in first:
            visit(sent)
        each(sent_requests(), count, number, visit)
    return part


def cases(app: Any, observer: Observer, mode: GenerationMode, count: int, number: int) -> Part:
    """Requests from the description."""
    part = Part(f"schemathesis, {mode.value}")
    whole_streams = schemathesis.Config.from_dict({"max-stream-events": MOST_EVENTS})
    described = schemathesis.openapi.from_asgi("/openapi.json", app, config=whole_streams)
    with tqdm(total=count, desc=part.name, unit=" requests") as bar:

        def visit(case: Case[Any]) -> None:
            send_case(bounded(case), observer, part)
            bar.update()

        each(described.as_strategy(generation_mode=mode), count, number, visit)
    return part


def bounded(case: Case[Any]) -> Case[Any]:
    """The case with few tokens to sample."""
    body: Json = case.body
    sampling = case.path.endswith("/completions")
    if sampling and isinstance(body, dict) and wants_many(body.get("max_tokens")):
        case.body = {**body, "max_tokens": MOST_TOKENS}
    return case


def wants_many(value: Json) -> bool:
    """Whether a value is a valid `max_tokens`, and more than is needed here."""
    return value is None or (isinstance(value, int | float) and MOST_TOKENS < value < 2**31)


def send_case(case: Case[Any], observer: Observer, part: Part) -> None:
    """Send a case, and judge what comes: schemathesis' way, and ours."""
    observer.watch()
    kind, started = f"{case.method} {case.path}", time.perf_counter()
    try:
        response = case.call(timeout=PATIENCE)
    except Exception as error:
        part.fail(kind, f"no answer: {error!r}", repr(case.body).encode())
        return
    sent: Json = response.request.body or b""
    body: bytes = sent if isinstance(sent, bytes) else sent.encode()
    part.count(kind, str(response.status_code), time.perf_counter() - started, len(body))
    own = case.path in PATHS and case.method == "POST"  # where the judge knows what no description can say
    try:
        unsaid = case.path.endswith(UNSAID)
        case.validate_response(response, excluded_checks=[positive_data_acceptance] if unsaid else [])
    except FailureGroup as group:
        part.fail(kind, "; ".join(str(failure) for failure in group.exceptions), body, response.content)
    if own:
        observer.check(kind, body, response, part)
    else:
        observer.ask_known(kind, body, part)


def wire(address: Address, count: int, number: int, every: int = 10) -> Part:
    """Requests over sockets."""
    part, expected = Part("sockets"), ask(address, KNOWN).answer
    with tqdm(total=count, desc="sockets", unit=" requests") as bar:

        def visit(request: tuple[str, bytes]) -> None:
            exchanged(address.port, *request, part)
            if part.statuses.total() % every == 0:
                part.known_answers += 1
                if ask(address, KNOWN).answer != expected:
                    part.fail(request[0], "the known answer is another one after it", request[1])
            bar.update()

        each(wire_requests(), count, number, visit)
    return part


def exchanged(port: int, kind: str, request: bytes, part: Part) -> None:
    """Send a request over a socket; a client whose request is not whole leaves after a moment."""
    started, answer = time.perf_counter(), b""
    try:
        answer = exchange(port, request, MOMENT if kind in UNFINISHED else PATIENCE)
        status = status_of(answer)
    except TimeoutError:
        status = "left"
        if kind not in UNFINISHED:
            part.fail(kind, "no answer", request)
    part.count(kind, status, time.perf_counter() - started, len(request))
    if status.startswith("5"):
        part.fail(kind, status, request, answer)


def run(
    body_count: int, case_count: int, number: int, first: Sequence[Sent] = LARGE, *, watched: bool = False
) -> list[Part]:
    """Everything.

    Args:
        body_count: How many requests as text.
        case_count: How many from the description, half of them as described.
        number: The seed.
        first: Requests before all others.
        watched: Whether a hang ends the process.
    """
    app = create_app(load(None), ServerOptions(names=NAMES, max_batch=MOST_ROWS))
    observer, half = Observer(app, watched=watched), case_count // 2
    return [
        bodies(observer, first, body_count, number),
        cases(app, observer, GenerationMode.POSITIVE, half, number),
        cases(app, observer, GenerationMode.NEGATIVE, case_count - half, number),
    ]


def main() -> None:
    """Run everything and write the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bodies", type=int, default=14_500, help="requests as text")
    parser.add_argument("--cases", type=int, default=6_000, help="requests from the description")
    parser.add_argument("--wire", type=int, default=600, help="requests over sockets")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=RESULT)
    options = parser.parse_args()
    logging.getLogger("sampling.server").setLevel(logging.CRITICAL)
    source, started = origin("soak.fuzz", *PACKAGES), time.perf_counter()
    parts = run(options.bodies, options.cases, options.seed, watched=True)
    faulthandler.cancel_dump_traceback_later()
    with served("--max-batch", str(MOST_ROWS)) as server:
        parts.append(wire(server, options.wire, options.seed))
        errors = len(server.errors())
    result = {
        **source,
        "minutes": round((time.perf_counter() - started) / 60, 1),
        "requests": sum(part.statuses.total() for part in parts),
        "failures": sum(len(part.failures) for part in parts) + errors,
        "parts": [part.result() for part in parts],
    }
    options.out.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps({key: result[key] for key in ("requests", "failures")}))
    sys.exit(bool(result["failures"]))


if __name__ == "__main__":
    main()
