"""The checks for callables."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from sampling.conformance.callables import output, penalties, randomness, reported, temperature, truncation
from sampling.conformance.callables.cases import cases
from sampling.conformance.callables.compared import compared
from sampling.conformance.check_context import CheckContext
from sampling.conformance.fixtures import Sizes
from sampling.conformance.verdict import Finding

RUNS: dict[str, Callable[[CheckContext], Finding]] = {
    **reported.RUNS,
    **{name: partial(compared, name) for name in cases(Sizes())},
    **temperature.RUNS,
    **truncation.RUNS,
    **penalties.RUNS,
    **randomness.RUNS,
    **output.RUNS,
}
