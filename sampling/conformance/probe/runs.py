"""The checks for engines that have loaded a probe."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from sampling.conformance.callables import temperature, truncation
from sampling.conformance.callables.cases import cases
from sampling.conformance.callables.compared import compared
from sampling.conformance.fixtures import Sizes
from sampling.conformance.probe import paths, randomness
from sampling.conformance.probe.context import ProbeContext
from sampling.conformance.verdict import Finding

RUNS: Mapping[str, Callable[[ProbeContext], Finding]] = {
    **{
        name: partial(compared, name)
        for name in cases(Sizes())
        if not name.startswith(("penalties.", "bias."))
    },
    **temperature.RUNS,
    **truncation.RUNS,
    **paths.RUNS,
    **randomness.RUNS,
}
