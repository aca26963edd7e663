"""An endpoint under suspicion, and the pictures of its notebook."""

from __future__ import annotations

import json
import threading
import urllib.request
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from sampling import load
from sampling.dialects import Dialect
from sampling.server import ServerOptions, create_app
from sampling.server.address import bound_socket, url_of
from sampling.server.run import Server, configuration

COLOURS = {"found": "#222222", "right": "#0072b2", "wrong": "#d55e00"}


@contextmanager
def serving(dialect: Dialect) -> Generator[str]:
    """Serve the built-in toy under a dialect, from another thread.

    Args:
        dialect: How the server samples.

    Yields:
        The URL of its API.
    """
    app = create_app(load(None), ServerOptions(dialect=dialect, max_batch=64))
    listening, taken = threading.Event(), bound_socket("127.0.0.1", 0)
    server = Server(configuration(app), ready=listening.set, drain=lambda: None)
    thread = threading.Thread(target=server.run, args=([taken],))
    thread.start()
    try:
        listening.wait()
        yield f"{url_of(taken)}/v1"
    finally:
        server.should_exit = True
        thread.join()


def chat(url: str, **fields: Any) -> dict[str, Any]:
    """One chat completion by any server of the API."""
    request = urllib.request.Request(
        f"{url}/chat/completions", json.dumps(fields).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request) as response:
        return json.load(response)


def show_counts(axes: Axes, names: Sequence[str], counts: Sequence[int], readings: Mapping[str, Any]) -> None:
    """How often each token came, and how often two readings of the parameters want it."""
    places, draws = np.arange(len(names)), sum(counts)
    axes.bar(places, counts, color="#d0d0d0", label="what came")
    for mark, (words, row) in zip(("_", "x"), readings.items(), strict=False):
        colour = COLOURS["right" if mark == "_" else "wrong"]
        axes.plot(places, draws * np.asarray(row), mark, color=colour, markersize=9, label=words)
    axes.set_xticks(places, names)
    axes.set_ylabel(f"of {draws} answers")
    axes.legend()


def show_evidence(axes: Axes, decades: NDArray[np.float64]) -> None:
    """How the evidence against the documented order grows with each answer."""
    axes.plot(np.arange(1, len(decades) + 1), decades, color=COLOURS["wrong"])
    axes.axhline(6, color=COLOURS["found"], linewidth=0.8)
    axes.annotate("a million to one", (len(decades), 6), (0, 4), textcoords="offset points", ha="right")
    axes.set_xlabel("answers")
    axes.set_ylabel("e-value, powers of ten")
