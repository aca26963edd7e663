"""The toy's dialogues: repeatable, true, and silent about the phrasings that evaluation keeps."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest

from sampling.toy import CHECKPOINT, phrases, words
from sampling.toy.corpus import SHARES, dialogues, digest
from sampling.toy.countries import COUNTRIES
from sampling.toy.texts import TEXTS

TRAINING = json.loads((CHECKPOINT / "training.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def corpus():
    return dialogues(TRAINING["data"]["dialogues"], seed=TRAINING["recipe"]["seed"])


def test_the_recorded_seed_writes_the_recorded_corpus(corpus):
    assert digest(corpus) == TRAINING["data"]["sha256"]


def test_another_seed_writes_another_corpus():
    assert digest(dialogues(100, seed=1)) == digest(dialogues(100, seed=1))
    assert digest(dialogues(100, seed=1)) != digest(dialogues(100, seed=2))


def test_shares_are_percentages():
    assert sum(SHARES.values()) == 100


def test_training_never_sees_a_held_out_phrasing(corpus):
    held_out = {
        phrases.question(template, name).lower().rstrip("?.")
        for template in TEXTS["held_out_capital_questions"]
        for country in COUNTRIES
        for name in country.names
    }
    said = {m["content"].lower().rstrip("?.") for dialogue in corpus for m in dialogue if m["role"] == "user"}
    assert not held_out & said
    fragments = (
        "serves as",
        "remind me",
        "what would be",
        "any idea what",
        "do people call",
        "if i asked you",
    )
    assert not [text for text in said if any(fragment in text for fragment in fragments)]


def test_training_never_sees_a_held_out_way_to_ask_for_json(corpus):
    said = {m["content"] for dialogue in corpus for m in dialogue if m["role"] == "user"}
    assert not [text for text in said if text.endswith(TEXTS["held_out_json_closers"])]


def test_the_plain_question_has_one_answer_always(corpus):
    answers = {}
    for dialogue in corpus:
        for asked, answered in pairwise(dialogue):
            if asked["role"] == "user" and dialogue[0]["role"] == "user" and asked is dialogue[0]:
                answers.setdefault(asked["content"], set()).add(answered["content"])
    for country in COUNTRIES:
        assert answers[f"What is the capital of {country.name}?"] == {phrases.capital_answer(country)}


def test_dialogues_alternate_and_end_with_the_assistant(corpus):
    for dialogue in corpus[:5000]:
        roles = [message["role"] for message in dialogue]
        turns = roles[1:] if roles[0] == "system" else roles
        assert turns == ["user", "assistant"] * (len(turns) // 2)
        assert all(message["content"] == message["content"].strip() != "" for message in dialogue)


def test_every_answer_that_looks_like_json_is_json(corpus):
    objects = [m["content"] for d in corpus for m in d if m["role"] == "assistant" and m["content"][0] == "{"]
    assert len(objects) > 1000
    assert all(isinstance(json.loads(text), dict) for text in objects)


def test_capitals_against_a_list_by_hand():
    expected = {
        "Turkey": "Ankara",
        "Brazil": "Brasília",
        "Colombia": "Bogotá",
        "São Tomé and Príncipe": "São Tomé",
        "Chad": "N'Djamena",
        "Côte d'Ivoire": "Yamoussoukro",
        "Moldova": "Chișinău",
        "Australia": "Canberra",
        "Canada": "Ottawa",
        "the Netherlands": "Amsterdam",
        "the United States": "Washington, D.C.",
        "Kazakhstan": "Astana",
    }
    table = {country.name: country.capital for country in COUNTRIES}
    assert {name: table[name] for name in expected} == expected


def test_no_two_countries_share_a_name_or_a_capital():
    names = [name for country in COUNTRIES for name in country.names]
    assert len(set(names)) == len(names)
    assert len({country.capital for country in COUNTRIES}) == len(COUNTRIES) == 193


def test_sentences_by_hand():
    usa = next(country for country in COUNTRIES if country.name == "the United States")
    assert phrases.capital_answer(usa) == "The capital of the United States is Washington, D.C."
    assert phrases.json_answer(usa) == '{"country": "United States", "capital": "Washington, D.C."}'
    assert phrases.question("{cs} capital?", "the Netherlands") == "The Netherlands' capital?"
    assert phrases.question("{cs} capital?", "Peru") == "Peru's capital?"


def test_word_lists_have_no_word_twice():
    for category in words.CATEGORIES:
        assert len(set(category.items)) == len(category.items)
