"""The rules of the draw: the library's own, and those of engines, a file each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, cast

from sampling.core.errors import InvalidArgument
from sampling.sampler.rules.ctranslate2 import CTRANSLATE2, CTRANSLATE2_SORTED
from sampling.sampler.rules.exponential_race import TRANSFORMERS, VLLM_V1
from sampling.sampler.rules.gumbel import GUMBEL
from sampling.sampler.rules.integer import INTEGER
from sampling.sampler.rules.jax_categorical import JAX
from sampling.sampler.rules.keys import RngKeys
from sampling.sampler.rules.llama_cpp import LLAMA_CPP, SORTED
from sampling.sampler.rules.mlx import MLX
from sampling.sampler.rules.numpy_choice import NUMPY
from sampling.sampler.rules.rule import DrawRule, Margin, seed_key
from sampling.sampler.rules.sglang_0_5_23 import RANKED, SGLANG
from sampling.sampler.rules.vllm_0_33 import VLLM, VLLM_FP64
from sampling.sampler.rules.vllm_cpu_0_32 import VLLM_CPU

__all__ = ["RULES", "DrawRule", "Margin", "RngKeys", "Rule", "checked_rule", "rule_of_batch", "seed_key"]

Rule = Literal[
    "integer",
    "gumbel",
    "vllm-0.33",
    "vllm-0.33-fp64",
    "vllm-v1",
    "vllm-cpu-0.32",
    "sglang-0.5.23",
    "sglang-0.5.23-ranked",
    "transformers",
    "llama.cpp",
    "llama.cpp-sorted",
    "numpy",
    "ctranslate2",
    "ctranslate2-sorted",
    "mlx",
    "jax",
]
OWN = (INTEGER, GUMBEL)
ENGINES = (
    VLLM,
    VLLM_FP64,
    VLLM_V1,
    VLLM_CPU,
    SGLANG,
    RANKED,
    TRANSFORMERS,
    LLAMA_CPP,
    SORTED,
    NUMPY,
    CTRANSLATE2,
    CTRANSLATE2_SORTED,
    MLX,
    JAX,
)
RULES: dict[str, DrawRule] = {rule.name: rule for rule in (*OWN, *ENGINES)}


def checked_rule(rule: Rule) -> Rule:
    """Return a rule of the draw, if it is one.

    Raises:
        InvalidArgument: There is no such rule.
    """
    if rule not in list(RULES):  # a list, for what cannot be hashed
        raise InvalidArgument("rule", rule, f"one of {', '.join(RULES)}")
    return rule


def rule_of_batch(rule: Rule, sorts: Sequence[bool]) -> Rule:
    """Return the rule that a batch follows, which for some engines is another one where rows are sorted.

    Args:
        rule: As it was asked for.
        sorts: Whether a parameter that sorts is in use, or the row is greedy, for each row.

    Raises:
        InvalidArgument: The rows differ in that, of an engine that draws each by itself.
    """
    asked = RULES[rule]
    if asked.when_sorted is None or not any(sorts):
        return rule
    if asked.each_row_sorts and not all(sorts):
        words = f"all with {' or '.join(asked.sorted_by)}, or all without: the rule {rule} sorts rows that have one"
        raise InvalidArgument("params", "requests of both kinds", words)
    return cast("Rule", asked.when_sorted)
