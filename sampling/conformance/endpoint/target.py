"""An OpenAI-compatible endpoint as a target."""

from __future__ import annotations

from typing import Any

from sampling.conformance.endpoint.client import Client
from sampling.conformance.endpoint.manners import Manners


class EndpointTarget:
    """A model behind an OpenAI-compatible endpoint.

    Args:
        url: Of the server, of its API's root (`.../v1`), or of the chat completions themselves.
        settings: What else `Client` takes: `model`, `key`, `budget`, `patience`, `transcript`, `transport`.

    Example:
        >>> EndpointTarget("http://127.0.0.1:8000", model="sampling-toy").name
        'sampling-toy at http://127.0.0.1:8000/v1'
    """

    kind = "endpoint"

    def __init__(self, url: str, **settings: Any) -> None:
        self.client = Client(url, **settings)

    def reach(self) -> None:
        """Ask for one token, and nothing special.

        Raises:
            CheckEnded: There is no answer that could be used.
        """
        Manners(self.client).reach()

    def close(self) -> None:
        """Close the connections."""
        self.client.close()

    @property
    def name(self) -> str:
        """The model and where it is."""
        return f"{self.client.named or 'a model'} at {self.client.url.removesuffix('/chat/completions')}"

    @property
    def version(self) -> str:
        """The last `system_fingerprint` that was received."""
        return self.client.fingerprint
