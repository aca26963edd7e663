"""Which web pages may use the server: cross-origin resource sharing, off unless origins are named."""

from __future__ import annotations

import re
from collections.abc import Sequence

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp

from sampling.core.errors import InvalidArgument
from sampling.server.errors import not_for_pages
from sampling.server.replies import error_response

ORIGIN = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]*)://(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(:(?P<port>[1-9][0-9]{0,4}))?"
)
NAMED = re.compile(rb"\norigin:[ \t]*([^\r\n]*[^\r\n \t])", re.IGNORECASE)
DEFAULT_PORTS = {"http": 80, "https": 443}
# beside the headers that pages may always read
READABLE = ("x-request-id", "retry-after", "www-authenticate")


class CrossOrigin(CORSMiddleware):
    """Lets pages of some origins use the server; a browser's question whether they may needs no key.

    Args:
        app: What they use.
        origins: Such as `https://example.org`; `*` for all.

    Source: Fetch Standard, "CORS protocol".
    """

    def __init__(self, app: ASGIApp, origins: Sequence[str]) -> None:
        super().__init__(
            app,
            allow_origins=origins,
            allow_methods=("GET", "HEAD", "POST"),
            allow_headers=("*",),
            allow_private_network=True,
            expose_headers=READABLE,
        )

    def preflight_response(self, request_headers: Headers) -> Response:
        """Return the answer to a browser's question; a refusal has the form of every other error."""
        response = super().preflight_response(request_headers)
        if response.status_code == 200:
            return response
        refused = error_response(not_for_pages())
        refused.headers.update(self.preflight_headers)
        return refused


def headers_for(origins: Sequence[str], head: bytes) -> dict[str, str]:
    """Headers by which a page can read an answer that comes from below `CrossOrigin`.

    Args:
        origins: Those that may use the server.
        head: The request's head, or what came of it: where it does not name its origin, and only one is allowed, it is that.
    """
    found = NAMED.search(head)
    origin = found[1].decode("latin-1") if found else origins[0] if len(origins) == 1 else ""
    if not origins or not ("*" in origins or origin in origins):
        return {}
    allowed = (
        {"Access-Control-Allow-Origin": "*"}
        if "*" in origins
        else {"Access-Control-Allow-Origin": origin, "Vary": "Origin"}
    )
    return {**allowed, "Access-Control-Expose-Headers": ", ".join(READABLE)}


def check_origin(origin: object) -> None:
    """Refuse what no browser sends as the origin of a page.

    Raises:
        InvalidArgument: It is neither `*` nor `null` nor a scheme and a host, perhaps with a port.
    """
    words = "* or an origin as browsers send it, such as https://example.org or http://localhost:3000"
    if origin not in ("*", "null") and not (isinstance(origin, str) and is_origin(origin)):
        raise InvalidArgument("cors", origin, words)


def is_origin(text: str) -> bool:
    """Whether a text is an origin in the one form that browsers send.

    Example:
        >>> from sampling.server.cors import is_origin
        >>> [is_origin(text) for text in ("http://localhost:3000", "http://localhost:3000/", "https://a.org:443")]
        [True, False, False]
    """
    found = ORIGIN.fullmatch(text)
    if found is None:
        return False
    scheme, port = found["scheme"], int(found["port"] or 0)
    return port <= 65535 and port != DEFAULT_PORTS.get(scheme)
