"""The checks that compare hypotheses, written once for all kinds of targets."""

from __future__ import annotations

from sampling.conformance.checks import bias, penalties, temperature, truncation
from sampling.conformance.comparison import COMPARISONS

__all__ = ["COMPARISONS", "bias", "penalties", "temperature", "truncation"]
