"""Fields that an engine has beyond the published page's: taken where they change no text, refused by name elsewhere."""

from __future__ import annotations

from typing import Any

import pytest
from chatting import CHATTING
from scripted import saying

from sampling.chat.kinds import Only
from sampling.chat.not_offered import NOT_OFFERED
from sampling.chat.request import ChatRequest
from sampling.core.errors import InvalidRequest
from sampling.dialects import DIALECTS

ASK: list[dict[str, Any]] = [{"role": "user", "content": "?"}]


def read(how: str, **fields: object) -> ChatRequest:
    return ChatRequest.parse({"messages": ASK, **fields}, how)


def refused(how: str, **fields: object) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        read(how, **fields)
    return caught.value


# Whole requests as clients of the engines send them, with every field at its engine's default.
# vLLM 0.32, entrypoints/openai/chat_completion/protocol.py
VLLM = {
    "use_beam_search": False,
    "watermarking": False,
    "length_penalty": 1.0,
    "stop_token_ids": [],
    "include_stop_str_in_output": False,
    "ignore_eos": False,
    "min_tokens": 0,
    "skip_special_tokens": True,
    "spaces_between_special_tokens": True,
    "truncate_prompt_tokens": None,
    "truncation_side": None,
    "prompt_logprobs": None,
    "logprob_token_ids": [],
    "allowed_token_ids": None,
    "bad_words": [],
    "echo": False,
    "add_special_tokens": False,
    "documents": None,
    "chat_template": None,
    "structured_outputs": None,
    "thinking_token_budget": -1,
    "include_reasoning": True,
    "parallel_tool_calls": True,
    "priority": 0,
    "request_id": None,
    "return_tokens_as_token_ids": False,
    "return_token_ids": False,
    "routed_experts_prompt_start": 0,
    "return_token_offsets": False,
    "return_prompt_text": False,
    "mm_payload": "tensors",
    "cache_salt": None,
    "kv_transfer_params": None,
    "stream_interval": None,
    "best_of": 1,
}
# SGLang 0.5.23, srt/entrypoints/openai/protocol.py
SGLANG = {
    "top_k": -1,
    "min_p": 0.0,
    "min_tokens": 0,
    "regex": None,
    "ebnf": "",
    "repetition_penalty": 1.0,
    "stop_regex": [],
    "no_stop_trim": False,
    "ignore_eos": False,
    "continue_final_message": False,
    "skip_special_tokens": True,
    "lora_path": None,
    "session_params": None,
    "separate_reasoning": True,
    "stream_reasoning": True,
    "chat_template_kwargs": {},
    "use_audio_in_video": False,
    "custom_logit_processor": None,
    "custom_params": {},
    "return_hidden_states": False,
    "return_routed_experts": False,
    "routed_experts_start_len": 0,
    "return_cached_tokens_details": False,
    "return_meta_info": False,
    "return_token_ids": False,
    "rid": None,
    "priority": 0,
}
# llama.cpp, tools/server/server-schema.cpp; the details of samplers that are off are their defaults (README.md)
LLAMA_CPP = {
    "cache_prompt": True,
    "id_slot": -1,
    "timings_per_token": True,
    "return_progress": True,
    "return_tokens": False,
    "verbose": False,
    "max_tokens": -1,
    "n_keep": 0,
    "n_discard": 0,
    "n_indent": 0,
    "n_cmpl": 1,
    "n_probs": 0,
    "min_keep": 0,
    "t_max_predict_ms": -1,
    "response_fields": [],
    "top_n_sigma": -1.0,
    "xtc_probability": 0.0,
    "xtc_threshold": 0.1,
    "typical_p": 1.0,
    "dynatemp_range": 0.0,
    "dynatemp_exponent": 1.0,
    "repeat_last_n": 64,
    "repeat_penalty": 1.0,
    "dry_multiplier": 0.0,
    "dry_base": 1.75,
    "dry_allowed_length": 2,
    "dry_penalty_last_n": -1,
    "dry_sequence_breakers": ["\n", ":", '"', "*"],
    "mirostat": 0,
    "mirostat_tau": 5.0,
    "mirostat_eta": 0.1,
    "adaptive_target": -1.0,
    "adaptive_decay": 0.9,
    "samplers": ["penalties", "dry", "top_n_sigma", "top_k", "typ_p", "top_p", "min_p", "xtc", "temperature"],
    "grammar": "",
    "lora": [],
    "reasoning_format": "auto",
    "post_sampling_probs": False,
}
# vLLM 0.4.3, entrypoints/openai/protocol.py
VLLM_0_4 = {
    "best_of": 1,
    "use_beam_search": False,
    "top_k": -1,
    "length_penalty": 1.0,
    "early_stopping": False,
    "echo": False,
    "guided_json": None,
    "skip_special_tokens": True,
}
SENT = {"vllm": VLLM, "vllm-v1": VLLM, "sglang": SGLANG, "llama.cpp": LLAMA_CPP, "vllm-0.4": VLLM_0_4}


