"""The dialogues that the toy learns from, written by chance from templates: same seed, same dialogues."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from random import Random

from sampling.toy import capitals, open_questions, small_talk
from sampling.toy.chance import count, pick
from sampling.toy.messages import Dialogue

Kind = Callable[[Random], Dialogue]


def dialogues(number: int, *, seed: int) -> list[Dialogue]:
    """Write so many dialogues, each a list of messages with a role and a content, for a seed, any integer.

    Example:
        >>> dialogues(1, seed=5) == dialogues(2, seed=5)[:1]
        True
    """
    rng = Random(seed)
    return [pick(rng, _HUNDRED)(rng) for _ in range(number)]


def digest(corpus: Sequence[Dialogue]) -> str:
    """Return the SHA-256 of the dialogues, one JSON line each."""
    hasher = hashlib.sha256()
    for dialogue in corpus:
        hasher.update(json.dumps(dialogue, ensure_ascii=False).encode() + b"\n")
    return hasher.hexdigest()


def mixed(rng: Random) -> Dialogue:
    """Return a longer conversation about several things."""
    turns: Dialogue = []
    for _ in range(count(rng, 2, 5)):
        turns += pick(rng, _MIXABLE)(rng)
    return turns


_MIXABLE: tuple[Kind, ...] = (
    capitals.plain,
    capitals.asked_somehow,
    capitals.reverse,
    open_questions.one,
    open_questions.some,
    small_talk.greeting,
    small_talk.unknown,
    open_questions.pet_name,
)

SHARES: dict[Kind, int] = {
    capitals.plain: 22,
    capitals.asked_with_system: 32,
    capitals.reverse: 6,
    capitals.followed_up: 5,
    capitals.one_word: 4,
    capitals.in_json: 9,
    capitals.imaginary: 1,
    open_questions.one: 5,
    open_questions.number: 1,
    open_questions.pet_name: 1,
    open_questions.emoji: 1,
    open_questions.some: 1,
    open_questions.numbered_list: 2,
    open_questions.one_in_json: 1,
    open_questions.chant: 1,
    open_questions.story: 1,
    open_questions.poem: 1,
    small_talk.greeting: 1,
    small_talk.introduction: 1,
    small_talk.about_itself: 1,
    small_talk.unknown: 1,
    small_talk.thanks: 1,
    mixed: 1,
}
"""How many of a hundred dialogues are of each kind, on average."""

_HUNDRED = tuple(kind for kind, share in SHARES.items() for _ in range(share))
