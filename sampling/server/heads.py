"""What the head of a request may say in more than one way."""

from __future__ import annotations

from urllib.parse import unquote

from starlette.types import Scope

from sampling.server.errors import ApiError, head_too_large, other_version, two_lengths

SEPARATORS = 4  # bytes of each header that belong neither to its name nor to its value
LENGTHS = {b"content-length", b"transfer-encoding"}


def origin_form(scope: Scope) -> Scope:
    """Return the scope of a request whose target names the whole URL, as if it named the path alone (RFC 9112, 3.2.2)."""
    scheme, separator, rest = scope["raw_path"].partition(b"://")
    if not separator or scheme.lower() not in (b"http", b"https"):
        return scope
    raw = b"/" + rest.partition(b"/")[2]
    return {**scope, "raw_path": raw, "path": unquote(raw.decode("ascii"))}


def fault_of_head(scope: Scope, largest: int) -> ApiError | None:
    """Return what h11 lets pass.

    Another HTTP, such as that with which HTTP/2 begins; line and headers of more bytes than the largest head, which came all at
    once; and a body whose end is told in two ways, of which a proxy may have believed the other (RFC 9112, 6.1).
    """
    if not scope["http_version"].startswith("1."):
        return other_version(scope["http_version"])
    headers: list[tuple[bytes, bytes]] = scope["headers"]
    line = len(scope["raw_path"]) + len(scope["query_string"])
    if line + sum(len(name) + len(value) + SEPARATORS for name, value in headers) > largest:
        return head_too_large(largest)
    return two_lengths() if LENGTHS.issubset(name for name, _ in headers) else None
