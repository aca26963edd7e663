"""The rules of the draw: the library's own, and those of engines, a file each."""

from __future__ import annotations

from typing import Literal, cast

from sampling.core.errors import InvalidArgument
from sampling.sampler.rules.gumbel import GUMBEL
from sampling.sampler.rules.integer import INTEGER
from sampling.sampler.rules.keys import RngKeys
from sampling.sampler.rules.rule import DrawRule, Margin, seed_key
from sampling.sampler.rules.sglang_0_5_23 import RANKED, SGLANG
from sampling.sampler.rules.vllm_0_33 import VLLM, VLLM_FP64

__all__ = ["RULES", "DrawRule", "Margin", "RngKeys", "Rule", "checked_rule", "rule_of_batch", "seed_key"]

Rule = Literal["integer", "gumbel", "vllm-0.33", "vllm-0.33-fp64", "sglang-0.5.23", "sglang-0.5.23-ranked"]
RULES: dict[str, DrawRule] = {rule.name: rule for rule in (INTEGER, GUMBEL, VLLM, VLLM_FP64, SGLANG, RANKED)}


def checked_rule(rule: Rule) -> Rule:
    """Return a rule of the draw, if it is one.

    Raises:
        InvalidArgument: There is no such rule.
    """
    if rule not in list(RULES):  # a list, for what cannot be hashed
        raise InvalidArgument("rule", rule, f"one of {', '.join(RULES)}")
    return rule


def rule_of_batch(rule: Rule, *, truncates: bool) -> Rule:
    """Return the rule that a batch follows, which for some engines is another one where a truncation is in use."""
    return cast("Rule", (truncates and RULES[rule].when_truncated) or rule)
