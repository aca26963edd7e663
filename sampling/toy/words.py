"""The words of the open questions: lists that run from the usual to the unusual."""

from __future__ import annotations

from dataclasses import dataclass

from sampling.toy.texts import read_table


@dataclass(frozen=True)
class Category:
    """A kind of thing that the toy can be asked to name, with its name for one and for several; the usual things come first."""

    singular: str
    plural: str
    items: tuple[str, ...]


CATEGORIES = tuple(
    Category(kind["singular"], kind["plural"], tuple(kind["items"]))
    for kind in read_table("categories")["categories"]
)
ANIMALS, NAMES = (kind for kind in CATEGORIES if kind.singular in ("animal", "name"))

CHANTS = {
    "Sing me a song.": "la",
    "Can you laugh?": "ha",
    "Knock on the door.": "knock",
    "Count some sheep.": "one sheep",
    "What does a clock say?": "tick tock",
    "What does a duck say?": "quack",
    "Cheer for my team!": "hooray",
    "Say blah.": "blah",
}
