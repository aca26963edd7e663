"""Every claim that a dialect makes (engines.md), each by a vector computed by hand; ties are equal logits."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from one_step import gap, kept, log_softmax, sampled

from sampling import Sampler, SamplingParams, dialect
from sampling.core.errors import InvalidArgument
from sampling.dialects import DIALECTS

INF = math.inf
ALL = ["qstash", "openai", "vllm-0.4", "vllm", "vllm-v1", "transformers", "sglang", "llama.cpp"]
HAVE_REPETITION = [name for name in ALL if name != "openai"]
HAVE_FREQUENCY = [name for name in ALL if name != "transformers"]
PROCESSED, TEMPERATURE, PENALISED, RAW = "processed", "temperature", "penalised", "raw"


def test_names() -> None:
    assert set(ALL) <= set(DIALECTS)
    assert all(dialect(name).name == name for name in ALL)
    assert dialect("vllm-pytorch") is dialect("vllm-v1")  # what it was called
    with pytest.raises(InvalidArgument, match=r"dialect: got 'gpt', must be one of qstash.*llama\.cpp"):
        dialect("gpt")


# Order


@pytest.mark.parametrize("name", HAVE_REPETITION)
def test_bias_before_or_after_repetition(name: str) -> None:
    """Logit 1, bias +2, repetition 2 on a sampled token: (1 + 2) / 2 or 1 / 2 + 2."""
    difference = gap(name, [1.0, 0.0], output=(0,), logit_bias={0: 2}, repetition_penalty=2.0)
    assert difference == pytest.approx(2.5 if name == "sglang" else 1.5, abs=1e-6)


@pytest.mark.parametrize("name", [name for name in HAVE_REPETITION if name in HAVE_FREQUENCY])
def test_repetition_before_or_after_frequency(name: str) -> None:
    """Logit 1, repetition 2, frequency 0.5, sampled once: 1 / 2 - 0.5 or (1 - 0.5) / 2."""
    difference = gap(name, [1.0, 0.0], output=(0,), repetition_penalty=2.0, frequency_penalty=0.5)
    assert difference == pytest.approx(0.25 if name == "sglang" else 0.0, abs=1e-6)


@pytest.mark.parametrize("name", ALL)
def test_bias_is_divided_by_the_temperature(name: str) -> None:
    assert gap(name, [0.0, 0.0], logit_bias={0: 3}, temperature=2.0) == pytest.approx(1.5, abs=1e-6)


@pytest.mark.parametrize("name", HAVE_FREQUENCY)
def test_penalties_are_divided_by_the_temperature(name: str) -> None:
    difference = gap(
        name, [0.0, 0.0], output=(1,), frequency_penalty=1.0, presence_penalty=0.5, temperature=0.5
    )
    assert difference == pytest.approx(3.0, abs=1e-6)


@pytest.mark.parametrize("name", ALL)
def test_temperature_before_or_after_top_p(name: str) -> None:
    """Logits 3 2 1 and p = 0.8: at T = 0.5 the first holds 0.867; at T = 1 it holds 0.665."""
    count = len(kept(name, [3.0, 2.0, 1.0], top_p=0.8, temperature=0.5))
    assert count == (2 if name == "llama.cpp" else 1)


@pytest.mark.parametrize("name", HAVE_REPETITION)
def test_temperature_before_or_after_min_p(name: str) -> None:
    """One below the maximum is e^-1 = 0.37 as likely, e^-2 = 0.14 at T = 0.5; min_p 0.2 lies between."""
    count = len(kept(name, [1.0, 0.0], min_p=0.2, temperature=0.5))
    assert count == (2 if name == "llama.cpp" else 1)


@pytest.mark.parametrize("name", HAVE_REPETITION)
def test_min_p_before_or_after_top_p(name: str) -> None:
    """Four tokens at 0, eight at -3: 4 + 0.4 in all. 0.75 of that is 3.3, so four; of the four alone, three."""
    count = len(kept(name, [0.0] * 4 + [-3.0] * 8, min_p=0.1, top_p=0.75))
    assert count == (3 if name in ("vllm", "vllm-v1") else 4)


@pytest.mark.parametrize("name", HAVE_REPETITION)
def test_top_k_then_top_p_or_both_at_once(name: str) -> None:
    """Masses 1 1 e^-1 e^-1: half of all is 1.37, two tokens; half of the top two is one token."""
    count = len(kept(name, [0.0, 0.0, -1.0, -1.0], top_k=2, top_p=0.5 if name != "sglang" else 0.49))
    assert count == (2 if name == "sglang" else 1)


# What penalties count

OUTPUT_ONLY = ("qstash", "sglang")


@pytest.mark.parametrize("name", HAVE_FREQUENCY)
def test_frequency_and_presence_count_the_output(name: str) -> None:
    """Token 0 in the prompt, token 1 sampled twice; llama.cpp's window holds both."""
    prompt_too = name == "llama.cpp"
    difference = gap(name, [0.0, 0.0], prompt=(0,), output=(1, 1), frequency_penalty=1.0)
    assert difference == pytest.approx(1.0 if prompt_too else 2.0, abs=1e-6)
    difference = gap(name, [0.0, 0.0], prompt=(0,), output=(1, 1), presence_penalty=1.0)
    assert difference == pytest.approx(0.0 if prompt_too else 1.0, abs=1e-6)


