"""Where an endpoint is, and what a request to it can carry."""

from __future__ import annotations

from urllib.parse import urlsplit

import httpx2

from sampling.conformance.endpoint.reply import LONGEST_NAME
from sampling.core.errors import InvalidArgument


def chat_url(url: object) -> str:
    """Where chat completions are asked for.

    Raises:
        InvalidArgument: Not an http or https URL.

    Example:
        >>> chat_url("http://127.0.0.1:8000")
        'http://127.0.0.1:8000/v1/chat/completions'
    """
    allowed = "an http:// or https:// URL with a host"
    if not isinstance(url, str) or not url.startswith(("http://", "https://")):
        raise InvalidArgument("url", url, allowed)
    try:
        parsed = urlsplit(url)
        named = parsed.hostname and (parsed.port is None or parsed.port > 0) and httpx2.URL(url).host
    except (ValueError, httpx2.InvalidURL) as error:
        raise InvalidArgument("url", url, f"{allowed} ({error})") from error
    if not named:
        raise InvalidArgument("url", url, allowed)
    if parsed.username is not None or parsed.password is not None:
        words = f"{allowed} and without a user: reports show it, and a key goes into api_key"
        raise InvalidArgument("url", f"{parsed.scheme}://(not shown)@{parsed.hostname}", words)
    if "?" in url or "#" in url:
        raise InvalidArgument("url", url, f"{allowed}, without a query or a fragment")
    root = url.rstrip("/")
    if root.endswith("/chat/completions"):
        return root
    bare = root.count("/") == 2
    return f"{root}/v1/chat/completions" if bare else f"{root}/chat/completions"


def plain_key(key: object) -> str:
    """Check a bearer token, which no message shows.

    Raises:
        InvalidArgument: A header cannot hold it.
    """
    if not (isinstance(key, str) and key.isascii() and key.isprintable()):
        raise InvalidArgument("api_key", "(not shown)", "printable ASCII characters")
    return key


def plain_name(model: object) -> str:
    """Check a model's name.

    Raises:
        InvalidArgument: A request cannot hold it.
    """
    allowed = f"text of 1 to {LONGEST_NAME} characters, without surrogates"
    if not isinstance(model, str) or not 0 < len(model) <= LONGEST_NAME:
        raise InvalidArgument("model", model, allowed)
    try:
        model.encode()
    except UnicodeEncodeError:
        raise InvalidArgument("model", model, allowed) from None
    return model
