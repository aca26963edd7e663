"""Compiles a grammar in a helper process (`sampling.helper`), to see that it ends: nothing of this package is imported here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llguidance import LLMatcher, LLParserLimits, LLTokenizer

BYTES = LLTokenizer("byte")


def answer(question: Mapping[str, Any]) -> str | None:
    """Compile a grammar for a vocabulary of bytes.

    Args:
        question: The `grammar` in llguidance's Lark format, and the `limits` of its parser.

    Returns:
        What llguidance has against it, if it has.
    """
    limits = LLParserLimits(**question["limits"], verbose_errors=False)
    matcher = LLMatcher(BYTES, question["grammar"], log_level=0, limits=limits)
    return matcher.get_error() or next(iter(matcher.get_grammar_warnings()), None)
