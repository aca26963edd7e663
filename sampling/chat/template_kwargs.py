"""What a request gives its chat template: the field `chat_template_kwargs`."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any, cast

from sampling.chat.checks import Place, list_of, text_of
from sampling.chat.kinds import Kind
from sampling.core.errors import InvalidArgument, InvalidRequest
from sampling.core.reading import DEEPEST
from sampling.text.template import CLOCK

RESERVED: Mapping[str, str] = {
    **dict.fromkeys(("messages", "conversation"), "the messages have a field of their own"),
    **dict.fromkeys(("add_generation_prompt", "continue_final_message"), "it is a field of its own"),
    **dict.fromkeys(("tools", "documents"), "tools and documents are not offered"),
    "chat_template": "the template is the checkpoint's",
    **dict.fromkeys(
        (
            "max_length",
            "padding",
            "return_assistant_tokens_mask",
            "return_dict",
            "return_tensors",
            "sanitize_control_tokens",
            "tokenize",
            "tokenizer_kwargs",
            "truncation",
        ),
        "it is an argument of apply_chat_template, not a variable of templates",
    ),
    **dict.fromkeys(
        ("bos_token", "cls_token", "eos_token", "mask_token", "pad_token", "sep_token", "unk_token"),
        "the tokenizer sets it",
    ),
    **dict.fromkeys(
        ("cycler", "dict", "joiner", "lipsum", "namespace", "raise_exception", "range", "self"),
        "it is a function that templates have",
    ),
}
"""Names that no request may give a value, and why."""


MOST_BITS = 4096  # of an integer


def read_variables(name: str, value: object) -> Mapping[str, Any]:
    """Check variables of chat templates: JSON values by name. One is a function: texts that it gives, by its argument."""
    given = json_value(name, value)
    if not isinstance(given, dict):
        raise InvalidRequest(name, value, "an object of JSON values by the names of template variables")
    for key, item in cast("dict[str, Any]", given).items():
        if key in RESERVED:
            raise InvalidRequest(f"{name}.{key}", item, f"left out: {RESERVED[key]}")
    check_clock(f"{name}.{CLOCK}", given.get(CLOCK, {}))
    return given


VARIABLES = Kind(
    {
        "type": "object",
        "properties": {CLOCK: {"type": "object", "additionalProperties": {"type": "string"}}},
        "propertyNames": {"not": {"enum": [*RESERVED]}},
    },
    read_variables,
)


def check_clock(name: str, value: object) -> None:
    """Check the texts by which a template reads the time."""
    if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
        words = (
            "an object of texts by the formats by which the template reads the time, such as {'%Y': '2026'}"
        )
        raise InvalidRequest(name, value, words)


def json_value(name: str | Place, value: object, levels: int = DEEPEST) -> Any:
    """Check a JSON value, all of it, of at most so many levels: a mapping is an object, a sequence but a string a list.

    Returns:
        The same as dict, list, str, int, float, bool and None.

    Raises:
        InvalidRequest: A part of it is none, or it is too deep.
    """
    if isinstance(value, str):
        return text_of(name, value)
    if value is None or isinstance(value, bool) or is_number(value):
        return value
    items = list_of(value)
    if not levels and (items is not None or isinstance(value, Mapping)):
        raise InvalidRequest(str(name), value, f"of at most {DEEPEST} levels")
    if items is not None:
        return [json_value(Place(name, index), item, levels - 1) for index, item in enumerate(items)]
    if not isinstance(value, Mapping):
        raise InvalidRequest(str(name), value, "a JSON value")
    members = cast("Mapping[object, object]", value).items()
    return {key_of(name, key): json_value(Place(name, key), item, levels - 1) for key, item in members}


def key_of(name: str | Place, key: object) -> str:
    """Check a key of an object."""
    try:
        return text_of("", key)
    except InvalidArgument as error:
        raise InvalidRequest(f"{name}, a key", key, error.allowed) from None


def is_number(value: object) -> bool:
    """Return True for a number that JSON can write, in at most some thousand digits."""
    if type(value) is int:
        return value.bit_length() <= MOST_BITS
    return type(value) is float and abs(value) <= sys.float_info.max
