"""Choices by chance, from `Random.random` alone: Python promises to keep its sequence for a seed."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import TypeVar

Item = TypeVar("Item")


def happens(rng: Random, probability: float) -> bool:
    """Return True with this probability."""
    return rng.random() < probability


def count(rng: Random, least: int, most: int) -> int:
    """Return an integer from least to most, each as likely as the next."""
    return least + int(rng.random() * (most - least + 1))


def pick(rng: Random, items: Sequence[Item]) -> Item:
    """One of the items, each as likely as the next."""
    return items[int(rng.random() * len(items))]


def pick_early(rng: Random, items: Sequence[Item]) -> Item:
    """One of the items, the earlier the likelier, with a long tail."""
    return items[int(rng.random() ** 1.5 * len(items))]


def distinct(rng: Random, items: Sequence[str], number: int) -> list[str]:
    """So many different items, the earlier the likelier."""
    chosen: list[str] = []
    while len(chosen) < number:
        item = pick_early(rng, items)
        if item not in chosen:
            chosen.append(item)
    return chosen
