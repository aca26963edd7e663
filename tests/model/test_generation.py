"""generation_config.json: what it says, what is wrong with it, and what each dialect makes of it."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import transformers

from sampling.core.errors import CheckpointError, InvalidArgument
from sampling.dialects import DIALECTS, dialect
from sampling.model.generation import OTHERS, READERS, GenerationConfig

# Llama-3.1-8B-Instruct's, as published.
LLAMA = {
    "bos_token_id": 128000,
    "do_sample": True,
    "eos_token_id": [128001, 128008, 128009],
    "temperature": 0.6,
    "top_p": 0.9,
    "transformers_version": "4.42.3",
}
EVERYTHING = {
    "do_sample": True,
    "temperature": 0.6,
    "top_p": 0.9,
    "top_k": 40,
    "min_p": 0.05,
    "repetition_penalty": 1.1,
    "presence_penalty": 0.5,
    "frequency_penalty": -0.5,
    "max_new_tokens": 77,
}


def said(folder: Path, members: dict[str, Any] | str) -> GenerationConfig:
    text = members if isinstance(members, str) else json.dumps(members)
    (folder / "generation_config.json").write_text(text)
    return GenerationConfig.read(folder)


def test_what_engines_take(tmp_path):
    """vLLM: config/model.py, get_diff_sampling_param. SGLang: configs/model_config.py, get_default_sampling_params."""
    config = said(tmp_path, EVERYTHING)
    common = {"temperature": 0.6, "top_p": 0.9, "top_k": 40, "min_p": 0.05, "repetition_penalty": 1.1}
    vllm = {**common, "presence_penalty": 0.5, "frequency_penalty": -0.5, "max_tokens": 77}
    expected = {
        "vllm": vllm,
        "vllm-v1": vllm,
        "transformers": {**common, "max_tokens": 77},
        "transformers-serve": {"temperature": 0.6, "top_p": 0.9, "top_k": 40, "max_tokens": 77},
        "sglang": common,
    }
    for name in DIALECTS:
        assert config.defaults(dialect(name)) == expected.get(name, {})


def test_other_fields_say_nothing_about_sampling(tmp_path):
    config = said(
        tmp_path, {"eos_token_id": 1, "cache_implementation": "hybrid", "own": {"a": []}, "top_p": None}
    )
    assert config.values == {}
    assert [config.defaults(each) for each in DIALECTS.values()] == [{}] * len(DIALECTS)
    assert {config.announcement(each) for each in DIALECTS.values()} == {None}


def test_there_need_not_be_a_file(tmp_path):
    assert GenerationConfig.read(tmp_path).values == {}


@pytest.mark.parametrize("value", [50, 50.0])
def test_a_whole_number_is_an_integer(tmp_path, value):
    assert said(tmp_path, {"top_k": value}).defaults(dialect("vllm")) == {"top_k": 50}


BROKEN = [
    ({"temperature": "hot"}, "temperature: got 'hot', must be a finite number of at least 0"),
    ({"temperature": -1}, "temperature: got -1, must be a finite number of at least 0"),
    ({"temperature": True}, "temperature: got True, must be a finite number"),
    ({"temperature": math.nan}, "temperature: got nan, must be a finite number"),
    ({"temperature": math.inf}, "temperature: got inf, must be a finite number"),
    ({"top_p": 1.5}, "top_p: got 1.5, must be a number from 0 to 1"),
    ({"top_p": [0.9]}, r"top_p: got \[0.9\], must be a number from 0 to 1"),
    ({"min_p": -0.1}, "min_p: got -0.1, must be a number from 0 to 1"),
    ({"top_k": 2.5}, "top_k: got 2.5, must be an integer from -1"),
    ({"top_k": -2}, "top_k: got -2, must be an integer from -1"),
    ({"top_k": "50"}, "top_k: got '50', must be an integer from -1"),
    ({"repetition_penalty": 0}, "repetition_penalty: got 0, must be a finite number above 0"),
    ({"presence_penalty": "1"}, "presence_penalty: got '1', must be a finite number"),
    ({"frequency_penalty": math.nan}, "frequency_penalty: got nan, must be a finite number"),
    ({"max_new_tokens": 0}, "max_new_tokens: got 0, must be an integer of at least 1"),
    ({"do_sample": "yes"}, "do_sample: got 'yes', must be true or false"),
    ({"do_sample": 1}, "do_sample: got 1, must be true or false"),
    ("[]", "must hold a JSON object"),
    ("{", "not a JSON file"),
]


@pytest.mark.parametrize(("members", "words"), BROKEN, ids=[str(index) for index in range(len(BROKEN))])
def test_a_broken_value_is_told_by_file_and_field(tmp_path, members, words):
    with pytest.raises(CheckpointError, match=rf"generation_config\.json: {words}"):
        said(tmp_path, members)


BEYOND = [
    ("vllm", {"temperature": 2.5}, "temperature: got 2.5, must be a number from 0 to 2"),
    ("sglang", {"repetition_penalty": 1e9}, "repetition_penalty: got 1000000000.0, must be a number from"),
    ("vllm", {"frequency_penalty": 3}, "frequency_penalty: got 3.0, must be a number from -2 to 2"),
    ("transformers", {"do_sample": True, "temperature": 0}, "temperature: got 0.0, must be above 0"),
    ("transformers", {"do_sample": True, "top_k": -1}, "top_k: got -1, must be an integer from 0"),
    ("sglang", {"top_k": 0}, "top_k: got 0, must be an integer from 1 to 2147483648, or -1 for all"),
]


@pytest.mark.parametrize(("name", "members", "words"), BEYOND)
def test_what_only_the_dialect_does_not_take_is_its_own_to_refuse(tmp_path, name, members, words):
    config = said(tmp_path, members)
    assert config.defaults(dialect("qstash")) == {}
    with pytest.raises(CheckpointError, match=rf"generation_config\.json: {words}"):
        config.defaults(dialect(name))


@pytest.mark.parametrize("name", ["transformers", "sglang"])
def test_a_high_temperature_is_taken_where_the_engine_takes_it(tmp_path, name):
    config = said(tmp_path, {"do_sample": True, "temperature": 2.5})
    assert config.defaults(dialect(name)) == {"temperature": 2.5}


def test_minus_one_is_off_where_the_engine_has_it_so(tmp_path):
    config = said(tmp_path, {"top_k": -1})
    assert [config.defaults(dialect(name)) for name in ("vllm", "sglang")] == [{"top_k": 0}] * 2


def test_a_dialect_that_names_an_unknown_field_is_wrong_in_itself(tmp_path):
    own = replace(dialect("vllm"), generation_defaults=("temprature",))
    with pytest.raises(
        InvalidArgument, match="generation_defaults: got 'temprature', must be among do_sample"
    ):
        said(tmp_path, {}).defaults(own)


@pytest.mark.parametrize(
    ("members", "greedy"),
    [
        ({}, False),  # nothing is said, and the dialect's own default is to sample
        ({"do_sample": True}, False),
        ({"do_sample": True, "temperature": 0.7}, False),
        ({"do_sample": False}, True),
        ({"do_sample": False, "temperature": 0.7, "top_p": 0.9}, True),
        ({"temperature": 0.7}, True),  # transformers: False where the file does not say
        ({"do_sample": False, "temperature": 0}, True),
    ],
)
def test_transformers_takes_the_arg_max_unless_do_sample_says_otherwise(tmp_path, members, greedy):
    config, style = said(tmp_path, members), dialect("transformers")
    temperature = config.defaults(style).get("temperature", 1.0)
    assert (temperature < style.greedy_below) == greedy


TOLD = [
    (LLAMA, "vllm", "temperature 0.6, top_p 0.9 where a request leaves them out"),
    (LLAMA, "transformers", "temperature 0.6, top_p 0.9 where a request leaves them out"),
    (
        LLAMA,
        "qstash",
        "temperature 0.6, top_p 0.9 not applied by the dialect 'qstash' "
        "(vllm, vllm-v1, transformers, transformers-serve, sglang do)",
    ),
    (
        {"top_k": 5, "max_new_tokens": 9},
        "sglang",
        "top_k 5 where a request leaves them out; "
        "max_new_tokens 9 not applied by the dialect 'sglang' (vllm, vllm-v1, transformers, transformers-serve do)",
    ),
    (
        {"top_p": 0.5, "num_beams": 4, "typical_p": 0.5, "suppress_tokens": [1], "length_penalty": 1.0},
        "vllm",
        "top_p 0.5 where a request leaves them out; "
        "typical_p 0.5, num_beams 4, suppress_tokens [1] applied by no dialect",
    ),
    (
        {"max_length": 20, "num_beams": 1, "no_repeat_ngram_size": 0},
        "qstash",
        "max_length 20 applied by no dialect",
    ),
    (
        {"do_sample": True, "guidance_scale": 1.5, "encoder_no_repeat_ngram_size": 3, "num_beam_groups": 2},
        "transformers",
        "guidance_scale 1.5, encoder_no_repeat_ngram_size 3, num_beam_groups 2 applied by no dialect",
    ),
    (
        {"do_sample": True, "min_new_tokens": 5, "forced_eos_token_id": 1, "force_words_ids": [[1]]},
        "transformers",
        "min_new_tokens 5, force_words_ids [[1]], forced_eos_token_id 1 applied by no dialect",
    ),
    (
        {
            "suppress_tokens": [],
            "bad_words_ids": [],
            "stop_strings": [],
            "sequence_bias": {},
            "token_healing": False,
        },
        "transformers",
        None,
    ),
    ({"top_k": 5}, "transformers", "do_sample False, top_k 5 where a request leaves them out"),
    ({"do_sample": True, "temperature": 1.0, "top_p": 1, "top_k": 0}, "qstash", None),
]


@pytest.mark.parametrize(("members", "name", "words"), TOLD)
def test_one_line_says_what_is_applied_and_what_is_not(tmp_path, members, name, words):
    line = said(tmp_path, members).announcement(dialect(name))
    assert line == (None if words is None else f"{tmp_path / 'generation_config.json'}: {words}")


# What transformers' own class has besides, none of which changes which tokens are likely: memory, speed, what is returned, who
# drafts, special ids.
ELSEWHERE = re.compile(
    r"assistant_|bos_token_id|eos_token_id|pad_token_id|decoder_start_token_id|.*cache|compile_config|disable_compile"
    r"|continuous_batching_config|is_assistant|low_memory|max_matching_ngram_size|num_assistant|output_|prefill_chunk_size"
    r"|prompt_lookup|return_dict|speculation_type|target_lookbehind|transformers_version|use_mtp|early_stopping|_"
)


def test_every_field_of_transformers_that_changes_a_text_is_known():
    fields = {name for name in vars(transformers.GenerationConfig()) if not ELSEWHERE.match(name)}
    assert fields <= {*READERS, *OTHERS}