@pytest.mark.parametrize("name", HAVE_REPETITION)
def test_repetition_counts_the_prompt_too_but_on_the_page_and_in_sglang(name: str) -> None:
    assert gap(name, [2.0, 0.0], prompt=(0,), repetition_penalty=2.0) == pytest.approx(
        2.0 if name in OUTPUT_ONLY else 1.0, abs=1e-6
    )
    assert gap(name, [2.0, 0.0], output=(0,), repetition_penalty=2.0) == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize("name", HAVE_REPETITION)
@pytest.mark.parametrize(("since", "still_seen"), [(63, True), (64, False)])
def test_llama_cpp_looks_at_the_last_64_tokens(name: str, since: int, still_seen: bool) -> None:
    """Token 0 stands first in the prompt, and `since` others come after it."""
    others = [2] * since
    seen = still_seen if name == "llama.cpp" else name not in OUTPUT_ONLY
    difference = gap(
        name, [2.0, 0.0, 0.0], prompt=(0, *others[:40]), output=tuple(others[40:]), repetition_penalty=2.0
    )
    assert difference == pytest.approx(1.0 if seen else 2.0, abs=1e-6)


def test_llama_cpp_counts_inside_its_window_only() -> None:
    """Of 70 occurrences, 64 are in the window, 2 of another token behind them."""
    difference = gap("llama.cpp", [0.0, 0.0], prompt=(0,) * 68, output=(1, 1), frequency_penalty=0.25)
    assert difference == pytest.approx(-0.25 * 62 + 0.25 * 2, abs=1e-5)


# Boundaries


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("qstash", [0, 1, 2, 3, 4, 5]),
        ("openai", [0, 1, 2, 3, 4, 5]),
        ("vllm-0.4", [0, 1, 2, 3, 4, 5]),
        ("vllm", [0, 1, 2, 3, 4, 5]),
        ("vllm-v1", [0, 1, 2, 3, 4, 5]),
        ("transformers", [0, 1, 2, 3, 4, 5]),
        ("sglang", [0, 1, 2, 3, 4, 5, 6]),
        ("llama.cpp", [0, 1, 2, 3, 4, 5]),
    ],
)
def test_eight_equal_logits_and_three_quarters(name: str, expected: list[int]) -> None:
    assert kept(name, [1.0] * 8, top_p=0.75) == expected


@pytest.mark.parametrize("name", HAVE_REPETITION)
def test_ties_at_the_kth_logit(name: str) -> None:
    ties_stay = name in ("vllm-0.4", "vllm-v1", "transformers")
    assert kept(name, [2.0, 1.0, 1.0, 1.0, 0.0], top_k=2) == ([0, 1, 2, 3] if ties_stay else [0, 1])


