"""Messages to text, through a tokenizer's own chat template, under a deadline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sampling.core.errors import CheckpointError
from sampling.helper import BoundExceeded, Helper

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

SECONDS = 5.0  # that a template may take; ordinary ones take milliseconds
LONGEST = 2**26  # bytes of text
RENDERER = Helper(Path(__file__).with_name("renderer.py"), memory=2**30, longest=LONGEST)
CLOCK = "strftime_now"
"""The function by which templates read the time."""


@dataclass(frozen=True)
class Rendered:
    """What a chat template has made of messages.

    Args:
        text: The prompt.
        read: What the template has read of the clock: texts by their format of `strftime`.
        unknown: The variables that the template does not read.
    """

    text: str
    read: Mapping[str, str]
    unknown: tuple[str, ...]


class Refused(Exception):
    """A template does not render these messages.

    Args:
        allowed: What it does with others, in words that follow "a conversation that the chat template".
        reason: What it says itself; empty where it says nothing.
        broken: Whether it renders no messages at all.
    """

    def __init__(self, allowed: str, reason: str = "", *, broken: bool = False) -> None:
        super().__init__(allowed)
        self.allowed, self.reason, self.broken = allowed, reason, broken


def template_of(tokenizer: PreTrainedTokenizerFast) -> str:
    """Return the source of a tokenizer's chat template.

    Raises:
        CheckpointError: It has none.
    """
    if not tokenizer.chat_template:
        raise CheckpointError("tokenizer: has no chat template, so it cannot be used for chat")
    try:
        return tokenizer.get_chat_template()
    except ValueError as error:
        raise CheckpointError(f"tokenizer: {error}") from error


def render(
    tokenizer: PreTrainedTokenizerFast,
    messages: Sequence[Mapping[str, str]],
    variables: Mapping[str, Any],
    *,
    add_generation_prompt: bool,
    now: datetime,
) -> Rendered:
    """Render messages as `tokenizer.apply_chat_template(tokenize=False)` does, in a process that can be ended.

    Args:
        tokenizer: A transformers tokenizer with a chat template.
        messages: Each with `role`, `content` and perhaps `name`.
        variables: What else the template may read; as `CLOCK` texts by format, which it gives in place of the time.
        add_generation_prompt: Whether the text ends with the beginning of an answer.
        now: The local time.

    Raises:
        CheckpointError: The tokenizer has no chat template.
        Refused: The template refuses the messages, fails on them, or passes a bound.
    """
    fixed = {"tools": None, "documents": None, "add_generation_prompt": add_generation_prompt}
    given = {name: value for name, value in variables.items() if name != CLOCK}
    pinned = variables.get(CLOCK, {})
    question = {
        "template": template_of(tokenizer),
        "variables": {
            **tokenizer.special_tokens_map,
            **given,
            "messages": [dict(message) for message in messages],
            **fixed,
        },
        "given": [*given, *([CLOCK] if pinned else [])],
        "pinned": {**pinned},
        "now": now.isoformat(),
    }
    try:
        outcome = RENDERER.ask(question, SECONDS)
    except BoundExceeded as error:
        raise Refused(f"renders {error}") from None
    match outcome:
        case {"broken": words}:
            raise Refused("renders", words, broken=True)
        case {"refusal": words}:
            raise Refused("accepts", words)
        case {"failure": words}:
            raise Refused("can render", words)
        case _:
            return Rendered(outcome["text"], outcome["read"], tuple(outcome["unknown"]))
