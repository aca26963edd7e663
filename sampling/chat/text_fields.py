"""The fields of a request that continues texts: those of a chat that fit, and its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from sampling.chat.checks import list_of, text_of
from sampling.chat.fields import kinds_of, with_limits
from sampling.chat.kinds import FLAG, Kind, Schema, text, whole
from sampling.chat.not_offered import NOT_OFFERED
from sampling.core.errors import InvalidRequest
from sampling.core.params import PAGE, json_integer
from sampling.dialects import Dialect

MOST_PROMPTS = 1024
DEFAULT_MAX_TOKENS = 16  # OpenAI API reference, completions
ALLOWED = "a string, a list of token ids, or a list of strings or of lists of token ids"

OF_CHATS: Mapping[str, str] = {
    "messages": "it is of chat completions; a text completion has a prompt",
    "top_logprobs": "it is of chat completions; logprobs says how many alternatives",
    "max_completion_tokens": "it is of chat completions; max_tokens is its name here",
    **dict.fromkeys(
        (
            "add_generation_prompt",
            "chat_template",
            "chat_template_kwargs",
            "continue_final_message",
            "documents",
        ),
        "it is of chat completions; a prompt is taken as it is",
    ),
}
"""Fields of chats that have no place beside a prompt, and why."""

EXTENSIONS: Mapping[str, Kind] = {
    "add_special_tokens": FLAG,
    "prompt_logprobs": whole(*PAGE.top_logprobs),
    "return_token_ids": FLAG,
}
"""Fields that a dialect may name, and that mean something here."""


@dataclass(frozen=True)
class Prompts:
    """What is to be continued.

    Args:
        each: Texts, or token ids.
        nested: Whether they came in a list.
    """

    each: tuple[str | tuple[int, ...], ...]
    nested: bool

    def name(self, index: int) -> str:
        """Return what errors call one of them."""
        return f"prompt[{index}]" if self.nested else "prompt"


def read_prompts(name: str, value: object) -> Prompts:
    """Check one prompt or a list of prompts."""
    items = list_of(value)
    if items is None:
        return Prompts((text_of(name, value) if isinstance(value, str) else refuse(name, value),), False)
    if not items:
        refuse(name, value)
    if not isinstance(items[0], str) and list_of(items[0]) is None:
        return Prompts((read_ids(name, items),), False)
    if len(items) > MOST_PROMPTS:
        raise InvalidRequest(name, f"{len(items)} prompts", f"at most {MOST_PROMPTS} prompts")
    read = text_of if isinstance(items[0], str) else read_ids
    return Prompts(tuple(read(f"{name}[{index}]", item) for index, item in enumerate(items)), True)


def read_ids(name: str, value: object) -> tuple[int, ...]:
    """Check the token ids of one prompt; whether the vocabulary has them is asked later."""
    items = list_of(value)
    if not items:
        raise InvalidRequest(name, value, "a list of at least one token id")
    return tuple(json_integer(f"{name}[{index}]", item, 0) for index, item in enumerate(items))


def refuse(name: str, value: object) -> str:
    """Refuse what is no prompt."""
    raise InvalidRequest(name, value, ALLOWED)


def nonempty(items: Schema, most: int | None = None) -> Schema:
    """Return a list with something in it."""
    return {"type": "array", "items": items, "minItems": 1, **({"maxItems": most} if most else {})}


IDS: Schema = nonempty({"type": "integer", "minimum": 0})
PROMPTS = Kind(
    {
        "anyOf": [
            {"type": "string"},
            IDS,
            nonempty({"type": "string"}, MOST_PROMPTS),
            nonempty(IDS, MOST_PROMPTS),
        ]
    },
    read_prompts,
)


@lru_cache(maxsize=64)
def text_kinds(dialect: Dialect) -> Mapping[str, Kind]:
    """Return the fields that a request in a dialect may have, besides the sampling parameters of its stages."""
    shared = {name: kind for name, kind in kinds_of(dialect).items() if name not in OF_CHATS}
    own = {
        "prompt": PROMPTS,
        "echo": FLAG,
        "logprobs": whole(*dialect.ranges.top_logprobs),
        "user": text(),
        **{name: NOT_OFFERED[name] for name in ("best_of", "suffix")},
        **{name: kind for name, kind in EXTENSIONS.items() if name in dialect.fields},
    }
    return with_limits({**shared, **own}, dialect, least=0)
