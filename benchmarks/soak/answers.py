"""Responses, whole or in chunks, as one comparable thing; and whether they are complete."""

from __future__ import annotations

import json
from typing import Any

DONE = "[DONE]"
HEAD = ("system_fingerprint", "model")  # with "seed", where the server chose it

Json = Any


def events(content: bytes) -> list[str]:
    """The data of server-sent events.

    Raises:
        ValueError: They are cut off, or something else is between them.
    """
    *whole, rest = content.decode().split("\n\n")
    if rest or not all(event.startswith("data: ") and "\n" not in event for event in whole):
        raise ValueError(f"no whole events: {content[-80:]!r}")
    return [event.removeprefix("data: ") for event in whole]


def joined(chunks: list[Json], *, logprobs: bool) -> Json:
    """The response that chunks add up to.

    Args:
        chunks: All of a stream.
        logprobs: Whether log probabilities were asked for.
    """
    choices: dict[int, Json] = {}
    for chunk in chunks:
        for part in chunk["choices"]:
            add(choices.setdefault(part["index"], empty(part["index"])), part)
    if not logprobs:
        for choice in choices.values():
            choice["logprobs"] = None
    usage = next((chunk["usage"] for chunk in reversed(chunks) if chunk.get("usage")), None)
    head = {name: chunks[0].get(name) for name in (*HEAD, "seed")}
    return {**head, "choices": [choices[index] for index in sorted(choices)], "usage": usage}


def empty(index: int) -> Json:
    """A choice before its first chunk."""
    return {
        "index": index,
        "message": {"content": ""},
        "finish_reason": None,
        "stop_reason": None,
        "logprobs": {"content": []},
    }


def add(choice: Json, part: Json) -> None:
    """Add what a chunk says to a choice."""
    message, delta = choice["message"], part["delta"]
    message.update(role=delta.get("role", message.get("role")))
    message["content"] += delta.get("content", "")
    choice["logprobs"]["content"] += (part["logprobs"] or {"content": []})["content"]
    choice["finish_reason"] = part["finish_reason"] or choice["finish_reason"]
    choice["stop_reason"] = part.get("stop_reason", choice["stop_reason"])


def comparable(response: Json) -> Json:
    """What the same request has to give again, to the last bit: everything but id, time and a fresh seed."""
    return {name: response[name] for name in (*HEAD, "choices", "usage")}


def read_answer(content: bytes, *, stream: bool, logprobs: bool) -> Json:
    """Read a successful response.

    Raises:
        ValueError: It is not complete.
    """
    if not stream:
        return json.loads(content)
    *chunks, last = events(content)
    if last != DONE:
        raise ValueError(f"the stream ends with {last[:200]}")
    return joined([json.loads(chunk) for chunk in chunks], logprobs=logprobs)


def complaint(response: Json, request: Json) -> str | None:
    """What a response lacks of being complete."""
    choices, usage = response["choices"], response["usage"]
    n, most = int(request.get("n") or 1), request.get("max_tokens") or 512
    if [choice["index"] for choice in choices] != [*range(n)]:
        return f"{len(choices)} choices in place of {n}"
    if any(choice["finish_reason"] not in ("stop", "length") for choice in choices):
        return "a choice has not ended"
    if not usage or usage["total_tokens"] != usage["prompt_tokens"] + usage["completion_tokens"]:
        return f"usage {usage}"
    if not n <= usage["completion_tokens"] <= n * most:
        return f"{usage['completion_tokens']} tokens of {n} times {most}"
    return no_object(choices) if request.get("response_format") == {"type": "json_object"} else None


def no_object(choices: list[Json]) -> str | None:
    """Whether a choice that ended by itself is no JSON object."""
    for choice in choices:
        if choice["finish_reason"] == "stop" and choice["stop_reason"] is None:
            try:
                value = json.loads(choice["message"]["content"])
            except ValueError:
                return f"no JSON: {choice['message']['content']!r}"
            if not isinstance(value, dict):
                return f"no object: {choice['message']['content']!r}"
    return None
