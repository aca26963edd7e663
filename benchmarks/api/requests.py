"""What the price list is of: every parameter of the API alone, on top of greedy decoding, and all together."""

from __future__ import annotations

from typing import Any

Fields = dict[str, Any]

MESSAGES = [
    {"role": "user", "content": 'Write the numbers from 1 to 500 as JSON: {"numbers": [1, 2, and so on]}'}
]
BASE = "greedy"
GREEDY: Fields = {"temperature": 0}
SAMPLED: Fields = {"temperature": 0.8, "top_p": 0.9, "seed": 1}
PENALTIES: Fields = {"frequency_penalty": 0.5, "presence_penalty": 0.5}
ALTERNATIVES: Fields = {"logprobs": True, "top_logprobs": 20}
JSON: Fields = {"response_format": {"type": "json_object"}}
CHOICES = 4
NEVER = ["\u2603one", "\u2603two", "\u2603three", "\u2603four"]  # no answer has these


def bias(entries: int, vocabulary: int) -> Fields:
    """A bias on so many tokens spread over the vocabulary, up and down in turn; too small to decide anything alone."""
    return {
        "logit_bias": {str(place * vocabulary // entries): 1 - 2 * (place % 2) for place in range(entries)}
    }


def requests(vocabulary: int) -> dict[str, Fields]:
    """The rows of the price list, by what they switch on.

    Args:
        vocabulary: V, or any number below it: ids that get a bias are smaller.
    """
    everything = {
        **SAMPLED,
        **PENALTIES,
        **ALTERNATIVES,
        **JSON,
        **bias(300, vocabulary),
        "stop": NEVER,
        "stream": True,
    }
    return {
        BASE: GREEDY,
        "temperature": {"temperature": 0.8},
        "top_p": {"top_p": 0.9},
        "seed": {"seed": 1},
        "frequency_penalty": {**GREEDY, "frequency_penalty": 0.5},
        "presence_penalty": {**GREEDY, "presence_penalty": 0.5},
        "logit_bias, 1 entry": {**GREEDY, **bias(1, vocabulary)},
        "logit_bias, 300 entries": {**GREEDY, **bias(300, vocabulary)},
        "logit_bias, 1024 entries": {**GREEDY, **bias(1024, vocabulary)},
        "logprobs": {**GREEDY, "logprobs": True, "top_logprobs": 0},
        "logprobs, 5 alternatives": {**GREEDY, "logprobs": True, "top_logprobs": 5},
        "logprobs, 20 alternatives": {**GREEDY, **ALTERNATIVES},
        f"n = {CHOICES}": {**GREEDY, "n": CHOICES},
        "stop, 4 texts": {**GREEDY, "stop": NEVER},
        "JSON mode": {**GREEDY, **JSON},
        "stream": {**GREEDY, "stream": True},
        "everything, n = 1": everything,
        f"everything, n = {CHOICES}": {**everything, "n": CHOICES},
    }


def shown(fields: Fields) -> Fields:
    """The fields as a result shows them."""
    long = {"logit_bias": f"{len(fields['logit_bias'])} tokens"} if "logit_bias" in fields else {}
    return {**fields, **long}
