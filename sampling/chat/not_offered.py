"""Fields of APIs and engines that would change the answer in a way that is not offered, and their values that do not."""

from __future__ import annotations

from collections.abc import Mapping

from sampling.chat.kinds import Only, only

BEAMS = "beam search is not offered"
FUNCTIONS = "functions are not offered"
GRAMMARS = "other grammars than those of response_format are not offered"
MEDIA = "images, audio and video are not offered"
NO_REASONING = "the models do not reason before they answer"
NOT_TOLD = "it is no part of a response"
SPECIAL_TOKENS = "special tokens are no part of the content"
STOP_STRINGS = "a stop string is no part of the content"
TOOLS = "tools are not offered"

OF_APIS: Mapping[str, Only] = {
    "tools": only(([],), TOOLS),
    "tool_choice": only(("none",), TOOLS),
    "functions": only(([],), FUNCTIONS),
    "function_call": only(("none",), FUNCTIONS),
    "audio": only((), "audio is not offered"),
    "modalities": only((["text"],), "text is all that is offered"),
    "moderation": only((), "moderation is not offered"),
    "reasoning_effort": only(("none",), NO_REASONING),
    "verbosity": only((), "the length of an answer is the model's own"),
    "web_search_options": only((), "web search is not offered"),
}

OF_VLLM: Mapping[str, Only] = {
    "add_special_tokens": only((False,), "the chat template has all of them"),
    "allowed_token_ids": only((), "a list of allowed tokens is not offered"),
    "bad_words": only(([],), "banned words are not offered; logit_bias bans tokens"),
    "best_of": only((1,), "a choice among more completions is not offered"),
    "chat_template": only((), "the template is the checkpoint's"),
    "documents": only((), "documents are not offered"),
    "early_stopping": only((False,), BEAMS),
    "echo": only((False,), "the messages are not repeated"),
    "ec_transfer_params": only(({},), "caches are not moved between servers"),
    **dict.fromkeys(("guided_choice", "guided_grammar", "guided_json", "guided_regex"), only((), GRAMMARS)),
    **dict.fromkeys(("guided_decoding_backend", "guided_whitespace_pattern"), only((), GRAMMARS)),
    "include_stop_str_in_output": only((False,), STOP_STRINGS),
    "kv_transfer_params": only(({},), "caches are not moved between servers"),
    "length_penalty": only((1.0,), BEAMS),
    "logprob_token_ids": only(([],), "log probabilities of chosen tokens are not offered"),
    "media_io_kwargs": only(({},), MEDIA),
    "mm_processor_kwargs": only(({},), MEDIA),
    "prompt_logprobs": only((), "log probabilities of the prompt are not offered"),
    "repetition_detection": only((), "repetitions do not end a text"),
    "return_prompt_text": only((False,), NOT_TOLD),
    "return_token_ids": only((False,), NOT_TOLD),
    "return_tokens_as_token_ids": only((False,), "tokens are shown as text"),
    "routed_experts_prompt_start": only((0,), NOT_TOLD),
    "skip_special_tokens": only((True,), SPECIAL_TOKENS),
    "spaces_between_special_tokens": only((True,), SPECIAL_TOKENS),
    "stream_interval": only((1,), "each token is streamed by itself"),
    "structured_outputs": only((), GRAMMARS),
    "thinking_token_budget": only((-1,), NO_REASONING),
    "truncate_prompt_tokens": only((), "a prompt is never cut"),
    "use_beam_search": only((False,), BEAMS),
    "vllm_xargs": only(({},), "extensions are not offered"),
    "watermarking": only((False,), "watermarks are not offered"),
}

