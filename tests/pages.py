"""What the tests of the page share: models whose logits are written down by letter, and what a client makes of chunks."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from scripted import byte_tokenizer, scripted

from sampling import dialect
from sampling.chat.language_model import LanguageModel
from sampling.dialects import Dialect

ASK = [{"role": "user", "content": "?"}]
PROMPT_TOKENS = (
    18  # "<bos>" "user:" "?" "<eos>" "assistant:" are 1 + 5 + 1 + 1 + 10 tokens of the byte tokenizer
)
END = "<eos>"
WIDTH = 258  # the bytes, "<bos>", "<eos>"
PROCESSED = replace(dialect("qstash"), logprob_mode="processed", max_reported_rank=None)
TEMPERED = replace(PROCESSED, logprob_mode="temperature")


def letters(*steps: Mapping[str, float], context: int = 200, padding: Sequence[float] = ()) -> LanguageModel:
    """A language model with these logits at each step, -inf for all other tokens; the last step repeats.

    Args:
        steps: Logits by character, of which each is one token; `END` is the end token.
        context: The model's context.
        padding: Logits of the ids past the tokenizer, at every step.
    """
    return numbers(
        *({token_of(character): value for character, value in step.items()} for step in steps),
        context=context,
        padding=padding,
    )


def numbers(*steps: Mapping[int, float], context: int = 200, padding: Sequence[float] = ()) -> LanguageModel:
    """The same by token id."""
    script = torch.full((len(steps), WIDTH + len(padding)), -math.inf)
    for row, step in zip(script, steps, strict=True):
        for token, value in step.items():
            row[token] = value
        row[WIDTH:] = torch.tensor(padding)
    return scripted(script, byte_tokenizer(), context)


def token_of(character: str) -> int:
    """The id of a character's token."""
    return WIDTH - 1 if character == END else ord(character)


def answer(model: LanguageModel, **fields: Any) -> dict[str, Any]:
    """The first choice of a response."""
    return model.chat(ASK, **fields)["choices"][0]


def content(model: LanguageModel, **fields: Any) -> str:
    """The text of the first choice."""
    return answer(model, **fields)["message"]["content"]


def entries(choice: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The entries of a choice's log probabilities."""
    return choice["logprobs"]["content"]


def distribution(
    model: LanguageModel, how: Dialect = PROCESSED, *, position: int = 0, choice: int = 0, **fields: Any
) -> dict[str, float]:
    """The log probabilities of the 20 most likely tokens at a position, by token; banned ones left out."""
    asked = {"logprobs": True, "top_logprobs": 20, "max_tokens": position + 1, "seed": 1, **fields}
    choices = model.chat(ASK, dialect=how, **asked)["choices"]
    top = entries(choices[choice])[position]["top_logprobs"]
    return {each["token"]: each["logprob"] for each in top if each["logprob"] != -9999.0}


def log_softmax(logits: Mapping[str, float]) -> dict[str, float]:
    """In double precision."""
    highest = max(logits.values())
    total = math.fsum(math.exp(value - highest) for value in logits.values())
    return {token: value - highest - math.log(total) for token, value in logits.items()}


def joined(chunks: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """What a client makes of the chunks of a stream: the response."""
    response: dict[str, Any] = {}
    choices: dict[int, dict[str, Any]] = {}
    for chunk in chunks:
        response |= {key: value for key, value in chunk.items() if value is not None and key != "choices"}
        for part in chunk["choices"]:
            whole = choices.setdefault(
                part["index"],
                {"index": part["index"], "message": {"role": None, "content": ""}, "logprobs": None},
            )
            grow(whole, part)
    return {**response, "object": "chat.completion", "choices": [choices[index] for index in sorted(choices)]}


def grow(whole: dict[str, Any], part: Mapping[str, Any]) -> None:
    """Add one part to its choice."""
    message, delta = whole["message"], part["delta"]
    message["role"] = delta.get("role", message["role"])
    message["content"] += delta.get("content", "")
    if part["logprobs"] is not None:
        before = whole["logprobs"] or {"content": []}
        whole["logprobs"] = {"content": before["content"] + part["logprobs"]["content"]}
    whole["finish_reason"] = part["finish_reason"]
    if "stop_reason" in part:
        whole["stop_reason"] = part["stop_reason"]


def comparable(response: Mapping[str, Any]) -> dict[str, Any]:
    """A response without what differs from one call to the next; no entries are null, as in a stream without content."""
    kept = {key: value for key, value in response.items() if key not in ("id", "created")}
    return {**kept, "choices": [without_empty_list(choice) for choice in response["choices"]]}


def without_empty_list(choice: Mapping[str, Any]) -> dict[str, Any]:
    """A choice whose log probabilities are null if there are none."""
    return {**choice, "logprobs": choice["logprobs"] if choice["logprobs"] != {"content": []} else None}
