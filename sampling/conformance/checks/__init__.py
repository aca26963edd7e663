"""The checks for callables, one file for each group."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from sampling.conformance.check_context import CheckContext
from sampling.conformance.checks import bias, output, penalties, randomness, reported, temperature, truncation
from sampling.conformance.verdict import Finding

RUNS: Mapping[str, Callable[[CheckContext], Finding]] = {
    **reported.RUNS,
    **temperature.RUNS,
    **truncation.RUNS,
    **penalties.RUNS,
    **bias.RUNS,
    **randomness.RUNS,
    **output.RUNS,
}
