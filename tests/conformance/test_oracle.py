"""The oracle: vectors computed by hand, and the library's own pipeline, which shares nothing with it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from sampling.conformance.apart import told_apart
from sampling.conformance.fixtures import HALF
from sampling.conformance.oracle import logprobs, probabilities, rounded
from sampling.conformance.sampling_case import SamplingCase
from sampling.conformance.semantics import Semantics, joined, moved
from sampling.core.history import OUTPUT, History, Scope
from sampling.core.params import SamplingParams
from sampling.dialects import DIALECTS, dialect
from sampling.pipeline.effective import effective_params
from sampling.pipeline.plan import make_plan

PLAIN = Semantics.of(dialect("qstash"))


def row(*values: float) -> np.ndarray:
    return np.array(values, dtype=np.float32)


def kept(question: SamplingCase, semantics: Semantics) -> list[int]:
    return np.flatnonzero(probabilities(question, semantics) > 0).tolist()


def by_pipeline(question: SamplingCase, name: str) -> np.ndarray:
    past = History.start([question.prompt_ids])
    for token in question.output_ids:
        past.accept(torch.tensor([token]))
    built = make_plan([effective_params(SamplingParams(**question.params), dialect(name))], dialect(name))
    logits = built.pipeline(torch.from_numpy(question.logits)[None], past)
    if built.arg_max is not None:
        logits = built.arg_max(logits, past)
    exact = (logits.double() - logits.max().double()).exp()[0]
    return (exact / exact.sum()).numpy()


def questions(name: str) -> list[SamplingCase]:
    """Logits and numbers that float32 holds exactly, so that only the order of the stages and their rules count."""
    rng = np.random.default_rng(7)
    has = DIALECTS[name].stages
    scales = DIALECTS[name].frequency_form == "repetition"  # by 1 + f, a power of 2
    made: list[SamplingCase] = []
    for _ in range(120):
        params: dict[str, Any] = {
            "logit_bias": {int(rng.integers(12)): float(rng.choice([-2, 1, 4]))},
            "repetition_penalty": float(rng.choice([1, 2, 0.5])),
            "frequency_penalty": float(rng.choice([0, 1, -0.5] if scales else [0, 0.5, -0.25])),
            "presence_penalty": float(rng.choice([0, 1, -0.5])),
            "temperature": float(rng.choice([0, 0.5, 1, 2, 2**-8, 2**-18])),
            "top_k": int(rng.choice([0, 1, 3, 6, 40])),
            "top_p": float(rng.choice([0, 0.3, 0.77, 0.93, 1])),
            "min_p": float(rng.choice([0, 0.07, 0.3])),
        }
        if not DIALECTS[name].zero_temperature and params["temperature"] == 0:
            del params["temperature"]
        logits = rng.integers(-16, 17, size=12).astype(np.float32) / 4
        made.append(
            SamplingCase(
                logits,
                {key: value for key, value in params.items() if key in has and rng.random() < 0.7},
                tuple(rng.integers(12, size=5).tolist()),
                tuple(rng.integers(12, size=rng.choice([0, 4, 70])).tolist()),
            )
        )
    return made


@pytest.mark.parametrize("name", DIALECTS)
def test_it_is_what_the_pipeline_of_the_dialect_gives(name: str) -> None:
    semantics = Semantics.of(DIALECTS[name])
    for question in questions(name):
        assert np.allclose(
            probabilities(question, semantics), by_pipeline(question, name), rtol=0, atol=1e-9
        ), question


@pytest.mark.parametrize(
    ("logits", "p", "counts"),
    [(row(0, 0, 0, 0), 0.5, (2, 3, 2)), (row(*[0] * 8), 0.75, (6, 7, 6)), (row(*[0] * 10), 0.9, (9, 10, 9))],
)
def test_an_exact_hit_of_top_p(logits: np.ndarray, p: float, counts: tuple[int, int, int]) -> None:
    asked = SamplingCase(logits, {"top_p": p})
    readings = [
        PLAIN,
        Semantics.of(dialect("sglang")),
        Semantics.of(dialect("llama.cpp")),
    ]
    assert tuple(len(kept(asked, reading)) for reading in readings) == counts


def test_the_crossing_token_and_those_around_it() -> None:
    asked = SamplingCase(row(3, 1, 2, 0), {"top_p": 0.8})  # masses .644, .237 and .087 in the order 0, 2, 1
    assert kept(asked, PLAIN) == [0, 2]
    assert kept(asked, replace(PLAIN, crossing_tokens=-1)) == [0]
    assert kept(asked, replace(PLAIN, crossing_tokens=1)) == [0, 1, 2]
    assert kept(SamplingCase(row(3, 1, 2, 0), {"top_p": 0}), PLAIN) == [0]


def test_a_nucleus_that_is_bounded_searched_or_looked_for_among_few() -> None:
    """Half, a quarter and four times a sixteenth: for 0.6 the first two, of 3/4, are enough.

    A bound takes what is left for 5 x 1/2 behind the first and for 4 x 1/4 behind the second: 0.6 (3/4 + 1) is more than
    3/4. Behind the third it is 3 x 1/16, so that 0.6 of all is reached.
    """
    asked = SamplingCase(row(*np.log([1, 8, 1, 4, 1, 1])), {"top_p": 0.6})
    assert kept(asked, PLAIN) == [1, 3]
    assert kept(asked, replace(PLAIN, top_p_bounded=True)) == [0, 1, 3]
    assert kept(asked, replace(PLAIN, most_candidates=1)) == [1]
    few = SamplingCase(row(-np.inf, 1, 0, 0), {"top_p": 0.95})
    assert kept(few, PLAIN) == [1, 2, 3]
    assert kept(few, replace(PLAIN, last_goes=True)) == [1]
    assert kept(SamplingCase(row(2, 2, 2), {"top_p": 0.95}), replace(PLAIN, last_goes=True)) == [0, 1, 2]


def test_which_of_equal_logits_stay() -> None:
    """Token 2 has half of the mass, four others an eighth each; 0.6 and two of five want one of these."""
    logits = row(0, 0, np.log(4), 0, 0)
    for params, field in (({"top_p": 0.6}, "top_p_ties"), ({"top_k": 2}, "top_k_ties")):
        asked = SamplingCase(logits, params)
        wanted = {"low": [0, 2], "high": [2, 4], "all": [0, 1, 2, 3, 4], "arbitrary": [0, 2]}
        assert {rule: kept(asked, replace(PLAIN, **{field: rule})) for rule in wanted} == wanted
        assert told_apart(asked, PLAIN).tolist() == [0, 1, 2, 3, 4]
        assert told_apart(asked, replace(PLAIN, **{field: "arbitrary"})).tolist() == [0, 0, 1, 0, 0]
    apart = SamplingCase(logits, {"top_p": 0.4})  # no boundary among equal ones
    assert told_apart(apart, replace(PLAIN, top_p_ties="arbitrary")).tolist() == [0, 1, 2, 3, 4]


def test_a_strict_min_p_and_penalties_by_sign() -> None:
    asked = SamplingCase(row(0, HALF, -1), {"min_p": 0.499999999})
    assert kept(asked, PLAIN) == [0, 1]
    assert kept(asked, replace(PLAIN, min_p_strict=True)) == [0]
    assert kept(SamplingCase(row(0, 0, -1), {"min_p": 1}), replace(PLAIN, min_p_strict=True)) == [0, 1]
    added = SamplingCase(row(2, -2, 0), {"presence_penalty": 1.5}, output_ids=(0, 1))
    p = probabilities(added, replace(PLAIN, penalties_follow_sign=True))
    assert np.allclose(np.log(p / p[2]), (0.5, -0.5, 0))


def test_the_temperature_before_or_after_top_p() -> None:
    asked = SamplingCase(row(3, 2, 1), {"top_p": 0.8, "temperature": 0.5})
    late = replace(PLAIN, order=moved(PLAIN.order, "temperature", after="top_p"))
    assert kept(asked, PLAIN) == [0]
    assert kept(asked, late) == [0, 1]


def test_bias_and_repetition_do_not_commute() -> None:
    asked = SamplingCase(row(1, 0), {"logit_bias": {0: 2}, "repetition_penalty": 2}, output_ids=(0,))
    first = replace(PLAIN, order=moved(PLAIN.order, "repetition_penalty", before="logit_bias"))
    odds = [p[0] / p[1] for p in (probabilities(asked, reading) for reading in (PLAIN, first))]
    assert np.allclose(np.log(odds), [1.5, 2.5])


@pytest.mark.parametrize(
    ("rule", "expected"),
    [("by_sign", (1, -4, 0)), ("divide", (1, -1, 0)), ("multiply", (4, -4, 0)), ("reversed", (4, -1, 0))],
)
def test_the_signs_of_the_repetition_penalty(rule: str, expected: tuple[float, ...]) -> None:
    asked = SamplingCase(row(2, -2, 0), {"repetition_penalty": 2}, output_ids=(0, 1))
    p = probabilities(asked, replace(PLAIN, repetition_rule=rule))
    assert np.allclose(np.log(p / p[2]), expected)


def test_what_penalties_count_and_how() -> None:
    def lowered(reading: Semantics, **params: float) -> list[float]:
        asked = SamplingCase(row(0, 0, 0, 0), params, prompt_ids=(2, 2), output_ids=(0, 0, 0, 1))
        p = probabilities(asked, reading)
        return np.round(np.log(p / p[3]), 9).tolist()

    assert lowered(PLAIN, frequency_penalty=0.5) == [-1.5, -0.5, 0, 0]
    assert lowered(PLAIN, presence_penalty=0.5) == [-0.5, -0.5, 0, 0]
    assert lowered(replace(PLAIN, frequency_counts=Scope(prompt=True)), frequency_penalty=0.5) == [
        -1.5,
        -0.5,
        -1,
        0,
    ]
    assert lowered(replace(PLAIN, presence_counts=Scope(last=2)), presence_penalty=0.5) == [-0.5, -0.5, 0, 0]
    assert lowered(replace(PLAIN, presence_counts=Scope(last=1)), presence_penalty=0.5) == [0, -0.5, 0, 0]
    assert lowered(replace(PLAIN, frequency_divides=True), frequency_penalty=1) == [-0.75, -0.25, 0, 0]
    assert lowered(replace(PLAIN, presence_multiplies=True), presence_penalty=0.5) == [-1.5, -0.5, 0, 0]
    assert lowered(replace(PLAIN, penalty_factor=-1), presence_penalty=0.5) == [0.5, 0.5, 0, 0]


def test_temperature_zero_among_equals() -> None:
    asked = SamplingCase(row(0, 2, 1, 2), {"temperature": 0})
    assert kept(asked, PLAIN) == [1]
    assert kept(asked, replace(PLAIN, zero_ties="high")) == [3]
    assert kept(asked, replace(PLAIN, zero_ties="all")) == [1, 3]


def test_top_k_and_top_p_after_one_another_or_together() -> None:
    asked = SamplingCase(
        row(2, 1, 0, -1), {"top_k": 2, "top_p": 0.7}
    )  # masses .644 .237 ...; of the first two .731 .269
    assert kept(asked, PLAIN) == [0]
    assert kept(asked, replace(PLAIN, order=joined(PLAIN.order, "top_k", "top_p"))) == [0, 1]


def test_rounding_to_bfloat16() -> None:
    # Eight bits: between 16 and 32 they are 1/8 apart, ties to even.
    assert rounded(np.array([20.0625, 20.1875, 20.07, -np.inf]), "bfloat16").tolist() == [
        20.0,
        20.25,
        20.125,
        -np.inf,
    ]


def test_reported_values_by_mode() -> None:
    asked = SamplingCase(row(2, 0), {"temperature": 2, "top_p": 0.5, "logit_bias": {1: 1}})
    modes = ("raw", "penalised", "temperature", "processed")
    raw, penalised, tempered, processed = (logprobs(asked, PLAIN, mode) for mode in modes)
    assert np.allclose(raw, -np.log1p(np.exp([-2, 2])))
    assert np.allclose(penalised, -np.log1p(np.exp([-1, 1])))
    assert np.allclose(tempered, -np.log1p(np.exp([-0.5, 0.5])))
    assert processed.tolist() == [0.0, -np.inf]


def test_a_greedy_request_of_vllm_0_4_has_no_filters() -> None:
    asked = SamplingCase(row(1, 3, 2), {"temperature": 1e-6, "top_p": 0.1, "logit_bias": {2: 2}})
    vllm = Semantics.of(dialect("vllm-0.4"))
    assert probabilities(asked, vllm).tolist() == [0, 0, 1]
    assert np.allclose(np.exp(logprobs(asked, vllm)), np.exp([1, 3, 4]) / np.exp([1, 3, 4]).sum())


def test_moving_and_joining_stages() -> None:
    sglang = Semantics.of(dialect("sglang")).order
    assert moved(sglang, "top_k", before="top_p")[-3:] == ("top_k", "top_p", "min_p")
    assert moved(PLAIN.order, "dry", before="top_p") == PLAIN.order
    assert Semantics.of(dialect("llama.cpp")).presence_counts == Scope(prompt=True, last=64)
    assert PLAIN.repetition_scope == OUTPUT
