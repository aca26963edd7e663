"""Answers of our provider in inspect-ai beside those of `chat`: seeds, choices, log probabilities, stop strings, a schema.

    python -m benchmarks.adapters.inspect_ai_answers

inspect-ai finds the provider by the entry point of the installed package. Writes benchmarks/results/adapters-inspect_ai.json.
Ends with 1 where a choice differs.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from inspect_ai.model import GenerateConfig, ResponseSchema, get_model
from inspect_ai.util import json_schema

from benchmarks.adapters.recorded import store
from benchmarks.harness.timing import origin
from sampling import LanguageModel, load

QUESTIONS = ("What is the capital of Turkey?", "Name a fruit.", "Tell me about Peru.", "Say something nice.")
CONFIGS: tuple[dict[str, Any], ...] = (
    {"temperature": 0.0, "logprobs": True, "top_logprobs": 2},
    {"temperature": 1.3, "seed": 3, "num_choices": 3, "max_tokens": 12},
    {
        "temperature": 1.1,
        "top_p": 0.9,
        "top_k": 20,
        "seed": 2**40,
        "presence_penalty": 0.5,
        "frequency_penalty": 0.3,
    },
    {"temperature": 1.0, "seed": 8, "logit_bias": {300: 2.5}, "stop_seqs": ["."]},
)
NAMES = {"num_choices": "n", "stop_seqs": "stop"}


async def of_host(model: Any, question: str, config: GenerateConfig) -> list[tuple[str, str, list[float]]]:
    """Text, reason and log probabilities of each choice, through inspect-ai."""
    output = await model.generate(question, config=config)
    return [
        (
            one.message.text,
            one.stop_reason,
            [token.logprob for token in one.logprobs.content] if one.logprobs else [],
        )
        for one in output.choices
    ]


def of_chat(
    model: LanguageModel, question: str, fields: dict[str, Any]
) -> list[tuple[str, str, list[float]]]:
    """The same by `chat`."""
    asked = {NAMES.get(name, name): value for name, value in fields.items()}
    response = model.chat([{"role": "user", "content": question}], dialect="vllm", **asked)
    reasons = {"stop": "stop", "length": "max_tokens"}
    return [
        (
            one["message"]["content"],
            reasons[one["finish_reason"]],
            [token["logprob"] for token in (one.get("logprobs") or {"content": []})["content"]],
        )
        for one in response["choices"]
    ]


async def compared(model: Any, own: LanguageModel) -> list[dict[str, Any]]:
    """Count the equal choices of each configuration; `tokens` counts choices."""
    cases: list[dict[str, Any]] = []
    for fields in CONFIGS:
        pairs = [
            pair
            for question in QUESTIONS
            for pair in zip(
                await of_host(model, question, GenerateConfig(**fields)),
                of_chat(own, question, fields),
                strict=True,
            )
        ]
        equal = sum(host == ours for host, ours in pairs)
        case = {"tokens": len(pairs), "equal": equal, "different": len(pairs) - equal}
        cases.append({"what": ", ".join(fields)} | case)
    schema = ResponseSchema(name="list", json_schema=json_schema(list[bool]))
    config = GenerateConfig(temperature=0.0, max_tokens=20, response_schema=schema)
    [(text, _, _)] = await of_host(model, QUESTIONS[0], config)
    fits = text.startswith("[")
    return [*cases, {"what": "response_schema", "tokens": 1, "equal": int(fits), "different": int(not fits)}]


def main() -> int:
    """Run and store."""
    cases = asyncio.run(compared(get_model("sampling/toy", dtype="float32"), load(None, dtype="float32")))
    return store("inspect_ai", cases, origin("adapters.inspect_ai_answers", "inspect_ai", "torch"))


if __name__ == "__main__":
    sys.exit(main())
