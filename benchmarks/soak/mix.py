"""Valid requests of all kinds, as clients make them; the same ones for the same seed."""

from __future__ import annotations

import random
from typing import Any

Json = Any

MODEL = "sampling-toy"
TEXTS = (
    "What is the capital of Turkey?",
    "What is the capital of Peru?",
    "Name a fruit.",
    "Tell me a story.",
    "Hello!",
    "Which continent is Kenya in? Answer in one word, please.",
    "ß 漢字 🙂 é",
)


def mixed(count: int, seed: int) -> list[Json]:
    """So many seeded requests, no two alike: streamed or not, one to three choices, every field of the API."""
    chance = random.Random(seed)
    return [one(chance, number) for number in range(count)]


def one(chance: random.Random, number: int) -> Json:
    """One request, its seed its number."""
    messages = [{"role": "user", "content": " ".join(chance.choices(TEXTS, k=chance.choice([1, 1, 2, 5])))}]
    if chance.random() < 0.3:
        messages.insert(0, {"role": "system", "content": "Be brief."})
    request = {"model": MODEL, "messages": messages, "seed": number, "max_tokens": chance.randint(4, 32)}
    return request | {
        name: value for fields in options(chance) if chance.random() < 0.4 for name, value in fields.items()
    }


def options(chance: random.Random) -> list[Json]:
    """What a request may say besides."""
    return [
        {"temperature": chance.choice([0, 0.5, 1.0, 1.3, 2.0])},
        {"top_p": chance.choice([0.0, 0.5, 0.9, 0.99])},
        {"n": chance.choice([1, 2, 3])},
        {"stream": True},
        {"logprobs": True, "top_logprobs": chance.choice([0, 1, 5, 20])},
        {"frequency_penalty": chance.uniform(-2, 2), "presence_penalty": chance.uniform(-2, 2)},
        {"logit_bias": {str(chance.randrange(2000)): chance.uniform(-10, 10) for _ in range(3)}},
        {"stop": chance.sample([" is", ".", "\n", "a", " capital of", "é"], chance.randint(1, 3))},
        {"response_format": {"type": "json_object"}, "max_tokens": 60} if chance.random() < 0.3 else {},
    ]
