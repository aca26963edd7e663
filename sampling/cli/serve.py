"""`sampling serve`: the HTTP server."""

from __future__ import annotations

import argparse
import logging
import os
from dataclasses import replace

from sampling.cli.flags import KEY_VARIABLE
from sampling.cli.loading import load_with_progress
from sampling.cli.options import SERVER_NUMBERS, SERVER_SECONDS
from sampling.cli.processes import under_torchrun
from sampling.core.errors import InvalidArgument
from sampling.core.params import integer
from sampling.server import PAGE_MODEL, ServerOptions, create_app
from sampling.server.address import bound_socket, is_private, url_of
from sampling.server.logs import log, logging_to_standard_error
from sampling.server.run import serve

OPEN = "whoever reaches this address can use the model; --api-key asks for a key, --host 127.0.0.1 keeps to this machine"
# the flags that are called as the options are
OPTIONS = [flag[0].replace("-", "_") for flag in (*SERVER_NUMBERS, *SERVER_SECONDS) if flag[0] != "port"]


def run_serve(options: argparse.Namespace) -> None:
    """Serve a model until a signal comes; options and address are checked before it is loaded."""
    if under_torchrun():
        raise InvalidArgument(
            "torchrun", "serve", "chat, explain or replay: a server does not spread over processes"
        )
    asked, port = server_options(options), integer("port", options.port, 0, 65535)
    with bound_socket(options.host, port) as taken:
        loaded = load_with_progress(options)
        # the built-in checkpoint stands in for the page's model, so that the page's own example works
        also = (PAGE_MODEL,) if options.model is None else ()
        names = tuple(dict.fromkeys((*(asked.names or (loaded.name,)), *also)))
        app = create_app(loaded, replace(asked, names=names))
        line = f"{', '.join(names)}: serving on {url_of(taken)} (Ctrl+C ends it)"
        with logging_to_standard_error():
            if asked.api_key is None and not is_private(taken):
                log("no_api_key", logging.WARNING, address=url_of(taken), message=OPEN)
            serve(app, taken, ready=lambda: print(line, flush=True))


def server_options(options: argparse.Namespace) -> ServerOptions:
    """Return the options that the flags spell out; the key may come from the environment, where no process list shows it."""
    key = os.environ.get(KEY_VARIABLE) if options.api_key is None else options.api_key
    given = {name: getattr(options, name) for name in OPTIONS if getattr(options, name) is not None}
    served = tuple(options.served_model_name or ())
    origins = tuple(options.cors or ())
    return ServerOptions(dialect=options.dialect, names=served, api_key=key, cors=origins, **given)
