"""Dialogues with many good answers, where temperature, truncation and penalties show what they do."""

from __future__ import annotations

import json
from random import Random

from sampling.toy import phrases, words
from sampling.toy.chance import count, distinct, happens, pick, pick_early
from sampling.toy.countries import COUNTRIES
from sampling.toy.messages import Dialogue, assistant, system, user
from sampling.toy.texts import TEXTS

_NUMBERS = {"three": 3, "four": 4, "five": 5, "six": 6}
_PLACES = (
    words.Category("country", "countries", tuple(country.label for country in COUNTRIES)),
    words.Category("city", "cities", tuple(country.capital for country in COUNTRIES)),
)


def one(rng: Random) -> Dialogue:
    """One thing of a kind; countries and cities are all equally good."""
    flat = happens(rng, 0.15)
    category = pick(rng, _PLACES if flat else words.CATEGORIES)
    asked = _ask_for_one(rng, category)
    item = (pick if flat else pick_early)(rng, category.items)
    template = pick(rng, TEXTS["one_answers"])
    emoji = pick(rng, TEXTS["emoji"])
    return [user(asked), assistant(template.format(item=item, Item=phrases.capitalised(item), emoji=emoji))]


def one_in_json(rng: Random) -> Dialogue:
    """One thing of a kind, in a JSON object."""
    category = pick(rng, words.CATEGORIES)
    asked = _ask_for_one(rng, category)
    answer = json.dumps({category.singular: pick_early(rng, category.items)}, ensure_ascii=False)
    if happens(rng, 0.4):
        return [system(pick(rng, TEXTS["json_systems"])), user(asked), assistant(answer)]
    return [user(asked + pick(rng, TEXTS["json_closers"])), assistant(answer)]


def number(rng: Random) -> Dialogue:
    """Return a number from 1 to 100, all equally good."""
    asked = pick(rng, TEXTS["number_questions"])
    return [user(asked), assistant(f"{count(rng, 1, 100)}.")]


def pet_name(rng: Random) -> Dialogue:
    """Return a name for an animal."""
    pet = pick(rng, TEXTS["pets"])
    asked = pick(rng, TEXTS["pet_questions"])
    answer = pick(rng, TEXTS["pet_answers"])
    name = pick_early(rng, TEXTS["pet_names"])
    return [user(asked.format(pet)), assistant(answer.format(name, emoji=pick(rng, TEXTS["emoji"])))]


def emoji(rng: Random) -> Dialogue:
    """One emoji, several tokens long."""
    asked = pick(rng, TEXTS["emoji_questions"])
    return [user(asked), assistant(pick_early(rng, TEXTS["emoji"]))]


def some(rng: Random) -> Dialogue:
    """Return a loose list, whose words may come again."""
    category = pick(rng, words.CATEGORIES)
    asked = pick(rng, TEXTS["some_questions"]).format(many=category.plural)
    items = [pick_early(rng, category.items) for _ in range(count(rng, 3, 8))]
    return [user(asked), assistant(phrases.sentence(phrases.capitalised(", ".join(items))))]


def numbered_list(rng: Random) -> Dialogue:
    """Return a list of as many different things as were asked for, sometimes in JSON."""
    category = pick(rng, words.CATEGORIES)
    how_many = pick(rng, tuple(_NUMBERS))
    items = distinct(rng, category.items, _NUMBERS[how_many])
    asked = pick(rng, TEXTS["list_questions"]).format(n=how_many, many=category.plural)
    if happens(rng, 0.3):
        answer = json.dumps({category.plural: items}, ensure_ascii=False)
        return [user(asked + pick(rng, TEXTS["json_closers"])), assistant(answer)]
    return [user(asked), assistant("\n".join(f"{i}. {item}" for i, item in enumerate(items, 1)))]


def chant(rng: Random) -> Dialogue:
    """One sound again and again: what penalties are made against."""
    asked = pick(rng, tuple(words.CHANTS))
    sounds = [words.CHANTS[asked]] * 2
    while happens(rng, 0.85) and len(sounds) < 30:
        sounds.append(sounds[0])
    return [user(asked), assistant(phrases.sentence(phrases.capitalised(", ".join(sounds))))]


def story(rng: Random) -> Dialogue:
    """Return a story of seven sentences about two animals."""
    asked = pick(rng, TEXTS["story_questions"])
    hero, friend = distinct(rng, words.ANIMALS.items, 2)
    name = pick_early(rng, words.NAMES.items)
    lines = (
        f"{pick(rng, TEXTS['story_beginnings'])} {with_article(pick(rng, TEXTS['adjectives']))} {hero} called {name}.",
        f"The {hero} lived {pick(rng, TEXTS['places'])}.",
        f"Every day the {hero} {pick(rng, TEXTS['habits'])}.",
        f"One day the {hero} met {with_article(pick(rng, TEXTS['adjectives']))} {friend}.",
        f'"{pick(rng, TEXTS["greeting_lines"])}" said the {friend}.',
        f"So the {hero} and the {friend} {pick(rng, TEXTS['adventures'])}.",
        phrases.sentence(pick(rng, TEXTS["endings"])),
    )
    return [user(asked), assistant(" ".join(lines))]


def poem(rng: Random) -> Dialogue:
    """Return a few lines that keep naming their subject."""
    subject = pick(rng, TEXTS["poem_subjects"])
    asked = pick(rng, TEXTS["poem_questions"])
    lines = [f"{subject.capitalize()}, {subject}, {subject} {pick(rng, TEXTS['poem_tails'])}"]
    lines += [f"the {subject} {pick(rng, TEXTS['poem_tails'])}" for _ in range(count(rng, 1, 3))]
    return [user(asked.format(subject)), assistant(phrases.sentence(",\n".join(lines)))]


def with_article(noun: str) -> str:
    """Return the noun with its indefinite article: "an apple"."""
    return ("an " if noun[0] in "aeiou" else "a ") + noun


def _ask_for_one(rng: Random, category: words.Category) -> str:
    return pick(rng, TEXTS["one_questions"]).format(one=with_article(category.singular))
