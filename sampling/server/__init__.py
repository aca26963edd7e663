"""The HTTP server."""

from sampling.server.app import create_app
from sampling.server.options import PAGE_MODEL, ServerOptions

__all__ = ["PAGE_MODEL", "ServerOptions", "create_app"]
