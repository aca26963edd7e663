"""Messages and dialogues, in the shape that chat templates read."""

from __future__ import annotations

Message = dict[str, str]
Dialogue = list[Message]


def system(content: str) -> Message:
    """Return a system message."""
    return {"role": "system", "content": content}


def user(content: str) -> Message:
    """Return a message of the user."""
    return {"role": "user", "content": content}


def assistant(content: str) -> Message:
    """Return a message of the assistant."""
    return {"role": "assistant", "content": content}
