"""SamplingParams: the defaults, every field's range, and the words of its errors."""

from __future__ import annotations

import copy
import dataclasses
import math
import pickle
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from sampling import SamplingParams
from sampling.core.errors import InvalidRequest, SamplingError

NAN, INF = math.nan, math.inf


def message(**fields: Any) -> str:
    with pytest.raises(InvalidRequest) as caught:
        SamplingParams(**fields)
    assert isinstance(caught.value, ValueError | SamplingError)
    return str(caught.value)


def test_defaults_are_the_page_s() -> None:
    p = SamplingParams()
    assert (p.temperature, p.top_p, p.frequency_penalty, p.presence_penalty) == (1.0, 1.0, 0.0, 0.0)
    assert (p.seed, p.logprobs, p.top_logprobs, dict(p.logit_bias)) == (None, False, 0, {})
    assert (p.repetition_penalty, p.top_k, p.min_p) == (1.0, 0, 0.0)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"temperature": 2.1}, "temperature: got 2.1, must be a number from 0 to 2"),
        ({"temperature": NAN}, "temperature: got nan, must be a number from 0 to 2"),
        ({"temperature": INF}, "temperature: got inf, must be a number from 0 to 2"),
        ({"temperature": -0.1}, "temperature: got -0.1, must be a number from 0 to 2"),
        ({"temperature": True}, "temperature: got True, must be a number from 0 to 2"),
        ({"temperature": "1"}, "temperature: got '1', must be a number from 0 to 2"),
        ({"temperature": None}, "temperature: got None, must be a number from 0 to 2"),
        ({"temperature": 1j}, "temperature: got 1j, must be a number from 0 to 2"),
        ({"top_p": -0.1}, "top_p: got -0.1, must be a number from 0 to 1"),
        ({"top_p": 1.0000001}, "top_p: got 1.0000001, must be a number from 0 to 1"),
        ({"frequency_penalty": 2.01}, "frequency_penalty: got 2.01, must be a number from -2 to 2"),
        ({"presence_penalty": -2.01}, "presence_penalty: got -2.01, must be a number from -2 to 2"),
        ({"presence_penalty": False}, "presence_penalty: got False, must be a number from -2 to 2"),
        ({"top_logprobs": 21, "logprobs": True}, "top_logprobs: got 21, must be an integer from 0 to 20"),
        ({"top_logprobs": -1, "logprobs": True}, "top_logprobs: got -1, must be an integer from 0 to 20"),
        ({"top_logprobs": 2.5, "logprobs": True}, "top_logprobs: got 2.5, must be an integer from 0 to 20"),
        ({"top_logprobs": True, "logprobs": True}, "top_logprobs: got True, must be an integer from 0 to 20"),
        ({"top_logprobs": 5}, "top_logprobs: got 5, must be left out (or 0) unless logprobs is true"),
        ({"logprobs": 1}, "logprobs: got 1, must be true or false"),
        ({"logprobs": None}, "logprobs: got None, must be true or false"),
        ({"seed": 2**64}, f"seed: got {2**64}, must be an integer from {-(2**63)} to {2**64 - 1}"),
        (
            {"seed": -(2**63) - 1},
            f"seed: got {-(2**63) - 1}, must be an integer from {-(2**63)} to {2**64 - 1}",
        ),
        ({"seed": 1.5}, f"seed: got 1.5, must be an integer from {-(2**63)} to {2**64 - 1}"),
        ({"seed": True}, f"seed: got True, must be an integer from {-(2**63)} to {2**64 - 1}"),
        ({"seed": "7"}, f"seed: got '7', must be an integer from {-(2**63)} to {2**64 - 1}"),
        ({"logit_bias": {5: 101}}, "logit_bias[5]: got 101, must be a number from -100 to 100"),
        ({"logit_bias": {"5": -100.5}}, "logit_bias[5]: got -100.5, must be a number from -100 to 100"),
        ({"logit_bias": {5: NAN}}, "logit_bias[5]: got nan, must be a number from -100 to 100"),
        ({"logit_bias": {5: -INF}}, "logit_bias[5]: got -inf, must be a number from -100 to 100"),
        ({"logit_bias": {5: True}}, "logit_bias[5]: got True, must be a number from -100 to 100"),
        ({"logit_bias": {-1: 1}}, "logit_bias: got -1, must be keyed by token ids, integers of at least 0"),
        ({"logit_bias": {"x": 1}}, "logit_bias: got 'x', must be keyed by token ids, integers of at least 0"),
        ({"logit_bias": {"": 1}}, "logit_bias: got '', must be keyed by token ids, integers of at least 0"),
        (
            {"logit_bias": {"-1": 1}},
            "logit_bias: got '-1', must be keyed by token ids, integers of at least 0",
        ),
        (
            {"logit_bias": {"1.0": 1}},
            "logit_bias: got '1.0', must be keyed by token ids, integers of at least 0",
        ),
        (
            {"logit_bias": {"\u0663": 1}},
            "logit_bias: got '\u0663', must be keyed by token ids, integers of at least 0",
        ),
        ({"logit_bias": {1.0: 1}}, "logit_bias: got 1.0, must be keyed by token ids, integers of at least 0"),
        (
            {"logit_bias": {True: 1}},
            "logit_bias: got True, must be keyed by token ids, integers of at least 0",
        ),
        ({"logit_bias": {7: 1, "7": 2}}, "logit_bias: got '7', must be given once: token id 7 appears twice"),
        (
            {"logit_bias": {"1" * 21: 1}},
            f"logit_bias: got {'1' * 21!r}, must be keyed by token ids, integers of at most 20 digits",
        ),
        ({"logit_bias": [1]}, "logit_bias: got [1], must be an object of token ids and biases"),
        ({"logit_bias": None}, "logit_bias: got None, must be an object of token ids and biases"),
        (
            {"repetition_penalty": 0},
            "repetition_penalty: got 0, must be a number from 1e-06 to 1e+06",
        ),
        (
            {"repetition_penalty": -1.0},
            "repetition_penalty: got -1.0, must be a number from 1e-06 to 1e+06",
        ),
        (
            {"repetition_penalty": NAN},
            "repetition_penalty: got nan, must be a number from 1e-06 to 1e+06",
        ),
        (
            {"repetition_penalty": INF},
            "repetition_penalty: got inf, must be a number from 1e-06 to 1e+06",
        ),
        ({"top_k": -1}, "top_k: got -1, must be an integer from 0 to 2147483648"),
        ({"top_k": 1.5}, "top_k: got 1.5, must be an integer from 0 to 2147483648"),
        ({"top_k": 2**31 + 1}, "top_k: got 2147483649, must be an integer from 0 to 2147483648"),
        (
            {"repetition_penalty": 1000001},
            "repetition_penalty: got 1000001, must be a number from 1e-06 to 1e+06",
        ),
        ({"min_p": 1.1}, "min_p: got 1.1, must be a number from 0 to 1"),
        ({"min_p": NAN}, "min_p: got nan, must be a number from 0 to 1"),
    ],
)
def test_bad_values(fields: dict[str, Any], words: str) -> None:
    assert message(**fields) == words


