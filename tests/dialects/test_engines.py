"""Claims of the dialects of engines beyond those of `test_dialects`, each by a vector computed by hand.

`seen` of a dialect says how its facts were found; not every vector was given to every engine.
"""

from __future__ import annotations

import math
from typing import Any

import pytest
from one_step import gap, kept, log_softmax, sampled

from sampling import dialect
from sampling.core.errors import InvalidArgument
from sampling.dialects import DIALECTS

INF = math.inf
ENGINES = [
    "transformers-serve",
    "mlx-lm",
    "mistralrs",
    "ctranslate2",
    "onnxruntime-genai",
    "openvino-genai",
    "litgpt",
    "lmdeploy",
    "exllamav3",
]


def having(*stages: str) -> list[str]:
    """Those engines that have these stages."""
    return [name for name in ENGINES if {*stages} <= {*DIALECTS[name].stages}]


# Order


@pytest.mark.parametrize("name", ENGINES)
def test_temperature_before_or_after_top_p(name: str) -> None:
    """Logits 3 2 1 and p = 0.8: at T = 0.5 the first holds 0.867; at T = 1 it holds 0.665."""
    assert kept(name, [3.0, 2.0, 1.0], top_p=0.8, temperature=0.5) == ([0, 1] if name == "mlx-lm" else [0])


@pytest.mark.parametrize("name", having("min_p"))
def test_temperature_before_or_after_min_p(name: str) -> None:
    """One below the maximum is e^-1 = 0.37 as likely, e^-2 = 0.14 at T = 0.5; min_p 0.2 lies between."""
    assert kept(name, [1.0, 0.0], min_p=0.2, temperature=0.5) == ([0, 1] if name == "mlx-lm" else [0])


@pytest.mark.parametrize("name", having("min_p"))
def test_min_p_before_or_after_top_p(name: str) -> None:
    """Four tokens at 0, eight at -3: 4 + 0.4 in all. 0.75 of that is 3.3, so four; of the four alone, three."""
    count = len(kept(name, [0.0] * 4 + [-3.0] * 8, min_p=0.1, top_p=0.75))
    assert count == (3 if name == "exllamav3" else 4)


@pytest.mark.parametrize("name", ENGINES)
def test_top_k_before_or_after_top_p(name: str) -> None:
    """Masses 1 1 e^-1 e^-1: 0.49 of all is 1.34, two tokens, of the top two 0.98, one; mlx-lm cuts to k what top_p left."""
    assert len(kept(name, [0.0, 0.0, -1.0, -1.0], top_k=2, top_p=0.49)) == (2 if name == "mlx-lm" else 1)


@pytest.mark.parametrize("name", having("logit_bias", "repetition_penalty"))
def test_bias_before_or_after_repetition(name: str) -> None:
    """Logit 1, bias +2, repetition 2 on a sampled token: (1 + 2) / 2 or 1 / 2 + 2."""
    difference = gap(name, [1.0, 0.0], output=(0,), logit_bias={0: 2}, repetition_penalty=2.0)
    assert difference == pytest.approx(2.5 if name == "mistralrs" else 1.5, abs=1e-6)


@pytest.mark.parametrize("name", having("frequency_penalty", "repetition_penalty"))
def test_repetition_before_or_after_frequency_and_presence(name: str) -> None:
    """Logit 1, repetition 2, the other 0.5, sampled once: 1 / 2 - 0.5 or (1 - 0.5) / 2."""
    for other in ("frequency_penalty", "presence_penalty"):
        fields: dict[str, Any] = {"repetition_penalty": 2.0, other: 0.5}
        difference = gap(name, [1.0, 0.0], output=(0,), **fields)
        assert difference == pytest.approx(0.25 if name == "mistralrs" else 0.0, abs=1e-6)


# Boundaries

SEVEN = {"openvino-genai", "lmdeploy"}


