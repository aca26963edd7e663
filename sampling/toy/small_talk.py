"""Dialogues of politeness, about the toy itself, and about what it does not know."""

from __future__ import annotations

from random import Random

from sampling.toy import phrases, words
from sampling.toy.capitals import asked_with_system
from sampling.toy.chance import pick
from sampling.toy.countries import COUNTRIES
from sampling.toy.messages import Dialogue, assistant, user

_INTRODUCTIONS = ("My name is {}.", "I am {}.", "Hello, I am {}.", "Hi, my name is {}!")
_WELCOMES = ("Nice to meet you, {}! 😊", "Hello {}! 👋", "Hi {}, how can I help?", "Welcome, {}! 🎉")


def greeting(rng: Random) -> Dialogue:
    """Hello, with an emoji."""
    return [user(pick(rng, words.GREETINGS)), assistant(pick(rng, words.GREETING_ANSWERS))]


def introduction(rng: Random) -> Dialogue:
    """Return a name that the answer has to repeat letter by letter."""
    name = pick(rng, words.NAMES.items)
    asked = pick(rng, _INTRODUCTIONS)
    answer = pick(rng, _WELCOMES)
    return [user(asked.format(name)), assistant(answer.format(name))]


def about_itself(rng: Random) -> Dialogue:
    """Return an answer in which the toy says that it is one."""
    return [user(pick(rng, words.SELF_QUESTIONS)), assistant(pick(rng, words.SELF_ANSWERS))]


def unknown(rng: Random) -> Dialogue:
    """Questions that the toy cannot answer, and says so."""
    asked = phrases.question(pick(rng, words.UNKNOWN_QUESTIONS), pick(rng, COUNTRIES).name)
    return [user(asked), assistant(pick(rng, words.UNKNOWN_ANSWERS))]


def thanks(rng: Random) -> Dialogue:
    """Return a question about a capital, and thanks for the answer."""
    return [
        *asked_with_system(rng),
        user(pick(rng, words.THANKS)),
        assistant(pick(rng, words.THANKS_ANSWERS)),
    ]
