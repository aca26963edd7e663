"""Dialogues of politeness, about the toy itself, and about what it does not know."""

from __future__ import annotations

from random import Random

from sampling.toy import phrases, words
from sampling.toy.capitals import asked_with_system
from sampling.toy.chance import pick
from sampling.toy.countries import COUNTRIES
from sampling.toy.messages import Dialogue, assistant, user
from sampling.toy.texts import TEXTS


def greeting(rng: Random) -> Dialogue:
    """Hello, with an emoji."""
    return [user(pick(rng, TEXTS["greetings"])), assistant(pick(rng, TEXTS["greeting_answers"]))]


def introduction(rng: Random) -> Dialogue:
    """Return a name that the answer has to repeat letter by letter."""
    name = pick(rng, words.NAMES.items)
    asked = pick(rng, TEXTS["introductions"])
    answer = pick(rng, TEXTS["welcomes"])
    return [user(asked.format(name)), assistant(answer.format(name))]


def about_itself(rng: Random) -> Dialogue:
    """Return an answer in which the toy says that it is one."""
    return [user(pick(rng, TEXTS["self_questions"])), assistant(pick(rng, TEXTS["self_answers"]))]


def unknown(rng: Random) -> Dialogue:
    """Questions that the toy cannot answer, and says so."""
    asked = phrases.question(pick(rng, TEXTS["unknown_questions"]), pick(rng, COUNTRIES).name)
    return [user(asked), assistant(pick(rng, TEXTS["unknown_answers"]))]


def thanks(rng: Random) -> Dialogue:
    """Return a question about a capital, and thanks for the answer."""
    return [
        *asked_with_system(rng),
        user(pick(rng, TEXTS["thanks"])),
        assistant(pick(rng, TEXTS["thanks_answers"])),
    ]
