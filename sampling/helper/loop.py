"""The side that answers: what runs in a helper process. It imports nothing of this package, so that it starts at once."""

from __future__ import annotations

import contextlib
import json
import math
import os
import resource
import runpy
import sys
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any


def main(program: str, handle: str, bounds: str) -> None:
    """Answer questions until the other side closes the connection.

    Args:
        program: A Python file with a function `answer`.
        handle: The connection's file descriptor.
        bounds: JSON: most bytes of `memory`, the `longest` answer in bytes, how `nice` to be, and a `path` of modules.
    """
    given = json.loads(bounds)
    sys.path += [place for place in given["path"] if place not in sys.path]
    os.nice(given["nice"])
    answer: Callable[[Any], object] = runpy.run_path(program)["answer"]
    limit(resource.RLIMIT_AS, given["memory"])
    limit(resource.RLIMIT_CORE, 0)
    with Connection(int(handle)) as connection, contextlib.suppress(EOFError, ConnectionError):
        connection.send_bytes(b'"ready"')
        while True:
            asked = json.loads(connection.recv_bytes())
            # where the other side has died and nobody ends this process
            limit(resource.RLIMIT_CPU, math.ceil(time.process_time() + asked["seconds"]) + 1)
            connection.send_bytes(reply(answer, asked["question"], given["longest"]))


def reply(answer: Callable[[Any], object], question: object, longest: int) -> bytes:
    """Answer one question, within the bounds; JSON."""
    try:
        whole = json.dumps({"answer": answer(question)}).encode()
        return whole if len(whole) <= longest else b'{"exceeded": "length"}'
    except MemoryError:
        return b'{"exceeded": "memory"}'
    except Exception as error:
        return json.dumps({"failed": repr(error)[:1000]}).encode()


def limit(kind: int, value: int) -> None:
    """Set a limit of this process, where the system has such a one."""
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(kind, (value, resource.getrlimit(kind)[1]))


if __name__ == "__main__":
    main(*sys.argv[1:])
