"""The prompts that an endpoint is asked with."""

from __future__ import annotations

from collections.abc import Mapping

Messages = tuple[Mapping[str, str], ...]


def asking(words: str) -> Messages:
    """Return a context of one message."""
    return ({"role": "user", "content": words},)


LETTERS = asking("Name a letter.")
"""A context in which single letters are likely."""

QUESTION = asking("What is the capital of Turkey?")
"""A context with an answer of some tokens."""

CONTEXTS: tuple[Messages, ...] = (
    LETTERS,
    asking("Pick a number between 1 and 20."),
    asking("Name a colour."),
    asking("Name an animal."),
    asking("Tell me the first word that comes to your mind."),
    asking("Say something."),
    asking("Write a short poem."),
    asking("Which is better, tea or coffee?"),
)
"""Contexts in which several tokens are likely."""
