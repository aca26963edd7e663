"""Ways to a chat completion: a call in this process, or the OpenAI client and any server."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from benchmarks.api.requests import MESSAGES, Fields
from sampling.chat.language_model import LanguageModel
from sampling.core.errors import SamplingError

PATIENCE = 300.0  # seconds that no answer takes
Parts = list[Any]  # a response, or the chunks of one


class Refused(Exception):
    """The request is not served; the message says why."""


@dataclass(frozen=True)
class Way:
    """A way to a completion.

    Args:
        name: What it is called.
        ask: Sends a request and reads all of the answer; Refused where it is not served.
    """

    name: str
    ask: Callable[[Fields], Parts]


def in_process(model: LanguageModel) -> Way:
    """`LanguageModel.chat`."""

    def ask(fields: Fields) -> Parts:
        try:
            answer = model.chat(MESSAGES, **fields)
            return list(answer) if fields.get("stream") else [answer]
        except SamplingError as error:
            raise Refused(str(error)) from error

    return Way("in process", ask)


def over_http(url: str, model: str | None, key: str) -> Way:
    """The OpenAI client.

    Args:
        url: What the endpoint's paths are appended to, such as http://127.0.0.1:8000/v1.
        model: Its name there; None for the first that the endpoint lists.
        key: The bearer token.
    """
    import openai  # of the extra "bench"

    client = openai.OpenAI(base_url=url, api_key=key, max_retries=0, timeout=PATIENCE)
    name = model or next(iter(client.models.list())).id

    def ask(fields: Fields) -> Parts:
        try:
            answer = client.chat.completions.create(model=name, messages=MESSAGES, **fields)
            return list(answer) if fields.get("stream") else [answer]
        except openai.APIConnectionError:  # nobody is there: no answer to anything
            raise
        except openai.APIError as error:
            raise Refused(str(error)) from error

    return Way("over HTTP", ask)


def plain(parts: Parts) -> Parts:
    """The parts of an answer as they were in JSON."""
    return [part if isinstance(part, dict) else part.model_dump() for part in parts]


def tokens_of(parts: Parts) -> int | None:
    """How many tokens were sampled, as the answer itself tells; None where it does not."""
    told = [part["usage"] for part in plain(parts[-2:]) if part.get("usage")]  # where a stream has it
    return told[-1]["completion_tokens"] if told else None


def shortfall(fields: Fields, parts: Parts) -> str | None:
    """What was asked for and is not in the answer; None if all of it is.

    A server may take a field and do nothing about it: then it has no price.
    """
    choices = [choice for part in plain(parts) for choice in part["choices"]]
    if fields.get("stream") and len(parts) < 3:
        return "stream: the answer came in one piece"
    if len({choice["index"] for choice in choices}) != fields.get("n", 1):
        return f"n: {len({choice['index'] for choice in choices})} choices"
    if "response_format" in fields and not all(map(opens_object, texts_of(choices).values())):
        return "response_format: the answer is no JSON object"
    if fields.get("logprobs"):
        entries = [
            entry for choice in choices for entry in (choice.get("logprobs") or {}).get("content") or ()
        ]
        if not entries:
            return "logprobs: there are none"
        most = max(len(entry.get("top_logprobs") or ()) for entry in entries)
        if most < fields["top_logprobs"]:
            return f"top_logprobs: at most {most}"
    return None


def texts_of(choices: Iterable[Any]) -> dict[int, str]:
    """The text of every choice, from a response or from chunks."""
    texts: dict[int, str] = {}
    for choice in choices:
        said = choice.get("message") or choice.get("delta") or {}
        texts[choice["index"]] = texts.get(choice["index"], "") + (said.get("content") or "")
    return texts


def opens_object(text: str) -> bool:
    """Whether a text that may be cut off begins as a JSON object does."""
    return text.lstrip().startswith("{")
