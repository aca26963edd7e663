"""A server on a socket, until a signal ends it."""

from __future__ import annotations

import gc
import signal
import socket
from collections.abc import Callable
from functools import partial
from types import FrameType
from typing import cast

import uvicorn
from starlette.applications import Starlette

from sampling.server.address import listen
from sampling.server.logs import Seldom
from sampling.server.options import ServerOptions
from sampling.server.protocol import LARGEST_HEAD, HttpConnection

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Server(uvicorn.Server):
    """Uvicorn, but a signal lets it finish what it has begun and end as a success; a second one ends it at once.

    Uvicorn itself raises the signals that it has caught once more at the end, so that the process dies of them. `ready` is
    called when connections are accepted, and `drain`, in a signal handler, when new work is to be refused.
    """

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None], drain: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready, self._drain = ready, drain

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to accept connections."""
        for taken in sockets or ():
            listen(taken, self.config.backlog)
        await super().startup(sockets)
        self._ready()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to end."""
        for each in SIGNALS:
            signal.signal(each, signal.SIG_DFL)
        self._drain()
        self.should_exit = True


def configuration(app: Starlette) -> uvicorn.Config:
    """Return how uvicorn serves an application of `create_app`: one way on every machine, and without logs of its own."""
    options: ServerOptions = app.state.service.options
    return uvicorn.Config(
        app,
        http=cast("type[HttpConnection]", partial(HttpConnection, options, Seldom())),
        timeout_keep_alive=cast("int", options.keep_alive),  # asyncio takes fractions, too
        h11_max_incomplete_event_size=LARGEST_HEAD,
        ws="none",
        loop="asyncio",
        lifespan="on",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
    )


def serve(app: Starlette, taken: socket.socket, ready: Callable[[], None]) -> None:
    """Serve an application of `create_app` until a signal comes; `ready` is called when connections are accepted."""

    def drain() -> None:
        app.state.service.worker.queue.draining = True

    gc.collect()
    gc.freeze()  # what is there stays; to look through it again and again stops every thread, each time for long
    Server(configuration(app), ready, drain).run(sockets=[taken])