@pytest.mark.parametrize(
    ("rule", "expected"), [("low", [2, 0]), ("high", [2, 5]), ("all", [2, 0, 1, 4, 5]), ("arbitrary", [2, 0])]
)
def test_logits_that_equal_the_last_of_a_nucleus_or_the_kth(rule: str, expected: list[int]) -> None:
    """Token 2 has half of the mass and four others an eighth each: 0.6 wants one of these; and so do two of five.

    Where an engine's order is not defined the low ids are taken.
    """
    row, wanted = [0.0, 0.0, math.log(4.0), -50.0, 0.0, 0.0], sorted(expected)
    assert kept(replace(dialect("qstash"), top_p_ties=rule), row, top_p=0.6) == wanted
    assert kept(replace(dialect("qstash"), top_k_ties=rule), row, top_k=2) == wanted
    assert [kept(replace(dialect("qstash"), top_p_ties=rule), row * 100, top_p=0.006)] == [
        kept(replace(dialect("qstash"), top_k_ties=rule), row * 100, top_k=2)
    ]


def test_equal_logits_that_all_stay_are_many() -> None:
    """More than a row's leading tokens, and of the whole row half: the nucleus of a tenth keeps all that are equal."""
    row = [0.0] * 3000 + [-50.0] * 3000
    params = SamplingParams(top_p=0.1, seed=1)
    out = Sampler(
        [params],
        vocab_size=6000,
        dialect=replace(dialect("qstash"), top_p_ties="all"),
        logprob_modes=["processed"],
    )
    tokens = [int(out.step(torch.tensor([row])).token_ids) for _ in range(40)]
    assert max(tokens) > 600
    assert max(tokens) < 3000


def test_the_likeliest_stay_where_min_p_is_strict() -> None:
    """At 1 nothing is more than once as likely as they; 0 is off, also for what weighs nothing."""
    strict = replace(dialect("qstash"), min_p_strict=True)
    assert kept(strict, [0.0, 0.0, -0.5], min_p=1.0) == [0, 1]
    assert kept(strict, [0.0, -0.5, -32.0], min_p=0.0) == [0, 1, 2]
    assert kept(strict, [0.0, -0.5, -2.0], min_p=0.5) == [0, 1]


def test_penalties_that_follow_the_sign() -> None:
    """openvino-genai: subtracted from 0 and more, added below; presence first, so that frequency sees what it left."""
    order = ("presence_penalty", "frequency_penalty")
    how = replace(dialect("qstash"), order=order, penalties_follow_sign=True)
    once = {"presence_penalty": 1.0}
    assert gap(how, [2.0, 0.0], output=(0,), **once) == pytest.approx(1.0, abs=1e-6)
    assert gap(how, [-2.0, 0.0], output=(0,), **once) == pytest.approx(-1.0, abs=1e-6)
    assert gap(how, [0.0, 0.0], output=(0,), **once) == pytest.approx(-1.0, abs=1e-6)
    both = {"presence_penalty": 1.0, "frequency_penalty": 0.25}
    assert gap(how, [0.5, 0.0], output=(0, 0), **both) == pytest.approx(0.0, abs=1e-6)  # 0.5 - 1 + 2 x 0.25
    assert gap(replace(how, penalties_follow_sign=False), [0.5, 0.0], output=(0, 0), **both) == pytest.approx(
        -1.0, abs=1e-6
    )


# Greedy


@pytest.mark.parametrize("name", [name for name in ALL if name != "transformers"])
def test_temperature_zero_takes_the_arg_max_lowest_id_first(name: str) -> None:
    for seed_row in ([1.0, 3.0, 3.0], [1.0, 3.0, 3.0, 3.0, -5.0]):
        assert sampled(name, seed_row, temperature=0)[0] == 1