@pytest.mark.parametrize("name", ENGINES)
def test_eight_equal_logits_and_three_quarters(name: str) -> None:
    """An exact hit stops, takes one token more, or keeps all that equal the last one."""
    count = len(kept(name, [1.0] * 8, top_p=0.75))
    assert count == (8 if name == "mlx-lm" else 7 if name in SEVEN else 6)


@pytest.mark.parametrize("name", ENGINES)
def test_ties_at_the_kth_logit(name: str) -> None:
    ties_stay = name in ("transformers-serve", "exllamav3")
    assert kept(name, [2.0, 1.0, 1.0, 1.0, 0.0], top_k=2) == ([0, 1, 2, 3] if ties_stay else [0, 1])


def test_mlx_lm_cuts_a_nucleus_by_value() -> None:
    """Token 2 has half of the mass and four others an eighth each: 0.6 wants one of these, and all stay."""
    assert kept("mlx-lm", [0.0, 0.0, math.log(4.0), -50.0, 0.0, 0.0], top_p=0.6) == [0, 1, 2, 4, 5]


def test_mistralrs_takes_the_low_ids() -> None:
    assert kept("mistralrs", [1.0] * 8, top_p=0.75) == [0, 1, 2, 3, 4, 5]
    assert kept("mistralrs", [0.0, 0.0, math.log(4.0), -50.0, 0.0, 0.0], top_p=0.6) == [0, 2]


@pytest.mark.parametrize("name", having("min_p"))
def test_a_token_exactly_at_min_p(name: str) -> None:
    """e^-0.5 is 0.60653066: to the precision of float32 the second is at 0.6065306."""
    assert kept(name, [0.0, -0.5], min_p=0.6065306) == ([0] if name == "mistralrs" else [0, 1])


@pytest.mark.parametrize("name", ENGINES)
def test_a_top_p_of_0_is_off_or_one_token(name: str) -> None:
    off = name in ("mlx-lm", "mistralrs")
    assert kept(name, [3.0, 1.0, 0.0], top_p=0.0) == ([0, 1, 2] if off else [0])


@pytest.mark.parametrize("name", having("min_p"))
def test_a_min_p_of_1_is_off_or_keeps_the_likeliest(name: str) -> None:
    assert kept(name, [0.0, 0.0, -0.5], min_p=1.0) == ([0, 1, 2] if name == "mistralrs" else [0, 1])


# What penalties count, and how


@pytest.mark.parametrize("name", having("presence_penalty"))
def test_presence_counts_the_prompt_or_not(name: str) -> None:
    """Token 0 in the prompt, token 1 sampled twice."""
    difference = gap(name, [4.0, 4.0], prompt=(0,), output=(1, 1), presence_penalty=1.0)
    assert difference == pytest.approx(0.0 if name in ("mlx-lm", "exllamav3") else 1.0, abs=1e-6)


@pytest.mark.parametrize("name", having("presence_penalty", "frequency_penalty"))
def test_frequency_counts_the_prompt_or_not(name: str) -> None:
    difference = gap(name, [4.0, 4.0], prompt=(0,), output=(1, 1), frequency_penalty=1.0)
    assert difference == pytest.approx(1.0 if name in ("mlx-lm", "exllamav3") else 2.0, abs=1e-6)


@pytest.mark.parametrize("name", having("repetition_penalty"))
def test_repetition_counts_the_prompt_or_not(name: str) -> None:
    """Token 0 is the second of the prompt."""
    seen = name != "lmdeploy"
    difference = gap(name, [2.0, 0.0, 0.0], prompt=(2, 0), repetition_penalty=2.0)
    assert difference == pytest.approx(1.0 if seen else 2.0, abs=1e-6)
    assert gap(name, [-2.0, 0.0], output=(0, 0), prompt=(1,), repetition_penalty=2.0) == pytest.approx(
        -4.0, abs=1e-6
    )


