"""Dialects that answer differently: one of each way, for tests that do not look at how their tokens are drawn."""

from __future__ import annotations

from dataclasses import fields

from sampling.dialects import DIALECTS, Dialect, Rules

REPORTING = (
    "max_reported_rank",
    "sampled_first",
    "at_most_k",
    "whole_characters",
    "choices_follow_seeds",
    "field_names",
)
FACTS = ("source", "versions", "seen", "defaults", "defects", "penalty_scope", "generation_defaults")
UNSEEN = {field.name for field in fields(Rules) if field.name not in REPORTING} | {*FACTS}


def manners(dialect: Dialect) -> tuple[object, ...]:
    """All that a dialect says but for how tokens are drawn, and facts."""
    return tuple(getattr(dialect, field.name) for field in fields(dialect) if field.name not in UNSEEN)


FIRST = {manners(one): one.name for one in reversed([*DIALECTS.values()])}
CHATTING = [name for name in DIALECTS if name in FIRST.values()]