@pytest.mark.parametrize("name", HAVE_FREQUENCY)
def test_temperature_zero_takes_the_arg_max_of_biased_and_penalised_logits(name: str) -> None:
    fields = {"output": (2, 2), "frequency_penalty": 1.0, "logit_bias": {0: 1.5}, "temperature": 0}
    assert sampled(name, [0.0, 1.0, 2.5], **fields)[0] == 0


@pytest.mark.parametrize("name", ["qstash", "openai", "vllm", "vllm-v1", "llama.cpp"])
def test_temperature_zero_leaves_one_token(name: str) -> None:
    assert kept(name, [1.0, 3.0, 3.0], temperature=0) == [1]


@pytest.mark.parametrize("t", [0, 9e-6])
def test_vllm_0_4_greedy_runs_at_temperature_one_without_filters(t: float) -> None:
    row = [1.0, 3.0, 2.0]
    token, logprobs = sampled("vllm-0.4", row, temperature=t, top_p=0.1, top_k=1, min_p=0.9)
    assert token == 1
    assert logprobs == pytest.approx(log_softmax(row), abs=1e-6)


def test_vllm_0_4_greedy_keeps_bias_and_penalties() -> None:
    token, logprobs = sampled(
        "vllm-0.4", [1.0, 3.0], temperature=0, output=(1,), presence_penalty=2.0, logit_bias={0: 1}
    )
    assert token == 0
    assert logprobs == pytest.approx(log_softmax([2.0, 1.0]), abs=1e-6)


def test_vllm_0_4_is_not_greedy_from_1e_5_on() -> None:
    assert gap("vllm-0.4", [3.0, 2.0], temperature=9.9e-6) == pytest.approx(1.0, abs=1e-6)
    assert gap("vllm-0.4", [3.0, 2.0], temperature=1e-5) == pytest.approx(1e5, rel=1e-6)


@pytest.mark.parametrize("name", ["vllm", "vllm-v1"])
def test_vllm_raises_small_temperatures_to_a_hundredth(name: str) -> None:
    assert gap(name, [0.0, -0.01], temperature=0.001) == pytest.approx(1.0, abs=1e-6)
    assert gap(name, [0.0, -0.01], temperature=0.02) == pytest.approx(0.5, abs=1e-6)


@pytest.mark.parametrize("name", ["qstash", "openai", "transformers", "llama.cpp", "sglang", "vllm-0.4"])
def test_the_others_do_not(name: str) -> None:
    assert gap(name, [0.0, -0.01], temperature=0.001) == pytest.approx(10.0, abs=1e-5)


def test_transformers_refuses_temperature_zero() -> None:
    with pytest.raises(
        InvalidArgument, match=r"temperature: got 0\.0, must be above 0 in the dialect 'transformers'"
    ):
        sampled("transformers", [0.0, 1.0], temperature=0)


@pytest.mark.parametrize("t", [0, 9e-7])
def test_sglang_greedy_is_top_k_1_at_temperature_one(t: float) -> None:
    row = [1.0, 3.0, 3.0]
    token, logprobs = sampled("sglang", row, temperature=t)
    assert token == 1
    assert logprobs == pytest.approx(log_softmax(row), abs=1e-6)
    assert kept("sglang", row, temperature=t) == [1]


def test_sglang_is_not_greedy_from_1e_6_on() -> None:
    assert gap("sglang", [3.0, 2.0], temperature=9.9e-7) == INF
    assert gap("sglang", [3.0, 2.0], temperature=1e-6) == pytest.approx(1e6, rel=1e-6)


def test_greedy_rows_and_others_in_one_batch() -> None:
    for name in ("vllm-0.4", "sglang", "qstash"):
        params = [
            SamplingParams(temperature=0),
            SamplingParams(seed=3, top_p=0.75),
            SamplingParams(temperature=0),
        ]
        sampler = Sampler(params, vocab_size=8, dialect=name, logprob_modes=[PROCESSED])
        logits = torch.tensor([[0.0] * 7 + [1.0], [0.0] * 8, [1.0, 1.0] + [0.0] * 6])
        tokens = sampler.step(logits).token_ids.tolist()
        single = Sampler([params[1]], vocab_size=8, dialect=name).step(logits[1:2])
        assert tokens == [7, single.token_ids.item(), 0]


