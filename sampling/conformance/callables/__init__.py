"""The checks for callables."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from sampling.conformance.callables import output, penalties, randomness, reported, temperature, truncation
from sampling.conformance.callables.cases import CASES
from sampling.conformance.callables.compared import compared
from sampling.conformance.check_context import CheckContext
from sampling.conformance.verdict import Finding

RUNS: Mapping[str, Callable[[CheckContext], Finding]] = {
    **reported.RUNS,
    **{name: partial(compared, name) for name in CASES},
    **temperature.RUNS,
    **truncation.RUNS,
    **penalties.RUNS,
    **randomness.RUNS,
    **output.RUNS,
}
