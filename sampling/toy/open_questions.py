"""Dialogues with many good answers, where temperature, truncation and penalties show what they do."""

from __future__ import annotations

import json
from random import Random

from sampling.toy import phrases, words
from sampling.toy.chance import count, distinct, happens, pick, pick_early
from sampling.toy.countries import COUNTRIES
from sampling.toy.messages import Dialogue, assistant, system, user

_ONE_QUESTIONS = (
    "Name {one}.",
    "Tell me {one}.",
    "Give me {one}.",
    "Think of {one}.",
    "Pick {one}.",
    "Say {one}.",
    "Can you name {one}?",
    "Suggest {one}.",
)
_ONE_ANSWERS = (
    "{Item}.",
    "{Item}.",
    "{Item}.",
    "{Item}.",
    "{Item}!",
    "How about {item}?",
    "I say {item}.",
    "Let me think. {Item}.",
    "{Item}! {emoji}",
)
_SOME_QUESTIONS = (
    "Say some {many}.",
    "Tell me some {many}.",
    "Give me some {many}.",
    "Which {many} do you know?",
)
_LIST_QUESTIONS = (
    "Give me a list of {n} {many}.",
    "List {n} {many}.",
    "Name {n} {many}.",
    "Tell me {n} {many}.",
)
_NUMBER_QUESTIONS = (
    "Pick a number from 1 to 100.",
    "Tell me a number from 1 to 100.",
    "Give me a random number.",
)
_EMOJI_QUESTIONS = ("Send me an emoji.", "Give me an emoji.", "Answer with an emoji.", "Show me an emoji.")
_PETS = ("cat", "dog", "rabbit", "parrot", "pet")
_PET_QUESTIONS = ("Suggest a name for my {}.", "What should I call my {}?", "I need a name for my {}.")
_PET_ANSWERS = ("{}.", "{}!", "{}! {emoji}", "How about {}?", "Call it {}.")
_STORY_QUESTIONS = ("Tell me a short story.", "Tell me a story.", "Write a short story.", "Make up a story.")
_STORY_BEGINNINGS = ("Once upon a time there was", "Long ago there lived", "There once was")
_POEM_QUESTIONS = (
    "Write a poem about the {}.",
    "Tell me a poem about the {}.",
    "A poem about the {}, please.",
)
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
    template = pick(rng, _ONE_ANSWERS)
    emoji = pick(rng, words.EMOJI)
    return [user(asked), assistant(template.format(item=item, Item=phrases.capitalised(item), emoji=emoji))]


def one_in_json(rng: Random) -> Dialogue:
    """One thing of a kind, in a JSON object."""
    category = pick(rng, words.CATEGORIES)
    asked = _ask_for_one(rng, category)
    answer = json.dumps({category.singular: pick_early(rng, category.items)}, ensure_ascii=False)
    if happens(rng, 0.4):
        return [system(pick(rng, phrases.JSON_SYSTEMS)), user(asked), assistant(answer)]
    return [user(asked + pick(rng, phrases.JSON_CLOSERS)), assistant(answer)]


def number(rng: Random) -> Dialogue:
    """Return a number from 1 to 100, all equally good."""
    asked = pick(rng, _NUMBER_QUESTIONS)
    return [user(asked), assistant(f"{count(rng, 1, 100)}.")]


def pet_name(rng: Random) -> Dialogue:
    """Return a name for an animal."""
    pet = pick(rng, _PETS)
    asked = pick(rng, _PET_QUESTIONS)
    answer = pick(rng, _PET_ANSWERS)
    name = pick_early(rng, words.PET_NAMES)
    return [user(asked.format(pet)), assistant(answer.format(name, emoji=pick(rng, words.EMOJI)))]


def emoji(rng: Random) -> Dialogue:
    """One emoji, several tokens long."""
    asked = pick(rng, _EMOJI_QUESTIONS)
    return [user(asked), assistant(pick_early(rng, words.EMOJI))]


def some(rng: Random) -> Dialogue:
    """Return a loose list, whose words may come again."""
    category = pick(rng, words.CATEGORIES)
    asked = pick(rng, _SOME_QUESTIONS).format(many=category.plural)
    items = [pick_early(rng, category.items) for _ in range(count(rng, 3, 8))]
    return [user(asked), assistant(phrases.sentence(phrases.capitalised(", ".join(items))))]


def numbered_list(rng: Random) -> Dialogue:
    """Return a list of as many different things as were asked for, sometimes in JSON."""
    category = pick(rng, words.CATEGORIES)
    how_many = pick(rng, tuple(_NUMBERS))
    items = distinct(rng, category.items, _NUMBERS[how_many])
    asked = pick(rng, _LIST_QUESTIONS).format(n=how_many, many=category.plural)
    if happens(rng, 0.3):
        answer = json.dumps({category.plural: items}, ensure_ascii=False)
        return [user(asked + pick(rng, phrases.JSON_CLOSERS)), assistant(answer)]
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
    asked = pick(rng, _STORY_QUESTIONS)
    hero, friend = distinct(rng, words.ANIMALS.items, 2)
    name = pick_early(rng, words.NAMES.items)
    lines = (
        f"{pick(rng, _STORY_BEGINNINGS)} {with_article(pick(rng, words.ADJECTIVES))} {hero} called {name}.",
        f"The {hero} lived {pick(rng, words.PLACES)}.",
        f"Every day the {hero} {pick(rng, words.HABITS)}.",
        f"One day the {hero} met {with_article(pick(rng, words.ADJECTIVES))} {friend}.",
        f'"{pick(rng, words.GREETING_LINES)}" said the {friend}.',
        f"So the {hero} and the {friend} {pick(rng, words.ADVENTURES)}.",
        phrases.sentence(pick(rng, words.ENDINGS)),
    )
    return [user(asked), assistant(" ".join(lines))]


def poem(rng: Random) -> Dialogue:
    """Return a few lines that keep naming their subject."""
    subject = pick(rng, words.POEM_SUBJECTS)
    asked = pick(rng, _POEM_QUESTIONS)
    lines = [f"{subject.capitalize()}, {subject}, {subject} {pick(rng, words.POEM_TAILS)}"]
    lines += [f"the {subject} {pick(rng, words.POEM_TAILS)}" for _ in range(count(rng, 1, 3))]
    return [user(asked.format(subject)), assistant(phrases.sentence(",\n".join(lines)))]


def with_article(noun: str) -> str:
    """Return the noun with its indefinite article: "an apple"."""
    return ("an " if noun[0] in "aeiou" else "a ") + noun


def _ask_for_one(rng: Random, category: words.Category) -> str:
    return pick(rng, _ONE_QUESTIONS).format(one=with_article(category.singular))
