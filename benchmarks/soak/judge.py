"""What a server has to answer, from its OpenAPI description and from RFC 8259; nothing here asks the code that is tested."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from jsonschema import Draft202012Validator

DEEPEST = 100  # levels of nesting that a body may have
LARGEST_BODY = 2**20  # bytes
LONGEST_NAME = 100  # characters of a field that an error names
ROOMY = 300  # UTF-8 bytes of text, with 16 for each message, that the toy's context of 512 tokens has room for in any case
TEXTS = ("model", "messages", "stop", "chat_template_kwargs")
STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
SURROGATE = re.compile("[\ud800-\udfff]")
ERROR_FIELDS = {"message", "type", "param", "code"}

Json = Any
Schemas = Mapping[str, Json]


@dataclass(frozen=True)
class Verdict:
    """What a body deserves.

    Args:
        faults: The fields of which one has to be blamed; "body" where it is no JSON object.
        doubts: The fields that may be blamed though they are as described: a prompt may be too long, a JSON schema unsupported.
        status: That of a refusal.
    """

    faults: frozenset[str] = frozenset()
    doubts: frozenset[str] = frozenset()
    status: frozenset[int] = frozenset({400})

    def allows(self, status: int, param: str | None) -> bool:
        """Whether an answer is one that the body deserves."""
        if status == 200:
            return not self.faults
        blamed = re.split(r"[.\[]", param or "body")[0] if param not in self.faults else param
        return status in self.status and blamed in self.faults | self.doubts


NO_JSON = Verdict(frozenset({"body"}))
TOO_LARGE = Verdict(frozenset({"body"}), status=frozenset({413}))


def unwanted(word: str) -> NoReturn:
    """Refuse NaN and Infinity, which RFC 8259 has not."""
    raise ValueError(word)


def named_once(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    """Refuse a key that comes twice in an object."""
    if len({key for key, _ in pairs}) < len(pairs):
        raise ValueError("a key twice")
    return dict(pairs)


def strictly_read(body: bytes) -> Json:
    """Read a JSON text in UTF-8; ValueError or RecursionError where it is none."""
    text = body.decode()
    if deepest(text) > DEEPEST:
        raise ValueError("too deep")
    return json.loads(text, object_pairs_hook=named_once, parse_constant=unwanted)


def deepest(text: str) -> int:
    """Levels of brackets, outside of strings."""
    level = most = 0
    for character in STRING.sub("", text):
        level += (character in "[{") - (character in "]}")
        most = max(most, level)
    return most


class Judge:
    """Knows what a server describes.

    Args:
        description: The server's /openapi.json.
    """

    def __init__(self, description: Json) -> None:
        self.schemas: Schemas = description["components"]["schemas"]
        self._validators = {name: Draft202012Validator(schema) for name, schema in self.schemas.items()}

    def verdict(self, body: bytes) -> Verdict:
        """What a body deserves as a chat completion request."""
        if len(body) > LARGEST_BODY:
            return TOO_LARGE
        try:
            request = strictly_read(body)
        except (ValueError, RecursionError):
            return NO_JSON
        if not isinstance(request, dict):
            return NO_JSON
        faults = frozenset(self._faults(request))
        name = request.get("model")
        unknown = "model" in faults and isinstance(name, str) and not SURROGATE.search(name)
        status = {404} if unknown and len(faults) == 1 else {400, 404} if unknown else {400}
        return Verdict(faults, frozenset(doubtful(request)), frozenset(status))

    def fits(self, value: Json, name: str) -> bool:
        """Whether a value is as the description says."""
        return self._validators[name].is_valid(value)

    def _faults(self, request: dict[str, Json]) -> Iterator[str]:
        """The fields that are not as described, and those whose text UTF-8 cannot hold."""
        for error in self._validators["Request"].iter_errors(request):
            if error.absolute_path:
                yield escaped(str(error.absolute_path[0]))
            elif error.validator == "required":
                yield from {*error.validator_value} - {*request}
            elif error.validator == "additionalProperties":
                yield from (escaped(key) for key in {*request} - {*error.schema["properties"]})
            else:  # a field that needs another
                yield from ("top_logprobs", "stream_options", "add_generation_prompt")
        yield from (name for name in TEXTS if any(map(SURROGATE.search, texts(request.get(name)))))


def escaped(key: str) -> str:
    """A key as errors show it: what cannot be printed as escapes, the middle of a long one left out."""
    for _ in range(2):  # as it was sent, then with its escapes
        key = key if len(key) <= LONGEST_NAME else f"{key[:49]}...{key[-48:]}"
        key = "".join(c if c.isprintable() else repr(c)[1:-1] for c in key)
    return key if len(key) <= LONGEST_NAME else f"{key[:49]}...{key[-48:]}"


def doubtful(request: dict[str, Json]) -> Iterator[str]:
    """The fields that may be refused for what no description can say."""
    messages = request.get("messages")
    size = sum(len(text.encode(errors="replace")) for text in texts(messages))
    if isinstance(messages, list) and size + 16 * len(messages) > ROOMY:
        yield "messages"
    if request.get("continue_final_message") is True:  # of an assistant's message, and it has to be the last
        yield "continue_final_message"
    form = request.get("response_format")
    if isinstance(form, dict) and form.get("json_schema") is not None:
        yield "response_format"


def texts(value: Json) -> Iterator[str]:
    """All strings in a value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for item in [*value, *value.values()] if isinstance(value, dict) else value:
            yield from texts(item)
