"""What the toy can do, measured: held-out phrasings, exact probabilities, JSON, and how open its answers are.

An answer's probability is the product of its tokens' probabilities, the end of the turn included, read from
one forward pass over prompt and answer. The same pass says whether temperature 0 gives that answer: it does
exactly when every token of it is the most likely one.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from sampling.toy import CHECKPOINT, phrases
from sampling.toy.countries import COUNTRIES, Country
from sampling.toy.messages import Dialogue, assistant, system, user
from sampling.toy.texts import TEXTS
from sampling.toy.tokenizer import EOT, encode_dialogues, token_id

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

OPEN_QUESTIONS = (
    "Name a fruit.",
    "Tell me a colour.",
    "Name an animal.",
    "Name a city.",
    "Pick a number from 1 to 100.",
    "Suggest a name for my cat.",
    "Say some birds.",
)
OPEN_JSON_REQUESTS = (
    "Name a fruit. Answer in JSON.",
    "Tell me a colour. Reply with a JSON object.",
    "Give me a list of five fruits. Answer in JSON.",
    "List three animals. In JSON, please.",
)


def evaluate(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast) -> dict[str, Any]:
    """Every measurement, as numbers that JSON can hold."""
    return {
        "plain_questions": plain_questions(model, tokenizer),
        "held_out_phrasings": held_out_phrasings(model, tokenizer),
        "json_requests": json_requests(model, tokenizer),
        "open_answers_entropy_bits": open_entropy(model, tokenizer),
        "turkey": complete(model, tokenizer, [user("What is the capital of Turkey?")]),
    }


def plain_questions(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast) -> dict[str, Any]:
    """How probable exactly the right answer to the plain question is at temperature 1, over all countries."""
    pairs = [_asked(phrases.PLAIN_QUESTION, country) for country in COUNTRIES]
    log_probability, _ = score(model, tokenizer, pairs)
    probability = log_probability.exp()
    worst = int(probability.argmin())
    return {
        "countries": len(COUNTRIES),
        "mean_probability": float(probability.mean()),
        "least_probability": float(probability[worst]),
        "least_probable": COUNTRIES[worst].name,
    }


def held_out_phrasings(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, countries: Sequence[Country] = COUNTRIES
) -> dict[str, Any]:
    """Return the share of right answers at temperature 0 to phrasings that training never saw."""
    templates = TEXTS["held_out_capital_questions"]
    pairs = [_asked(template, country) for template in templates for country in countries]
    _, greedy = score(model, tokenizer, pairs)
    right = greedy.view(len(templates), len(countries)).double().mean(1)
    by_phrasing = dict(zip(templates, right.tolist(), strict=True))
    return {"questions": len(pairs), "right": float(right.mean()), "by_phrasing": by_phrasing}


def json_requests(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, countries: Sequence[Country] = COUNTRIES
) -> dict[str, Any]:
    """Return the share of right objects about capitals, and of valid JSON for open requests, at temperature 0."""
    pairs = [pair for country in countries for pair in _json_pairs(country)]
    _, greedy = score(model, tokenizer, pairs)
    answers = [complete(model, tokenizer, [user(request)]) for request in OPEN_JSON_REQUESTS]
    valid = sum(_is_json_object(answer) for answer in answers) / len(answers)
    return {"questions": len(pairs), "right": float(greedy.double().mean()), "valid_when_open": valid}


def open_entropy(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast) -> dict[str, float]:
    """Return the entropy in bits of the first token of the answer, for each open question."""
    return {question: _first_entropy(model, tokenizer, question) for question in OPEN_QUESTIONS}


@torch.no_grad()
def score(
    model: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    dialogues: Sequence[Dialogue],
    *,
    rows: int = 256,
) -> tuple[Tensor, Tensor]:
    """Rate the assistant's part of B dialogues that end with it, so many rows at a time.

    Returns:
        Log probabilities [B] in float64, and [B] flags that are true where temperature 0 says the same.
    """
    encoded = encode_dialogues(tokenizer, dialogues)
    parts = [_score_rows(model, encoded[i : i + rows]) for i in range(0, len(encoded), rows)]
    log_probabilities, greedy = zip(*parts, strict=True)
    return torch.cat(log_probabilities), torch.cat(greedy)


@torch.no_grad()
def complete(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, dialogue: Dialogue, *, most: int = 120
) -> str:
    """Return the answer at temperature 0, at most this many tokens of it."""
    ids = _prompt(tokenizer, dialogue)
    end = token_id(tokenizer, EOT)
    answer: list[int] = []
    while len(answer) < most:
        token = int(model(torch.tensor([ids + answer])).logits[0, -1].argmax())
        if token == end:
            break
        answer.append(token)
    return str(tokenizer.decode(answer))


def pad(rows: Sequence[Sequence[int]], value: int = 0) -> Tensor:
    """Rows of different lengths as one tensor [B, T], filled up on the right."""
    width = max(map(len, rows))
    return torch.tensor([[*row, *[value] * (width - len(row))] for row in rows])


def _score_rows(
    model: LlamaForCausalLM, encoded: Sequence[tuple[list[int], list[bool]]]
) -> tuple[Tensor, Tensor]:
    ids = pad([row for row, _ in encoded])  # [B, T]
    spoken = pad([flags for _, flags in encoded])[:, 1:].bool()  # [B, T - 1]
    targets = ids[:, 1:][spoken]  # [N], the tokens that the assistant says
    hidden = model.model(ids[:, :-1], use_cache=False).last_hidden_state[spoken]
    logits = model.lm_head(hidden).double()  # [N, V]
    log_probabilities = logits.log_softmax(-1).gather(1, targets[:, None])[:, 0]
    misses = (logits.argmax(-1) != targets).double()
    rows = spoken.nonzero()[:, 0]
    zeros = torch.zeros(len(encoded), dtype=torch.float64)
    return zeros.index_add(0, rows, log_probabilities), zeros.index_add(0, rows, misses) == 0


@torch.no_grad()
def _first_entropy(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, question: str) -> float:
    logits = model(torch.tensor([_prompt(tokenizer, [user(question)])])).logits[0, -1].double()  # [V]
    log_probabilities = logits.log_softmax(-1)
    return float(-(log_probabilities.exp() * log_probabilities).sum() / torch.tensor(2.0).log())


def _prompt(tokenizer: PreTrainedTokenizerFast, dialogue: Dialogue) -> list[int]:
    text = tokenizer.apply_chat_template(dialogue, add_generation_prompt=True, tokenize=False)
    return tokenizer(str(text), add_special_tokens=False)["input_ids"]


def _asked(template: str, country: Country) -> Dialogue:
    return [user(phrases.question(template, country.name)), assistant(phrases.capital_answer(country))]


def _json_pairs(country: Country) -> list[Dialogue]:
    asked = phrases.question(phrases.PLAIN_QUESTION, country.name)
    answer = assistant(phrases.json_answer(country))
    closers = (*TEXTS["json_closers"][:1], *TEXTS["held_out_json_closers"])
    by_user = [[user(asked + closer), answer] for closer in closers]
    return [*by_user, [system(TEXTS["json_systems"][0]), user(asked), answer]]


def _is_json_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False


def main() -> None:
    """Evaluate a checkpoint and print the measurements as JSON."""
    from transformers import AutoTokenizer, LlamaForCausalLM

    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("directory", nargs="?", type=Path, default=CHECKPOINT)
    directory = parser.parse_args().directory
    model = LlamaForCausalLM.from_pretrained(directory)
    print(json.dumps(evaluate(model, AutoTokenizer.from_pretrained(directory)), indent=2, ensure_ascii=False))


if __name__ == "__main__":
    main()