@pytest.mark.parametrize("how", SENT)
def test_an_engine_s_own_defaults_change_nothing(how: str):
    assert read(how, **SENT[how]) == read(how)
    model, fields = saying(["a", "b"]), {"seed": 1, "top_p": 0.9, "dialect": how}
    plain, full = model.chat(ASK, **fields), model.chat(ASK, **fields, **SENT[how])
    assert full["choices"] == plain["choices"]


# By hand: what says something else in each engine
OTHERS: list[tuple[str, dict[str, Any], str]] = [
    ("llama.cpp", {"mirostat": 2}, "0 or left out: mirostat is not offered"),
    ("llama.cpp", {"typical_p": 0.9}, "1 or left out: "),
    ("llama.cpp", {"dry_multiplier": 0.8}, "0 or left out: DRY"),
    ("llama.cpp", {"xtc_probability": 0.5}, "0 or left out: XTC"),
    ("llama.cpp", {"top_n_sigma": 1.5}, "-1 or 0 or left out: "),
    ("llama.cpp", {"dynatemp_range": 0.5}, "0 or left out: "),
    ("llama.cpp", {"repeat_last_n": 256}, "64 or left out: penalties look at the last 64 tokens"),
    ("llama.cpp", {"samplers": ["temperature", "top_k"]}, '["penalties", "dry", '),
    ("llama.cpp", {"samplers": "k"}, 'or "edskypmxt" or left out: '),
    ("llama.cpp", {"grammar": "root ::= x"}, '"" or left out: other grammars'),
    ("llama.cpp", {"n_probs": 5}, "0 or left out: logprobs"),
    ("llama.cpp", {"t_max_predict_ms": 10}, "-1 or 0 or left out: "),
    ("llama.cpp", {"lora": [{"id": 0, "scale": 1.0}]}, "[] or left out: "),
    ("vllm", {"best_of": 2}, "1 or left out: "),
    ("vllm", {"return_token_ids": True}, "false or left out: "),
    ("vllm", {"return_tokens_as_token_ids": True}, "false or left out: "),
    ("vllm", {"stream_interval": 5}, "1 or left out: "),
    ("vllm", {"structured_outputs": {"regex": "a"}}, "left out: other grammars"),
    ("vllm", {"prompt_logprobs": 0}, "left out: log probabilities of the prompt"),
    ("vllm", {"use_beam_search": 0}, "false or left out: "),
    ("vllm", {"chat_template": "{{ x }}"}, "left out: the template is the checkpoint's"),
    ("vllm", {"watermarking": True}, "false or left out: "),
    ("vllm-0.4", {"guided_choice": ["a"]}, "left out: other grammars"),
    ("vllm-0.4", {"early_stopping": True}, "false or left out: beam search"),
    ("sglang", {"regex": "a"}, '"" or left out: '),
    ("sglang", {"lora_path": "x"}, "left out: adapters"),
    ("sglang", {"return_hidden_states": "last"}, "false or left out: "),
    ("sglang", {"input_ids": [1]}, "left out: the prompt is the messages"),
    ("sglang", {"stop_regex": "a"}, "[] or left out: stop strings are literal"),
    ("transformers", {"generation_config": "{}"}, "left out: "),
]


@pytest.mark.parametrize(("how", "fields", "words"), OTHERS, ids=[str(i) for i in range(len(OTHERS))])
def test_what_would_change_the_answer_is_refused_by_name(how: str, fields: dict[str, Any], words: str):
    error = refused(how, **fields)
    assert error.param == next(iter(fields))
    assert f"must be {words}" in str(error) or words in str(error)
    assert "--dialect" not in str(error)


