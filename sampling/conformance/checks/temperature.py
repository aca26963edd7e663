"""The temperature: its scale, its limit and its range."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np

from sampling.conformance.check_context import CheckContext
from sampling.conformance.comparison import Hypothesis, compare, fitting
from sampling.conformance.endings import Refused
from sampling.conformance.fixtures import CLOSE, RANKED, TIED, spaced, two_levels
from sampling.conformance.oracle import probabilities, softmax
from sampling.conformance.sampling_case import SamplingCase
from sampling.conformance.statistics.eprocess import Likelihoods
from sampling.conformance.verdict import Finding, Verdict
from sampling.core.params import LARGEST

ENOUGH = 1000


def scale(lab: CheckContext) -> Finding:
    """Ask for a temperature below 1, for logits that show it best; one above 1, for logits so large that rounding shows."""
    lab.need(["temperature"])
    offs = (0.01, 0.05, 0.1) if lab.fine else (0.05, 0.1)
    errors = {
        f"{off:.0%} too {word}": 1 + sign * off for off in offs for word, sign in (("cold", -1), ("hot", 1))
    }
    readings = [
        lab.ignoring("temperature"),
        Hypothesis("logits times the temperature", lab.altered(temperature_power=-1.0)),
        Hypothesis("the temperature divides twice", lab.altered(temperature_power=2.0)),
        Hypothesis("temperatures above 1 become 1", lab.altered(highest_temperature=1.0)),
        *(Hypothesis(words, lab.altered(temperature_factor=factor)) for words, factor in errors.items()),
        Hypothesis("logits rounded to bfloat16", lab.altered(logits_dtype="bfloat16")),
    ]
    if lab.fine:
        readings.append(Hypothesis("logits rounded to float16", lab.altered(logits_dtype="float16")))
    questions = [
        SamplingCase(two_levels(4096, scale=0.6), {"temperature": 0.6}),
        SamplingCase(spaced(offset=300.13), {"temperature": 1.6}),
    ]
    return compare(lab, questions, readings)


def zero(lab: CheckContext) -> Finding:
    """Temperature 0: alone, among equal logits, and after such of a bias and a penalty as act by themselves."""
    lab.need(["temperature"])
    if not lab.semantics.zero_temperature:
        return must_refuse(lab, 0.0)
    plain = {"greedy_below": 0.0, "greedy_overrides": ()}
    edits = frozenset(lab.acting(["logit_bias", "presence_penalty"]))
    readings = [
        Hypothesis("temperature 0 is 1", lab.altered(**plain, substitutes=(("temperature", 0, 1.0),))),
        Hypothesis("the higher id", lab.altered(**plain, zero_ties="high"), lab.verdict_on("zero_ties")),
        Hypothesis(
            "any of the equal ones", lab.altered(**plain, zero_ties="all"), lab.verdict_on("zero_ties")
        ),
        Hypothesis("the arg max before biases and penalties", lab.altered(ignores=edits)),
    ]
    questions = [SamplingCase(spaced(), {"temperature": 0}), SamplingCase(TIED, {"temperature": 0})]
    if "logit_bias" in edits:
        questions.append(SamplingCase(spaced(), {"temperature": 0, "logit_bias": {RANKED[4]: 5}}))
    if "presence_penalty" in edits:
        params = {"temperature": 0, "presence_penalty": 1.0}
        questions.append(SamplingCase(spaced(), params, output_ids=(RANKED[0],)))
    return compare(lab, questions, readings)


def must_refuse(lab: CheckContext, temperature: float) -> Finding:
    """Ask for a temperature that the dialect does not take."""
    try:
        lab.draws(SamplingCase(spaced(), {"temperature": temperature}), 1)
    except Refused as refused:
        return Finding(Verdict.CONFORMS, f"as the dialect has it: {refused}", 1)
    words = f"temperature {temperature:g} is taken; the dialect refuses it"
    return Finding(Verdict.DEVIATES, words, 1)


def limit(lab: CheckContext) -> Finding:
    """Temperatures of a thousandth and of next to nothing, for close logits and for equal ones."""
    lab.need(["temperature"])
    plain = {"greedy_below": 0.0, "greedy_overrides": (), "greedy_arg_max": False}
    greedy = {"greedy_below": 0.01, "greedy_overrides": (("temperature", 0.0),), "greedy_arg_max": False}
    readings = [
        Hypothesis("no lowest temperature", lab.altered(**plain, lowest_temperature=0.0)),
        Hypothesis("temperatures below 0.01 become 0.01", lab.altered(**plain, lowest_temperature=0.01)),
        Hypothesis("temperatures below 0.01 become 0", lab.altered(**greedy)),
        lab.ignoring("temperature"),
    ]
    questions = [SamplingCase(row, {"temperature": t}) for row in (CLOSE, TIED) for t in (1e-3, 1e-30)]
    return compare(lab, questions, readings)


def out_of_range(lab: CheckContext) -> Finding:
    """Temperatures below the dialect's range, above it unless it has no upper end, and not a number."""
    lab.need(["temperature"])
    taken: list[str] = []
    refusals: list[str] = []
    low, high = lab.semantics.ranges.temperature
    above = (high + 0.5,) if high < LARGEST else ()
    for temperature in (low - 1.0, *above, math.nan):
        question = SamplingCase(spaced(), {"temperature": temperature})
        try:
            tokens = lab.draws(question, ENOUGH)
        except Refused as refused:
            refusals.append(str(refused))
        else:
            taken.append(f"{temperature:g} {taken_as(lab, temperature, tokens)}")
    if not taken:
        return Finding(Verdict.CONFORMS, f"all refused: {refusals[0]}", len(refusals))
    return Finding(lab.verdict_on("ranges"), f"not refused: {'; '.join(taken)}", ENOUGH * len(taken))


def taken_as(
    lab: CheckContext, temperature: float, tokens: np.ndarray[tuple[int], np.dtype[np.int64]]
) -> str:
    """Return what an odd temperature was taken as, in words."""
    used = {"taken as 0": 0.0, "taken as 1": 1.0, "taken as 2": 2.0}
    rows = {
        name: probabilities(SamplingCase(spaced(), {"temperature": t}), lab.altered(greedy_below=-math.inf))
        for name, t in used.items()
    }
    if temperature == temperature and temperature != 0:
        rows["taken as it is"] = softmax(spaced().astype(np.float64) / temperature)
    counts = [np.bincount(tokens, minlength=len(RANKED))]
    seen = Likelihoods(list(rows))
    seen.add(tokens, rows)
    best = max(rows, key=seen.final)
    fits = fitting(counts, [rows[best]])
    return best if fits else "taken as something else"


RUNS: Mapping[str, Callable[[CheckContext], Finding]] = {
    "temperature.scale": scale,
    "temperature.zero": zero,
    "temperature.limit": limit,
    "temperature.range": out_of_range,
}
