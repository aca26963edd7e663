"""The toy's tokenizer: Llama 3's chat layout, every byte, and bytes as tokens where letters are rare."""

from __future__ import annotations

import json

import pytest

from sampling.toy import CHECKPOINT, words
from sampling.toy.corpus import dialogues
from sampling.toy.countries import COUNTRIES
from sampling.toy.texts import TEXTS
from sampling.toy.tokenizer import SPECIAL_TOKENS, build_tokenizer, encode_dialogues

RECIPE = json.loads((CHECKPOINT / "training.json").read_text(encoding="utf-8"))["recipe"]
TURKEY = [{"role": "user", "content": "What is the capital of Turkey?"}]


@pytest.fixture(scope="module")
def tokenizer():
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(CHECKPOINT)


def test_a_conversation_is_laid_out_as_llama_3_does(tokenizer):
    conversation = [
        {"role": "system", "content": " Answer in JSON.\n"},
        {"role": "user", "content": "Capital of Peru?"},
        {"role": "assistant", "content": "Lima."},
        {"role": "user", "content": "And of Togo?"},
    ]
    expected = (
        "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nAnswer in JSON.<|eot_id|>"
        "<|start_header_id|>user<|end_header_id|>\n\nCapital of Peru?<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\nLima.<|eot_id|>"
        "<|start_header_id|>user<|end_header_id|>\n\nAnd of Togo?<|eot_id|>"
    )
    rendered = tokenizer.apply_chat_template(conversation, tokenize=False)
    assert rendered == expected
    rendered = tokenizer.apply_chat_template(conversation, tokenize=False, add_generation_prompt=True)
    assert rendered == expected + "<|start_header_id|>assistant<|end_header_id|>\n\n"


def test_the_published_example_has_the_published_lengths(tokenizer):
    rendered = tokenizer.apply_chat_template(TURKEY, tokenize=False, add_generation_prompt=True)
    assert len(tokenizer(rendered, add_special_tokens=False)["input_ids"]) == 17
    assert len(tokenizer(rendered)["input_ids"]) == 18
    answer = tokenizer("The capital of Turkey is Ankara.<|eot_id|>", add_special_tokens=False)
    assert len(answer["input_ids"]) == 8


def test_names_and_emoji_come_back(tokenizer):
    names = [text for country in COUNTRIES for text in (*country.names, country.capital)]
    items = [item for category in words.CATEGORIES for item in category.items]
    for text in (*names, *items, *TEXTS["pet_names"], *TEXTS["emoji"], "日本語 🏳️‍🌈 \x00\t\n\n  \u202e"):
        assert tokenizer.decode(tokenizer(text, add_special_tokens=False)["input_ids"]) == text


def test_each_byte_of_an_accent_or_emoji_is_a_token(tokenizer):
    assert tokenizer.tokenize("Bogotá")[-2:] == ["Ã", "¡"]
    assert len(tokenizer.tokenize("😊")) == 4


def test_every_byte_is_in_the_vocabulary(tokenizer):
    alphabet = {chr(code) for code in (*range(33, 127), *range(161, 173), *range(174, 256), *range(256, 324))}
    assert len(alphabet) == 256
    assert alphabet <= set(tokenizer.get_vocab())


def test_special_tokens_stand_last_and_are_one_id_each(tokenizer):
    ids = [tokenizer(token, add_special_tokens=False)["input_ids"] for token in SPECIAL_TOKENS]
    assert ids == [[len(tokenizer) - len(SPECIAL_TOKENS) + i] for i in range(len(SPECIAL_TOKENS))]
    assert tokenizer.eos_token == "<|eot_id|>"
    assert tokenizer.bos_token == "<|begin_of_text|>"


def test_training_reads_dialogues_as_the_chat_template_renders_them(tokenizer):
    corpus = dialogues(300, seed=3)
    for dialogue, (ids, spoken) in zip(corpus, encode_dialogues(tokenizer, corpus), strict=True):
        assert ids == tokenizer.apply_chat_template(dialogue, return_dict=False)
        said = [m["content"] + "<|eot_id|>" for m in dialogue if m["role"] == "assistant"]
        learned = [token for token, flag in zip(ids, spoken, strict=True) if flag]
        assert tokenizer.decode(learned) == "".join(said)


def test_the_recipe_builds_the_shipped_tokenizer():
    corpus = dialogues(RECIPE["tokenizer_dialogues"], seed=RECIPE["seed"])
    built = build_tokenizer(corpus, vocabulary=RECIPE["vocabulary"], context=RECIPE["context"])
    shipped = json.loads((CHECKPOINT / "tokenizer.json").read_text(encoding="utf-8"))
    assert json.loads(built.backend_tokenizer.to_str())["model"] == shipped["model"]