def test_the_error_carries_its_parts() -> None:
    with pytest.raises(InvalidRequest) as caught:
        SamplingParams(temperature=2.1)
    error = caught.value
    assert (error.param, error.value, error.allowed) == ("temperature", 2.1, "a number from 0 to 2")


def test_long_values_are_cut_in_messages() -> None:
    assert len(message(logit_bias=list(range(1000)))) < 200


@pytest.mark.parametrize(
    "fields",
    [
        {"temperature": 0},
        {"temperature": 2},
        {"temperature": 5e-324},
        {"temperature": np.float64(0.5)},
        {"temperature": np.float32(0.5)},
        {"temperature": Fraction(1, 2)},
        {"top_p": 0},
        {"top_p": 1},
        {"frequency_penalty": -2},
        {"frequency_penalty": 2},
        {"presence_penalty": -2.0},
        {"seed": -(2**63)},
        {"seed": 2**64 - 1},
        {"seed": np.int64(3)},
        {"logprobs": True, "top_logprobs": 20},
        {"logprobs": True, "top_logprobs": 0},
        {"logit_bias": {0: 100, "1": -100}},
        {"repetition_penalty": 0.5},
        {"top_k": 10**6},
        {"min_p": 1},
    ],
)
def test_ends_of_the_ranges_are_allowed(fields: dict[str, Any]) -> None:
    params = SamplingParams(**fields)
    for name in set(fields) - {"logit_bias"}:
        assert getattr(params, name) == fields[name]