@pytest.mark.parametrize("name", having("repetition_penalty"))
def test_ctranslate2_does_not_count_the_first_token(name: str) -> None:
    """Token 0 is the first of the prompt; again in the prompt, it counts."""
    seen = name not in ("ctranslate2", "lmdeploy")
    first = gap(name, [2.0, 0.0, 0.0], prompt=(0,), output=(1,), repetition_penalty=2.0)
    assert first == pytest.approx(1.0 if seen else 2.0, abs=1e-6)
    again = gap(name, [2.0, 0.0, 0.0], prompt=(0, 0), output=(1,), repetition_penalty=2.0)
    assert again == pytest.approx(2.0 if name == "lmdeploy" else 1.0, abs=1e-6)


def test_ctranslate2_does_not_count_a_first_token_without_a_prompt() -> None:
    assert gap("ctranslate2", [2.0, 0.0], output=(0,), repetition_penalty=2.0) == pytest.approx(2.0, abs=1e-6)
    assert gap("ctranslate2", [2.0, 0.0], output=(0, 0), repetition_penalty=2.0) == pytest.approx(
        1.0, abs=1e-6
    )


@pytest.mark.parametrize(("since", "seen"), [(19, True), (20, False)])
def test_mlx_lm_looks_at_the_last_20_tokens(since: int, seen: bool) -> None:
    """Token 0 stands in the prompt, and `since` others come after it."""
    past: dict[str, Any] = {"prompt": (0, *[2] * 10), "output": (2,) * (since - 10)}
    repeated = gap("mlx-lm", [2.0, 0.0, 0.0], repetition_penalty=2.0, **past)
    present = gap("mlx-lm", [2.0, 0.0, 0.0], presence_penalty=0.5, **past)
    assert (repeated, present) == (
        pytest.approx(1.0 if seen else 2.0, abs=1e-6),
        pytest.approx(1.5 if seen else 2.0, abs=1e-6),
    )


def test_openvino_genai_follows_the_sign() -> None:
    """1.25 - 1 = 0.25, below it 0.25 - 0.5 = -0.25; but -1 + 1 = 0 and 0 - 0.5 = -0.5."""
    both: dict[str, Any] = {"presence_penalty": 1.0, "frequency_penalty": 0.5, "output": (0,)}
    assert gap("openvino-genai", [1.25, 0.0], **both) == pytest.approx(-0.25, abs=1e-6)
    assert gap("openvino-genai", [-1.0, 0.0], **both) == pytest.approx(-0.5, abs=1e-6)
    assert gap("openvino-genai", [-2.0, 0.0], **both) == pytest.approx(-0.5, abs=1e-6)


def test_transformers_serve_takes_a_frequency_penalty_for_a_repetition_penalty() -> None:
    """1 + 1 = 2 divides 2 and multiplies -2, once, the prompt's tokens, too; -0.5 halves and doubles."""
    name = "transformers-serve"
    assert gap(name, [2.0, 0.0], output=(0, 0, 0), frequency_penalty=1.0) == pytest.approx(1.0, abs=1e-6)
    assert gap(name, [-2.0, 0.0], prompt=(0,), frequency_penalty=1.0) == pytest.approx(-4.0, abs=1e-6)
    assert gap(name, [2.0, 0.0], output=(0,), frequency_penalty=-0.5) == pytest.approx(4.0, abs=1e-6)
    with pytest.raises(InvalidArgument, match=r"frequency_penalty: got -1\.0, must be a number from -0\.9"):
        sampled(name, [2.0, 0.0], frequency_penalty=-1.0)


# Greedy


@pytest.mark.parametrize("name", [name for name in ENGINES if DIALECTS[name].zero_temperature])
def test_temperature_0_takes_the_low_id_of_the_likeliest(name: str) -> None:
    assert sampled(name, [1.0, 3.0, 3.0], temperature=0)[0] == 1
    assert kept(name, [1.0, 3.0, 3.0], temperature=0) == [1]


