"""What values each dialect takes: at least the page's, and more where its engine takes more."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from scripted import saying

from sampling import Sampler, SamplingParams, dialect
from sampling.chat.request import ChatRequest
from sampling.core.errors import InvalidRequest
from sampling.dialects import DIALECTS

ASK: list[dict[str, Any]] = [{"role": "user", "content": "?"}]
LOGPROBS = {"logprobs": True}

# By hand. vLLM 0.32, sampling_params.py (temperature 2, penalties 2), generate/base/protocol.py and envs.py (4 stop strings),
# config/model.py (20 log probabilities), no check of a bias. vLLM 0.4.3, sampling_params.py (temperature and stop without an
# end, penalties 2), openai/protocol.py (20; biases clamped at 100). SGLang 0.5.23, sampling/sampling_params.py (temperature
# finite, penalties 2, 32 stop strings). llama.cpp, tools/server/server-schema.cpp (temperature and penalties without an end).
# transformers 5.23, generation/logits_process.py (temperature above 0), cli/serving/chat_completion.py (stop, logit_bias).
# mlx-lm 0.32, server.py (temperature and penalties without an end); the engines that are libraries check next to nothing.
LIBRARIES = {"ctranslate2", "onnxruntime-genai", "openvino-genai", "litgpt"}
NEW = {"mlx-lm", "mistralrs", "exllamav3"}
HOT = {"vllm-0.4", "transformers", "transformers-serve", "sglang", "llama.cpp", *LIBRARIES, *NEW}
BIASED = {"vllm", "vllm-v1", "transformers", "transformers-serve", "sglang", "llama.cpp", *NEW}
PENAL = {"llama.cpp", "mlx-lm", "exllamav3"}
LISTING = {"sglang", "llama.cpp"}
MANY = {"vllm-0.4", "transformers", "transformers-serve", "llama.cpp", "lmdeploy", *LIBRARIES, *NEW}
STOPS = {"sglang": 32, **dict.fromkeys(MANY, 128)}


def read(how: str, **fields: object) -> ChatRequest:
    return ChatRequest.parse({"messages": ASK, **fields}, how)


def refused(how: str, **fields: object) -> str:
    with pytest.raises(InvalidRequest) as caught:
        read(how, **fields)
    return str(caught.value)


WIDER: list[tuple[dict[str, Any], set[str], str]] = [
    ({"temperature": 2.0001}, HOT, "temperature: got 2.0001, must be a number from 0 to 2"),
    ({"temperature": 100}, HOT, "temperature: got 100, must be a number from 0 to 2"),
    ({"frequency_penalty": 2.5}, PENAL, "frequency_penalty: got 2.5, must be"),
    ({"frequency_penalty": -3}, PENAL, "frequency_penalty: got -3, must be"),
    ({"presence_penalty": 1000}, PENAL, "presence_penalty: got 1000, must be"),
    ({"logit_bias": {"0": 101}}, BIASED, "logit_bias[0]: got 101, must be a number from -100 to 100"),
    ({"logit_bias": {"0": -1e5}}, BIASED, "logit_bias[0]: got -100000.0, must be a number from -100 to 100"),
    ({**LOGPROBS, "top_logprobs": 21}, LISTING, "top_logprobs: got 21, must be an integer from 0 to 20"),
]


@pytest.mark.parametrize("how", DIALECTS)
@pytest.mark.parametrize(("fields", "takers", "words"), WIDER, ids=[str(i) for i in range(len(WIDER))])
def test_more_than_the_page_is_taken_where_the_engine_takes_it(
    how: str, fields: dict[str, Any], takers: set[str], words: str
):
    if how in takers:
        name, value = [*fields.items()][-1]
        given = getattr(read(how, **fields).params, name)
        assert given == ({0: value["0"]} if name == "logit_bias" else value)
    else:
        said = refused(how, **fields)
        assert said.startswith(words)
        assert f"--dialect {next(name for name in DIALECTS if name in takers)} (" in said


@pytest.mark.parametrize("how", DIALECTS)
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("temperature", -0.1),
        ("temperature", math.inf),
        ("temperature", math.nan),
        ("temperature", 1e300),
        ("frequency_penalty", math.inf),
        ("presence_penalty", 1e7),
        ("logit_bias", {"0": math.inf}),
        ("logit_bias", {"0": -1e7}),
    ],
)
def test_what_no_arithmetic_can_hold_is_taken_nowhere(how: str, name: str, value: object):
    assert refused(how, **{name: value}).startswith(name)


@pytest.mark.parametrize("how", DIALECTS)
def test_as_many_stop_strings_as_the_engine_takes(how: str):
    most = STOPS.get(how, 4)
    strings = [f"{number}." for number in range(most + 1)]
    assert read(how, stop=strings[:most]).stop == tuple(strings[:most])
    said = refused(how, stop=strings)
    assert f"a list of at most {most} strings" in said
    spoken = saying(["a", "b", "c"]).chat(ASK, dialect=how, top_p=0.9, stop=[*strings[: most - 1], "c"])
    assert spoken["choices"][0]["message"]["content"] == "ab"


@pytest.mark.parametrize("how", DIALECTS)
def test_the_stop_strings_of_the_page_are_four(how: str):
    five = [str(number) for number in range(5)]
    if how in STOPS:
        assert len(read(how, stop=five).stop) == 5
    else:
        assert "or serve with --dialect vllm-0.4 (" in refused(how, stop=five)


@pytest.mark.parametrize("how", sorted(HOT))
def test_a_high_temperature_divides_like_any_other(how: str):
    """Logits 8 and 0 at temperature 8 have odds of e."""
    params = SamplingParams(temperature=8, logprobs=True, top_logprobs=2, seed=1, ranges=dialect(how).ranges)
    out = Sampler([params], vocab_size=2, dialect=how, logprob_modes=["temperature"]).step(
        torch.tensor([[8.0, 0.0]])
    )
    first, second = out.top_logprobs[0].tolist()
    assert first - second == pytest.approx(1.0, abs=1e-6)


def test_the_highest_temperature_leaves_all_tokens_alike():
    answer = saying(["a"]).chat(
        ASK, dialect="llama.cpp", temperature=3e38, seed=1, max_tokens=1, logprobs=True, top_logprobs=3
    )
    assert answer["usage"]["completion_tokens"] == 1


def test_a_sampler_refuses_what_its_dialect_does_not_take():
    """However the parameters were made."""
    params = SamplingParams(temperature=3, ranges=dialect("llama.cpp").ranges)
    with pytest.raises(
        InvalidRequest, match=r"temperature: got 3\.0, must be a number from 0 to 2; or serve"
    ):
        Sampler([params], vocab_size=2)
    assert Sampler([params], vocab_size=2, dialect="vllm-0.4")
    with pytest.raises(InvalidRequest, match="temperature"):
        SamplingParams(temperature=3)
    assert replace(params, top_p=0.5).temperature == 3
    plain = SamplingParams(temperature=1, ranges=dialect("llama.cpp").ranges)
    assert plain == SamplingParams(temperature=1)
    assert (hash(plain), repr(plain)) == (hash(SamplingParams()), repr(SamplingParams()))


# What is written for no top_k. vLLM 0.32 and llama.cpp: 0 and -1; vLLM 0.4.3 and SGLang: -1, and 0 is refused
# ("top_k must be -1 (disable), or at least 1"); transformers: 0.
OFF = {
    **{how: {0} for how in ("qstash", "transformers")},
    **{how: {0, -1} for how in ("vllm", "vllm-v1", "llama.cpp")},
    **{how: {-1} for how in ("vllm-0.4", "sglang")},
}


@pytest.mark.parametrize("how", OFF)
@pytest.mark.parametrize("value", [0, -1, 0.0, -1.0])
def test_no_top_k_is_written_as_the_engine_has_it(how: str, value: float):
    if value in OFF[how]:
        assert read(how, top_k=value) == read(how)
    else:
        said = refused(how, top_k=value)
        assert "must be an integer from " in said
        assert ("from 1 to 2147483648, or -1 for all tokens" in said) == (how in ("vllm-0.4", "sglang"))


@pytest.mark.parametrize("how", OFF)
def test_what_is_no_top_k_anywhere(how: str):
    for value in (-2, -0.5, 2**31 + 1, True, False, "0", [0]):
        assert refused(how, top_k=value).startswith("top_k: got ")
    assert read(how, top_k=1.0).params.top_k == 1