def test_bias_keys_become_integers_and_the_callers_table_is_not_kept() -> None:
    table: dict[Any, float] = {"12": 1, 3: -2}
    params = SamplingParams(logit_bias=table)
    table["99"] = 5
    assert dict(params.logit_bias) == {12: 1.0, 3: -2.0}
    with pytest.raises(TypeError):
        params.logit_bias[3] = 0.0  # pyright: ignore[reportIndexIssue]


def test_frozen_and_keyword_only() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        SamplingParams().temperature = 0.5  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.raises(TypeError):
        SamplingParams(0.5)  # pyright: ignore[reportCallIssue]
    with pytest.raises(TypeError, match="best_of"):
        SamplingParams(best_of=3)  # pyright: ignore[reportCallIssue]


def test_replacing_a_field_checks_it_again() -> None:
    params = dataclasses.replace(SamplingParams(logit_bias={1: 2}), temperature=0.5)
    assert (params.temperature, dict(params.logit_bias)) == (0.5, {1: 2.0})
    with pytest.raises(InvalidRequest, match="top_p"):
        dataclasses.replace(params, top_p=2.0)


def test_a_float32_means_the_decimal_that_it_prints_as() -> None:
    assert SamplingParams(top_p=np.float32(0.9)).top_p == 0.9
    assert SamplingParams(temperature=np.float32(0.1)).temperature == 0.1


def test_params_compare_hash_copy_and_pickle() -> None:
    params = SamplingParams(temperature=0.5, logit_bias={"3": 1, 4: -2}, seed=1)
    same = SamplingParams(temperature=0.5, logit_bias={4: -2.0, 3: 1.0}, seed=1)
    assert params == same != SamplingParams(temperature=0.5, logit_bias={3: 1}, seed=1)
    assert len({params, same}) == 1
    assert copy.deepcopy(params) == pickle.loads(pickle.dumps(params)) == params


def test_an_error_comes_back_from_another_process() -> None:
    for value in (5.0, [1], lambda: 0):
        error = InvalidRequest("temperature", value, "a number from 0 to 2")
        back = pickle.loads(pickle.dumps(error))
        assert type(back) is InvalidRequest
        assert str(back) == str(error)
        assert (back.param, back.allowed) == (error.param, error.allowed)
    assert pickle.loads(pickle.dumps(InvalidRequest("n", 5.0, "less"))).value == 5.0


def test_ids_of_one_hash_are_refused_before_they_are_compared():
    """Python's hash of an integer is its remainder by 2^61 - 1: so many equal ones take minutes in a table."""
    equal = {str(index * (2**61 - 1)): 0 for index in range(1, 60_000)}
    assert len({hash(int(key)) for key in equal}) == 1
    with pytest.raises(InvalidRequest, match="integers of at most 20 digits"):
        SamplingParams(logit_bias=equal)
    assert SamplingParams(logit_bias={str(2**64 - 1): 1}).logit_bias == {2**64 - 1: 1}