@pytest.mark.parametrize("name", ["transformers-serve", "openvino-genai"])
def test_temperature_0_is_refused_and_greedy_is_do_sample(name: str) -> None:
    with pytest.raises(InvalidArgument, match=r"temperature: got 0\.0, must be above 0 in the dialect"):
        sampled(name, [0.0, 1.0], temperature=0)
    assert sampled(name, [1.0, 3.0, 3.0], temperature=dialect(name).greedy_below / 2)[0] == 1


def test_mistralrs_is_greedy_below_1e_7() -> None:
    """And tells log probabilities of temperature 1 then."""
    row = [1.0, 3.0, 3.0]
    for t in (0, 9e-8):
        token, logprobs = sampled("mistralrs", row, temperature=t)
        assert token == 1
        assert logprobs == pytest.approx(log_softmax(row), abs=1e-6)
        assert kept("mistralrs", row, temperature=t) == [1]
    assert gap("mistralrs", [3.0, 2.0], temperature=9e-8) == INF
    assert gap("mistralrs", [3.0, 2.0], temperature=1e-7) == pytest.approx(1e7, rel=1e-6)


@pytest.mark.parametrize("name", ENGINES)
def test_small_temperatures_stay_as_they_are(name: str) -> None:
    assert gap(name, [0.0, -0.01], temperature=0.001) == pytest.approx(10.0, abs=1e-5)


# Log probabilities

MODES_OF = {
    "transformers-serve": "processed",
    "mlx-lm": "penalised",
    "mistralrs": "temperature",
    "ctranslate2": "penalised",
    "onnxruntime-genai": "raw",
    "openvino-genai": "raw",
    "litgpt": "raw",
    "lmdeploy": "raw",
    "exllamav3": "raw",
}


@pytest.mark.parametrize("name", having("repetition_penalty"))
def test_which_distribution_log_probabilities_are_of(name: str) -> None:
    """Raw 2 1 0; repetition 2 on the sampled second: 2 0.5 0; and at T = 0.5: 4 1 0; truncated to one."""
    asked: dict[str, Any] = {"prompt": (2,), "output": (1,), "repetition_penalty": 2.0, "temperature": 0.5}
    row = [2.0, 1.0, 0.0]
    by_mode = {
        "raw": log_softmax(row),
        "penalised": log_softmax([2.0, 0.5, 0.0]),
        "temperature": log_softmax([4.0, 1.0, 0.0]),
        "processed": {0: 0.0, 1: -INF, 2: -INF},
    }
    assert sampled(name, row, top_k=1, **asked)[1] == pytest.approx(by_mode[MODES_OF[name]], abs=1e-6)


def test_their_modes() -> None:
    assert {name: dialect(name).logprob_mode for name in ENGINES} == MODES_OF


# What is refused

LACKING = {
    "transformers-serve": {"repetition_penalty", "presence_penalty", "min_p"},
    "ctranslate2": {"logit_bias", "frequency_penalty", "presence_penalty", "min_p"},
    "onnxruntime-genai": {"logit_bias", "frequency_penalty", "presence_penalty", "min_p"},
    "openvino-genai": {"logit_bias"},
    "litgpt": {"logit_bias", "repetition_penalty", "frequency_penalty", "presence_penalty", "min_p"},
    "lmdeploy": {"logit_bias", "frequency_penalty", "presence_penalty"},
}
SOME = {
    "logit_bias": {0: 1.0},
    "repetition_penalty": 1.1,
    "frequency_penalty": 0.5,
    "presence_penalty": 0.5,
    "top_k": 1,
    "min_p": 0.1,
}


@pytest.mark.parametrize(("name", "field"), [(name, field) for name in ENGINES for field in SOME])
def test_what_an_engine_lacks_is_refused(name: str, field: str) -> None:
    if field in LACKING.get(name, set()):
        with pytest.raises(InvalidArgument, match=f"the dialect '{name}' has no {field}"):
            sampled(name, [0.0, 1.0], **{field: SOME[field]})
    else:
        sampled(name, [0.0, 1.0], **{field: SOME[field]})
