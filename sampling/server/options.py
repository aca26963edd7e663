"""What a server can be told."""

from __future__ import annotations

from dataclasses import dataclass, field

from sampling.core.errors import InvalidArgument
from sampling.core.params import integer, number
from sampling.core.reading import Verbatim
from sampling.dialects import Dialect, DialectName
from sampling.dialects import dialect as dialect_named
from sampling.server.cors import check_origin

PAGE_MODEL = "meta-llama/Meta-Llama-3-8B-Instruct"
"""The model that the published page serves."""

LARGEST = 2**31 - 1
SHORTEST, LONGEST = 0.001, 86400.0  # seconds
SECRET = Verbatim("another one")  # what errors show in place of a key


@dataclass(frozen=True, kw_only=True)
class ServerOptions:
    """How to serve one model, checked on construction.

    Args:
        dialect: How to sample and to answer.
        names: The model names to answer to; none for the model's own.
        api_key: The bearer token that requests need; None lets everybody in.
        max_batch: How many choices decode at a time.
        max_queue: How many requests may wait for their turn.
        max_context: Most tokens of prompt and answer; None for the model's own.
        max_body: Most bytes of a request's body.
        max_unread: Most bytes of a stream that are kept for a client that reads more slowly than they come.
        max_connections: How many connections may be open.
        keep_alive: Seconds that a connection stays open without a request.
        head_timeout: Seconds that a request's line and headers may take.
        body_timeout: Seconds that its body may take.
        write_timeout: Seconds in which a client has to take what it is sent, or 64 KiB of it.
        cors: The origins whose web pages may use the server, such as `https://example.org`; `*` for all.

    Raises:
        InvalidArgument: A value is not allowed; the message names the option, the value and the range.

    Example:
        >>> ServerOptions(max_batch=0)
        Traceback (most recent call last):
        ...
        sampling.core.errors.InvalidArgument: max_batch: got 0, must be an integer from 1 to 2147483647
    """

    dialect: DialectName | Dialect = "qstash"
    names: tuple[str, ...] = ()
    api_key: str | None = field(default=None, repr=False)
    max_batch: int = 16
    max_queue: int = 64
    max_context: int | None = None
    max_body: int = 2**20
    max_unread: int = 2**20
    max_connections: int = 512
    keep_alive: float = 75.0
    head_timeout: float = 20.0
    body_timeout: float = 60.0
    write_timeout: float = 10.0
    cors: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check every option."""
        dialect_named(self.dialect)
        integer("max_queue", self.max_queue, 0, LARGEST)
        for name in ("max_batch", "max_body", "max_unread", "max_connections"):
            integer(name, getattr(self, name), 1, LARGEST)
        for name in ("keep_alive", "head_timeout", "body_timeout", "write_timeout"):
            number(name, getattr(self, name), SHORTEST, LONGEST)
        if self.max_context is not None:
            integer("max_context", self.max_context, 2, LARGEST)
        for origin in self.cors:
            check_origin(origin)
        if self.api_key is not None and not (self.api_key.isascii() and self.api_key.isprintable()):
            raise InvalidArgument("api_key", SECRET, "printable ASCII characters")
        if self.api_key is not None and (not self.api_key or " " in self.api_key):
            raise InvalidArgument("api_key", SECRET, "at least one character, none of them a space")
