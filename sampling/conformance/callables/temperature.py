"""What callables show of temperatures besides: those that a dialect refuses."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from sampling.conformance.callables.compared import compared
from sampling.conformance.case_context import CaseContext
from sampling.conformance.endings import Refused
from sampling.conformance.fixtures import spaced
from sampling.conformance.oracle import probabilities, softmax
from sampling.conformance.sampling_case import SamplingCase
from sampling.conformance.sequential_test import fitting
from sampling.conformance.statistics.eprocess import Likelihoods
from sampling.conformance.verdict import Finding, Verdict
from sampling.core.params import LARGEST

ENOUGH = 1000


def zero(context: CaseContext) -> Finding:
    """Compare what temperature 0 gives, where the dialect takes it."""
    if context.semantics.zero_temperature:
        return compared("temperature.zero", context)
    context.need(["temperature"])
    return must_refuse(context, 0.0)


def must_refuse(context: CaseContext, temperature: float) -> Finding:
    """Ask for a temperature that the dialect does not take."""
    try:
        context.draws(context.posed(SamplingCase(spaced(), {"temperature": temperature})), 1)
    except Refused as refused:
        return Finding(Verdict.CONFORMS, f"as the dialect has it: {refused}", 1)
    words = f"temperature {temperature:g} is taken; the dialect refuses it"
    return Finding(Verdict.DEVIATES, words, 1)


def out_of_range(context: CaseContext) -> Finding:
    """Temperatures below the dialect's range, above it unless it has no upper end, and not a number."""
    context.need(["temperature"])
    taken: list[str] = []
    refusals: list[str] = []
    low, high = context.semantics.ranges.temperature
    above = (high + 0.5,) if high < LARGEST else ()
    for temperature in (low - 1.0, *above, math.nan):
        case = context.posed(SamplingCase(spaced(), {"temperature": temperature}))
        try:
            tokens = context.draws(case, ENOUGH)
        except Refused as refused:
            refusals.append(str(refused))
        else:
            taken.append(f"{temperature:g} {taken_as(context, temperature, tokens)}")
    if not taken:
        return Finding(Verdict.CONFORMS, f"all refused: {refusals[0]}", len(refusals))
    return Finding(
        context.semantics.silent_verdict("ranges"), f"not refused: {'; '.join(taken)}", ENOUGH * len(taken)
    )


def taken_as(context: CaseContext, temperature: float, tokens: NDArray[np.int64]) -> str:
    """Return what an odd temperature was taken as, in words."""
    used = {"taken as 0": 0.0, "taken as 1": 1.0, "taken as 2": 2.0}
    plain = context.posed(SamplingCase(spaced()))
    rows = {
        name: probabilities(
            replace(plain, params={"temperature": t}), context.semantics.but(greedy_below=-math.inf)
        )
        for name, t in used.items()
    }
    if temperature == temperature and temperature != 0:
        rows["taken as it is"] = softmax(plain.logits.astype(np.float64) / temperature)
    counts = [np.bincount(tokens, minlength=len(plain.logits))]
    seen = Likelihoods(list(rows))
    seen.add(tokens, rows)
    best = max(rows, key=seen.final)
    fits = fitting(counts, [rows[best]])
    return best if fits else "taken as something else"


RUNS: Mapping[str, Callable[[CaseContext], Finding]] = {
    "temperature.zero": zero,
    "temperature.range": out_of_range,
}