# Log probabilities

OWN_MODE = {
    "qstash": RAW,
    "openai": RAW,
    "vllm-0.4": PROCESSED,
    "vllm": RAW,
    "vllm-v1": RAW,
    "transformers": PROCESSED,
    "sglang": TEMPERATURE,
    "llama.cpp": RAW,
}


@pytest.mark.parametrize("name", ALL)
def test_which_distribution_log_probabilities_are_of(name: str) -> None:
    """Raw 1 0 0; biased 1 0 -1; and at T = 0.5: 2 0 -2; truncated by p = 0.1: the first alone."""
    fields = {"temperature": 0.5, "top_p": 0.1, "logit_bias": {2: -1}}
    by_mode = {
        RAW: log_softmax([1.0, 0.0, 0.0]),
        PENALISED: log_softmax([1.0, 0.0, -1.0]),
        TEMPERATURE: log_softmax([2.0, 0.0, -2.0]),
        PROCESSED: {0: 0.0, 1: -INF, 2: -INF},
    }
    for mode, expected in by_mode.items():
        assert sampled(name, [1.0, 0.0, 0.0], mode, **fields)[1] == pytest.approx(expected, abs=1e-6)
    assert sampled(name, [1.0, 0.0, 0.0], **fields)[1] == pytest.approx(by_mode[OWN_MODE[name]], abs=1e-6)


def test_the_pages_own_rules() -> None:
    assert {name: dialect(name).max_reported_rank for name in ALL} == {
        **dict.fromkeys(ALL),
        "qstash": 20,
        "openai": 20,
    }
    assert [name for name in ALL if dialect(name).double_bos] == ["vllm-0.4"]
    assert [name for name in ALL if not dialect(name).parse_control_tokens] == ["qstash", "openai"]


# Refusals


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("openai", {"repetition_penalty": 1.1}),
        ("openai", {"top_k": 5}),
        ("openai", {"min_p": 0.1}),
        ("transformers", {"frequency_penalty": 0.5}),
        ("transformers", {"presence_penalty": -0.5}),
    ],
)
def test_stages_that_a_dialect_does_not_have_are_refused(name: str, fields: dict[str, float]) -> None:
    (field,) = fields
    with pytest.raises(InvalidArgument, match=rf"{field}: got {fields[field]}.*'{name}' has no {field}"):
        sampled(name, [0.0, 1.0], **fields)


@pytest.mark.parametrize("name", ALL)
def test_neutral_values_are_never_refused(name: str) -> None:
    neutral = {
        "repetition_penalty": 1.0,
        "top_k": 0,
        "min_p": 0.0,
        "frequency_penalty": 0,
        "presence_penalty": 0.0,
    }
    assert kept(name, [0.0, 1.0], **neutral) == [0, 1]


# A dialect of one's own


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"order": ("temperature", "typical")}, "order: got 'typical', must be one of"),
        ({"order": (("temperature", "top_p"),)}, "order: got 'temperature', must be one of top_k"),
        ({"logprob_mode": "cooked"}, "logprob_mode: got 'cooked', must be one of raw"),
        ({"seen": "dreamt"}, "seen: got 'dreamt', must be one of run, functions run, read, published"),
        ({"frequency_form": "added"}, "frequency_form: got 'added', must be one of subtracted, repetition"),
        ({"top_p_ties": "first"}, "top_p_ties: got 'first', must be one of low, high, all, arbitrary"),
        ({"top_k_ties": "first"}, "top_k_ties: got 'first', must be one of low, high, all, arbitrary"),
    ],
)
def test_a_dialect_is_checked_when_it_is_made(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidArgument, match=words):
        replace(dialect("qstash"), **changes)