OF_SGLANG: Mapping[str, Only] = {
    **dict.fromkeys(("bootstrap_host", "bootstrap_port", "bootstrap_room"), OF_VLLM["kv_transfer_params"]),
    "custom_logit_processor": only((), "processors of requests are not offered"),
    "custom_params": only(({},), "processors of requests are not offered"),
    "ebnf": only(("",), GRAMMARS),
    "images_config": only(({},), MEDIA),
    "input_ids": only((), "the prompt is the messages"),
    "lora_path": only((), "adapters are not offered"),
    "no_stop_trim": only((False,), STOP_STRINGS),
    "reasoning": only((), NO_REASONING),
    "regex": only(("",), GRAMMARS),
    **dict.fromkeys(
        (
            "return_cached_tokens_details",
            "return_flat_raw_output_top_logprobs",
            "return_hidden_states",
            "return_input_ids_in_sglext",
            "return_meta_info",
            "return_output_ids_in_sglext",
            "return_prompt_token_ids",
            "return_routed_experts",
            "return_sampling_mask",
            "return_spec_tokens_details",
        ),
        only((False,), NOT_TOLD),
    ),
    "routed_experts_start_len": only((0,), NOT_TOLD),
    "sampling_logprobs_mode": only((), NOT_TOLD),
    "session_params": only((), "sessions are not offered: the messages are the whole conversation"),
    "stop_regex": only(([],), "stop strings are literal"),
    "thinking": only((), NO_REASONING),
    "video_config": only(({},), MEDIA),
    "watermark": only((), "watermarks are not offered"),
}

DEFAULT_SAMPLERS = [
    "penalties",
    "dry",
    "top_n_sigma",
    "top_k",
    "typ_p",
    "top_p",
    "min_p",
    "xtc",
    "temperature",
]

OF_LLAMA_CPP: Mapping[str, Only] = {
    "adaptive_target": only((-1,), "adaptive-p is not offered"),
    "backend_sampling": only((False,), "there is one sampler"),
    "dry_multiplier": only((0,), "DRY is not offered"),
    "dynatemp_range": only((0,), "dynamic temperature is not offered"),
    "grammar": only(("",), GRAMMARS),
    "grammar_lazy": only((False,), GRAMMARS),
    "grammar_triggers": only(([],), GRAMMARS),
    "json_schema": only((), "response_format has the schema"),
    "lora": only(([],), "adapters are not offered"),
    "min_keep": only((0, 1), "one token at least is kept, whatever is cut off"),
    "mirostat": only((0,), "mirostat is not offered"),
    "n_cmpl": only((1,), "n says how many choices"),
    "n_indent": only((0,), "a least indentation is not offered"),
    "n_probs": only((0,), "logprobs and top_logprobs ask for log probabilities"),
    "post_sampling_probs": only((False,), "log probabilities are the model's own"),
    "preserved_tokens": only(([],), GRAMMARS),
    "reasoning_budget_tokens": only((-1,), NO_REASONING),
    "repeat_last_n": only((64,), "penalties look at the last 64 tokens"),
    "response_fields": only(([],), "a response has all its fields"),
    "return_tokens": only((False,), NOT_TOLD),
    "samplers": only((DEFAULT_SAMPLERS, "edskypmxt"), "the order of the samplers is the dialect's"),
    "t_max_predict_ms": only((-1, 0), "a limit of time is not offered; max_tokens is one"),
    "t_max_prompt_ms": only((-1, 0), "a limit of time is not offered"),
    "top_n_sigma": only((-1, 0), "top-n-sigma is not offered"),
    "typical_p": only((1,), "typical sampling is not offered"),
    "verbose": only((False,), NOT_TOLD),
    "xtc_probability": only((0,), "XTC is not offered"),
}

OF_TRANSFORMERS: Mapping[str, Only] = {
    "generation_config": only(
        (), "the request's own fields and the checkpoint's generation_config.json count"
    ),
}

NOT_OFFERED: Mapping[str, Only] = {**OF_APIS, **OF_VLLM, **OF_SGLANG, **OF_LLAMA_CPP, **OF_TRANSFORMERS}
"""What requests may have at these values only, where their dialect names the field."""
