"""Token ids by the endpoint's own tokenizer, where it has one to ask: `/tokenize` of llama.cpp's server and of vLLM's."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from sampling.conformance.endings import CheckEnded
from sampling.conformance.endpoint.client import Client
from sampling.conformance.endpoint.reply import Natural, Part, read


class Tokens(Part):
    """What such a route answers."""

    tokens: list[Natural] = Field(max_length=2**16)


def tokenized(client: Client, text: str) -> list[int]:
    """Return the ids of a text, nothing put in front of it; none if the endpoint does not tell them.

    Source: llama.cpp, tools/server/README.md, "POST /tokenize" (`content`); vLLM, TokenizeCompletionRequest (`prompt`).
    """
    asked: dict[str, Any] = {
        "content": text,
        "prompt": text,
        "add_special": False,
        "add_special_tokens": False,
    }
    try:
        return read(Tokens, client.post("/tokenize", {"model": client.model, **asked})).tokens
    except CheckEnded:
        return []
