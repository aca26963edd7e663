"""What becomes of an exception: one place, so that no check loses the others."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from traceback import extract_tb
from typing import TypeVar

from sampling.conformance.endings import CheckEnded
from sampling.conformance.verdict import Finding, Verdict

T = TypeVar("T")

logger = logging.getLogger(__name__)


def outcome(name: str, ask: Callable[[], T]) -> T | Finding:
    """Give the result of asking, or a finding that says why there is none.

    An exception that nobody expected is a fault of the kit: it decides nothing about the target, and its traceback is logged.

    Example:
        >>> outcome("bias.ban", lambda: 3)
        3
    """
    try:
        return ask()
    except CheckEnded as end:
        return end.finding()
    except Exception as error:
        logger.exception("%s: a fault of the kit", name)
        last = extract_tb(error.__traceback__)[-1]
        where = f"{Path(last.filename).name}, line {last.lineno}"
        words = f"a fault of the kit, not of the target: {type(error).__name__}: {error} ({where})"
        return Finding(Verdict.INCONCLUSIVE, words)
