"""The shipped checkpoint: its size and format, and what the documentation claims that it can do."""

from __future__ import annotations

import json

import pytest
import torch

from sampling.toy import CHECKPOINT
from sampling.toy.corpus import dialogues
from sampling.toy.countries import COUNTRIES
from sampling.toy.evaluate import (
    complete,
    held_out_phrasings,
    json_requests,
    open_entropy,
    plain_questions,
    score,
)

TRAINING = json.loads((CHECKPOINT / "training.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def tokenizer():
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(CHECKPOINT)


@pytest.fixture(scope="module")
def model():
    from transformers import LlamaForCausalLM

    return LlamaForCausalLM.from_pretrained(CHECKPOINT).eval()


def answer(model, tokenizer, text):
    return complete(model, tokenizer, [{"role": "user", "content": text}])


def test_the_directory_is_at_most_6_mb():
    assert sum(file.stat().st_size for file in CHECKPOINT.iterdir()) <= 6_000_000


def test_the_files_are_those_of_a_hugging_face_checkpoint(model):
    names = {file.name for file in CHECKPOINT.iterdir()}
    assert {"config.json", "generation_config.json", "model.safetensors", "tokenizer.json"} <= names
    assert {"tokenizer_config.json", "chat_template.jinja", "training.json", "README.md"} <= names
    assert model.config.architectures == ["LlamaForCausalLM"]
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}


def test_generation_ends_at_both_end_tokens(model, tokenizer):
    ends = tokenizer.convert_tokens_to_ids(["<|end_of_text|>", "<|eot_id|>"])
    assert model.generation_config.eos_token_id == ends


def test_turkey(model, tokenizer):
    assert answer(model, tokenizer, "What is the capital of Turkey?") == "The capital of Turkey is Ankara."


def test_scores_agree_with_the_generation_of_transformers(model, tokenizer):
    """The yardstick itself: teacher forcing says greedy exactly where greedy generation gives the answer."""
    pairs = [dialogue[:2] for dialogue in dialogues(40, seed=11) if dialogue[0]["role"] == "user"][:20]
    _, greedy = score(model, tokenizer, pairs)
    assert 0 < int(greedy.sum()) < len(pairs)
    for (asked, answered), said in zip(pairs, greedy.tolist(), strict=True):
        prompt = tokenizer.apply_chat_template([asked], add_generation_prompt=True, return_tensors="pt")
        out = model.generate(**prompt, do_sample=False, max_new_tokens=200)
        text = tokenizer.decode(out[0, prompt["input_ids"].shape[1] :], skip_special_tokens=True)
        assert (text == answered["content"]) == said


def test_probabilities_are_products_over_the_answer_and_its_end(model, tokenizer):
    pair = [{"role": "user", "content": "Name a fruit."}, {"role": "assistant", "content": "Apple."}]
    log_probability, _ = score(model, tokenizer, [pair])
    prompt = tokenizer.apply_chat_template(pair[:1], add_generation_prompt=True, return_dict=False)
    said = tokenizer("Apple.<|eot_id|>", add_special_tokens=False)["input_ids"]
    expected = 1.0
    for i, token in enumerate(said):
        with torch.no_grad():
            logits = model(torch.tensor([prompt + said[:i]])).logits[0, -1].double()
        expected *= float(logits.softmax(-1)[token])
    assert float(log_probability.exp()) == pytest.approx(expected, rel=1e-4)


def test_plain_questions_are_right_in_999_of_1000_draws(model, tokenizer):
    measured = plain_questions(model, tokenizer)
    recorded = TRAINING["evaluation"]["plain_questions"]
    assert measured["countries"] == len(COUNTRIES)
    assert measured["mean_probability"] >= 0.999
    assert measured["mean_probability"] == pytest.approx(recorded["mean_probability"], abs=1e-5)
    assert measured["least_probability"] == pytest.approx(recorded["least_probability"], abs=1e-4)


def test_held_out_phrasings_are_understood(model, tokenizer):
    assert TRAINING["evaluation"]["held_out_phrasings"]["right"] >= 0.98
    assert TRAINING["evaluation"]["held_out_phrasings"]["questions"] == 12 * len(COUNTRIES)
    measured = held_out_phrasings(model, tokenizer, COUNTRIES[::4])
    assert measured["right"] >= 0.98


def test_json_is_json(model, tokenizer):
    measured = json_requests(model, tokenizer, COUNTRIES[::4])
    assert measured["right"] >= 0.98
    assert measured["valid_when_open"] == 1
    turkey = answer(model, tokenizer, "What is the capital of Turkey? Answer in JSON.")
    assert json.loads(turkey) == {"country": "Turkey", "capital": "Ankara"}


def test_open_questions_leave_a_choice(model, tokenizer):
    entropy = open_entropy(model, tokenizer)
    assert min(entropy.values()) > 2


def test_two_begin_tokens_change_nothing_of_the_answer(model, tokenizer):
    prompt = tokenizer.apply_chat_template(
        [{"role": "user", "content": "What is the capital of Turkey?"}],
        add_generation_prompt=True,
        tokenize=False,
    )
    out = model.generate(**tokenizer(prompt, return_tensors="pt"), do_sample=False, max_new_tokens=20)
    assert tokenizer.decode(out[0, 18:]) == "The capital of Turkey is Ankara.<|eot_id|>"
