"""Requests that leave fields out, on checkpoints whose generation_config.json says something about sampling."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from toy_variants import variant
from transformers import AutoModelForCausalLM

from sampling import load
from sampling.chat.language_model import LanguageModel
from sampling.core.errors import CheckpointError

ASK = [{"role": "user", "content": "Name a fruit."}]
SEEDS = range(12)
APPLYING = ("vllm", "vllm-v1", "transformers", "sglang")
OTHERS = ("qstash", "openai", "vllm-0.4", "llama.cpp")

Saying = Callable[..., LanguageModel]


@pytest.fixture
def saying(tmp_path: Path) -> Saying:
    """Loads the built-in checkpoint with values of its own in generation_config.json."""
    return lambda **values: load(variant(tmp_path, generation=values))


def answers(loaded: LanguageModel, dialect: str, **fields: Any) -> set[str]:
    """What it answers with some seeds."""
    asked = [loaded.chat(ASK, dialect=dialect, seed=seed, max_tokens=12, **fields) for seed in SEEDS]
    return {response["choices"][0]["message"]["content"] for response in asked}


@pytest.mark.parametrize("dialect", APPLYING)
def test_a_dialect_whose_engine_applies_them_does(saying, dialect):
    """top_k 1: always the same."""
    loaded = saying(do_sample=True, temperature=0.01, top_k=1)
    assert len(answers(loaded, dialect)) == 1
    assert len(answers(loaded, dialect, temperature=1, top_k=50)) > 1


@pytest.mark.parametrize("dialect", OTHERS)
def test_the_others_do_not(saying, dialect):
    loaded = saying(do_sample=True, temperature=0.01, top_k=1)
    assert len(answers(loaded, dialect)) > 1
    plain = load(None)
    for seed in SEEDS[:3]:
        own, other = (each.chat(ASK, dialect=dialect, seed=seed, max_tokens=12) for each in (loaded, plain))
        assert own["choices"] == other["choices"]


def test_a_default_is_the_same_as_the_field_itself(saying):
    values = {"temperature": 0.8, "top_p": 0.7, "top_k": 9, "min_p": 0.01, "repetition_penalty": 1.3}
    loaded, plain = (
        saying(**values, presence_penalty=0.4, frequency_penalty=0.3, max_new_tokens=7),
        load(None),
    )
    for seed in SEEDS:
        given = {**values, "presence_penalty": 0.4, "frequency_penalty": 0.3, "max_tokens": 7}
        one = loaded.chat(ASK, dialect="vllm", seed=seed, logprobs=True)
        other = plain.chat(ASK, dialect="vllm", seed=seed, logprobs=True, **given)
        assert one["choices"] == other["choices"]
        assert one["usage"] == other["usage"]


def test_null_is_left_out_and_what_is_given_wins_whatever_it_is(saying):
    loaded, plain = saying(top_k=1, max_new_tokens=3), load(None)
    assert len(answers(loaded, "vllm", top_k=None)) == 1
    for seed in SEEDS[:3]:  # the neutral values, too
        given = {"top_k": 0, "max_tokens": 12, "seed": seed, "dialect": "vllm"}
        assert loaded.chat(ASK, **given)["choices"] == plain.chat(ASK, **given)["choices"]


GREEDY = [
    {"do_sample": False},
    {"do_sample": False, "temperature": 0.7, "top_p": 0.9},
    {"temperature": 1.5, "top_k": 40},
    {"repetition_penalty": 1.8},
]


@pytest.mark.parametrize("values", GREEDY)
def test_without_do_sample_the_answer_is_that_of_transformers(saying, tmp_path, values):
    """`generate` itself, with the file's own values and no arguments but a length."""
    loaded = saying(**values)
    model = AutoModelForCausalLM.from_pretrained(str(tmp_path))
    ids = loaded.tokenizer.apply_chat_template(ASK, add_generation_prompt=True, return_dict=False)
    prompt = torch.tensor([ids])
    made = model.generate(prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=12)[0, len(ids) :]
    expected = loaded.tokenizer.decode(made, skip_special_tokens=True)
    assert answers(loaded, "transformers") == {expected}
    assert len(answers(loaded, "transformers", temperature=1.5)) > 1


@pytest.mark.parametrize("dialect", ["vllm", "sglang"])
def test_other_engines_do_not_know_do_sample(saying, dialect):
    assert len(answers(saying(do_sample=False), dialect)) > 1


def test_the_log_says_so_once(saying, caplog):
    loaded = saying(do_sample=True, temperature=0.6, top_p=0.9)
    with caplog.at_level(logging.WARNING, "sampling"):
        for _ in range(2):
            for dialect in ("vllm", "qstash"):
                loaded.chat(ASK, dialect=dialect, max_tokens=1)
    lines = [record.getMessage() for record in caplog.records if "temperature 0.6" in record.getMessage()]
    assert [line.partition("generation_config.json: ")[2][:40] for line in lines] == [
        "temperature 0.6, top_p 0.9 where a reque",
        "temperature 0.6, top_p 0.9 not applied b",
    ]


def test_they_count_in_the_fingerprint_where_they_are_applied(saying):
    loaded, plain = saying(temperature=0.6), load(None)
    for dialect in (*APPLYING, *OTHERS):
        same = loaded.fingerprint(dialect) == plain.fingerprint(dialect)
        assert same == (dialect in OTHERS)


@pytest.mark.parametrize("fields", [{}, {"temperature": 0}])
def test_what_the_dialect_does_not_take_is_the_checkpoint_s_fault(saying, fields):
    """Whatever the request says."""
    loaded = saying(temperature=2.5)
    assert loaded.chat(ASK, max_tokens=1, **fields)["choices"]
    with pytest.raises(CheckpointError, match=r"generation_config\.json: temperature: got 2\.5, must be"):
        loaded.chat(ASK, max_tokens=1, dialect="vllm", **fields)


def test_a_broken_value_is_told_at_load(tmp_path):
    with pytest.raises(CheckpointError, match=r"generation_config\.json: top_p: got 'x', must be"):
        load(variant(tmp_path, generation={"top_p": "x"}))
