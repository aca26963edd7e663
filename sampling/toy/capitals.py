"""Dialogues about capitals: in many phrasings, the other way round, in one word, in JSON, and in a row."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

from sampling.toy import phrases
from sampling.toy.chance import happens, pick
from sampling.toy.countries import COUNTRIES, Country
from sampling.toy.messages import Dialogue, assistant, system, user
from sampling.toy.texts import TEXTS


def plain(rng: Random) -> Dialogue:
    """Return the plain question and its answer."""
    country = pick(rng, COUNTRIES)
    asked = phrases.question(phrases.PLAIN_QUESTION, country.name)
    return [user(asked), assistant(phrases.capital_answer(country))]


def asked_somehow(rng: Random) -> Dialogue:
    """Any of the phrasings, as people type them."""
    country = pick(rng, COUNTRIES)
    return [user(_worn(rng, _ask(rng, country))), assistant(phrases.capital_answer(country))]


def asked_with_system(rng: Random) -> Dialogue:
    """Any of the phrasings, sometimes after a system message that asks for nothing special."""
    turns = asked_somehow(rng)
    return [system(pick(rng, TEXTS["helpful_systems"])), *turns] if happens(rng, 0.15) else turns


def reverse(rng: Random) -> Dialogue:
    """Which country has this capital?"""
    country = pick(rng, COUNTRIES)
    asked = phrases.capitalised(pick(rng, TEXTS["reverse_questions"]).format(y=country.capital))
    return [user(asked), assistant(phrases.reverse_answer(country))]


def followed_up(rng: Random) -> Dialogue:
    """Return a question, then "And of France?"."""
    turns = plain(rng) if happens(rng, 0.5) else asked_with_system(rng)
    turns += _follow_up(rng, phrases.capital_answer)
    while happens(rng, 0.4):
        turns += _follow_up(rng, phrases.capital_answer)
    return turns


def one_word(rng: Random) -> Dialogue:
    """Answers with the capital's name and nothing else."""
    return _in_form(rng, TEXTS["one_word_systems"], TEXTS["one_word_closers"], phrases.name_answer)


def in_json(rng: Random) -> Dialogue:
    """Answers with a JSON object."""
    return _in_form(rng, TEXTS["json_systems"], TEXTS["json_closers"], phrases.json_answer)


def imaginary(rng: Random) -> Dialogue:
    """Return a country that does not exist, and an answer that says so."""
    name = pick(rng, TEXTS["imaginary_countries"])
    asked = phrases.question(pick(rng, TEXTS["capital_questions"]), name)
    return [user(asked), assistant(f"I do not know a country called {name}.")]


def _ask(rng: Random, country: Country) -> str:
    return phrases.question(pick(rng, TEXTS["capital_questions"]), _name(rng, country))


def _name(rng: Random, country: Country) -> str:
    return country.name if happens(rng, 0.7) else pick(rng, country.names)


def _worn(rng: Random, text: str) -> str:
    """Return the text as people type it: sometimes with words around it, in lower case, or without its last mark."""
    if happens(rng, 0.2):
        text = text.rstrip("?.")
    if happens(rng, 0.1):
        text = text.lower()
    if happens(rng, 0.25):
        text = pick(rng, TEXTS["openers"]) + text
    if text[-1] in "?." and happens(rng, 0.2):
        text += pick(rng, TEXTS["closers"])
    return text


def _in_form(
    rng: Random, systems: Sequence[str], closers: Sequence[str], answer: Callable[[Country], str]
) -> Dialogue:
    """Questions whose answers have a form that the system, or the user's first message, asks for."""
    country = pick(rng, COUNTRIES)
    asked = _ask(rng, country)
    if happens(rng, 0.5):
        turns = [system(pick(rng, systems)), user(asked)]
    else:
        turns = [user(phrases.sentence(asked) + pick(rng, closers))]
    turns.append(assistant(answer(country)))
    while happens(rng, 0.25):
        turns += _follow_up(rng, answer)
    return turns


def _follow_up(rng: Random, answer: Callable[[Country], str]) -> Dialogue:
    country = pick(rng, COUNTRIES)
    asked = phrases.question(pick(rng, TEXTS["follow_ups"]), _name(rng, country))
    return [user(asked), assistant(answer(country))]