@pytest.mark.parametrize("how", CHATTING)
def test_a_neutral_value_is_refused_where_the_engine_has_no_such_field(how: str):
    error_or_none = None if how == "llama.cpp" else refused(how, mirostat=0)
    if error_or_none is not None:
        assert "mirostat is not offered; or serve with --dialect llama.cpp (" in str(error_or_none)
    else:
        assert read(how, mirostat=0) == read(how)


WRONG_TYPES: list[tuple[str, str, Any]] = [
    ("llama.cpp", "cache_prompt", 1),
    ("llama.cpp", "id_slot", -2),
    ("llama.cpp", "dry_base", "x"),
    ("llama.cpp", "dry_sequence_breakers", "x"),
    ("llama.cpp", "dry_sequence_breakers", [1]),
    ("llama.cpp", "xtc_threshold", True),
    ("llama.cpp", "reasoning_format", "other"),
    ("llama.cpp", "max_tokens", -2),
    ("llama.cpp", "max_tokens", 0),
    ("llama.cpp", "n_predict", True),
    ("llama.cpp", "repeat_penalty", 0),
    ("vllm", "priority", 2**63),
    ("vllm", "priority", 0.5),
    ("vllm", "cache_salt", 1),
    ("vllm", "request_id", ""),
    ("vllm", "request_id", "a\r\nb: c"),
    ("vllm", "request_id", "é"),
    ("vllm", "request_id", "x" * 257),
    ("sglang", "rid", ["a"]),
    ("sglang", "separate_reasoning", "yes"),
]


@pytest.mark.parametrize(("how", "name", "value"), WRONG_TYPES, ids=[str(i) for i in range(len(WRONG_TYPES))])
def test_what_has_no_effect_is_checked(how: str, name: str, value: object):
    assert refused(how, **{name: value}).param.startswith(name)


def test_every_neutral_value_of_every_dialect_is_taken():
    """Nothing else of a request changes with it."""
    for how, dialect in DIALECTS.items():
        for name in dialect.fields:
            kind = NOT_OFFERED.get(name)
            for value in kind.neutral if isinstance(kind, Only) else ():
                assert read(how, **{name: value}) == read(how), (how, name)


# Other names


def test_no_limit_is_minus_one_in_llama_cpp():
    for name in ("max_tokens", "max_completion_tokens", "n_predict"):
        assert read("llama.cpp", **{name: -1}) == read("llama.cpp")
        assert read("llama.cpp", **{name: 7}).max_tokens == 7
        assert "must be an integer from 1 to 2147483647, or -1 for no limit" in str(
            refused("llama.cpp", **{name: 0})
        )
    for how in DIALECTS:
        if how != "llama.cpp":
            assert "or serve with --dialect llama.cpp (" in str(refused(how, max_tokens=-1))
    ended = saying(["a", "b"]).chat(ASK, dialect="llama.cpp", max_tokens=-1, top_p=0.9)
    assert ended["choices"][0]["finish_reason"] == "stop"


def test_two_names_of_one_field_say_the_same():
    assert read("llama.cpp", repeat_penalty=1.5) == read("llama.cpp", repetition_penalty=1.5)
    assert read("llama.cpp", repeat_penalty=1.5, repetition_penalty=1.5).params.repetition_penalty == 1.5
    for fields, name in (
        ({"repetition_penalty": 1.1, "repeat_penalty": 1.5}, "repeat_penalty"),
        ({"max_tokens": 3, "n_predict": 4}, "n_predict"),
        ({"max_completion_tokens": 3, "n_predict": 4}, "n_predict"),
        ({"max_tokens": -1, "max_completion_tokens": 4}, "max_completion_tokens"),
    ):
        error = refused("llama.cpp", **fields)
        assert error.param == name
        assert "or one of the two left out" in str(error)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("how", "name", "whole"),
    [("vllm", "request_id", "chatcmpl-mine:1"), ("sglang", "rid", "mine:1")],
)
def test_a_request_names_its_response(how: str, name: str, whole: str, stream: bool):
    """VLLM: request_id = f"chatcmpl-{...}" in chat_completion/serving.py; SGLang: meta_info["id"] is the rid."""
    answer = saying(["a"]).chat(ASK, dialect=how, stream=stream, **{name: "mine:1"})
    assert {each["id"] for each in (answer if stream else [answer])} == {whole}
