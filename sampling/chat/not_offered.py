"""Fields of APIs and engines that would change the answer in a way that is not offered, and their values that do not."""

from __future__ import annotations

from collections.abc import Mapping

from sampling.chat.kinds import Only

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
    "tools": Only(([],), TOOLS),
    "tool_choice": Only(("none",), TOOLS),
    "functions": Only(([],), FUNCTIONS),
    "function_call": Only(("none",), FUNCTIONS),
    "audio": Only((), "audio is not offered"),
    "modalities": Only((["text"],), "text is all that is offered"),
    "moderation": Only((), "moderation is not offered"),
    "reasoning_effort": Only(("none",), NO_REASONING),
    "verbosity": Only((), "the length of an answer is the model's own"),
    "web_search_options": Only((), "web search is not offered"),
}

OF_VLLM: Mapping[str, Only] = {
    "add_special_tokens": Only((False,), "the chat template has all of them"),
    "allowed_token_ids": Only((), "a list of allowed tokens is not offered"),
    "bad_words": Only(([],), "banned words are not offered; logit_bias bans tokens"),
    "best_of": Only((1,), "a choice among more completions is not offered"),
    "chat_template": Only((), "the template is the checkpoint's"),
    "documents": Only((), "documents are not offered"),
    "early_stopping": Only((False,), BEAMS),
    "echo": Only((False,), "the messages are not repeated"),
    "ec_transfer_params": Only(({},), "caches are not moved between servers"),
    **dict.fromkeys(("guided_choice", "guided_grammar", "guided_json", "guided_regex"), Only((), GRAMMARS)),
    **dict.fromkeys(("guided_decoding_backend", "guided_whitespace_pattern"), Only((), GRAMMARS)),
    "include_stop_str_in_output": Only((False,), STOP_STRINGS),
    "kv_transfer_params": Only(({},), "caches are not moved between servers"),
    "length_penalty": Only((1.0,), BEAMS),
    "logprob_token_ids": Only(([],), "log probabilities of chosen tokens are not offered"),
    "media_io_kwargs": Only(({},), MEDIA),
    "mm_processor_kwargs": Only(({},), MEDIA),
    "prompt_logprobs": Only((), "log probabilities of the prompt are not offered"),
    "repetition_detection": Only((), "repetitions do not end a text"),
    "return_prompt_text": Only((False,), NOT_TOLD),
    "return_token_ids": Only((False,), NOT_TOLD),
    "return_tokens_as_token_ids": Only((False,), "tokens are shown as text"),
    "routed_experts_prompt_start": Only((0,), NOT_TOLD),
    "skip_special_tokens": Only((True,), SPECIAL_TOKENS),
    "spaces_between_special_tokens": Only((True,), SPECIAL_TOKENS),
    "stream_interval": Only((1,), "each token is streamed by itself"),
    "structured_outputs": Only((), GRAMMARS),
    "thinking_token_budget": Only((-1,), NO_REASONING),
    "truncate_prompt_tokens": Only((), "a prompt is never cut"),
    "use_beam_search": Only((False,), BEAMS),
    "vllm_xargs": Only(({},), "extensions are not offered"),
    "watermarking": Only((False,), "watermarks are not offered"),
}

OF_SGLANG: Mapping[str, Only] = {
    **dict.fromkeys(("bootstrap_host", "bootstrap_port", "bootstrap_room"), OF_VLLM["kv_transfer_params"]),
    "custom_logit_processor": Only((), "processors of requests are not offered"),
    "custom_params": Only(({},), "processors of requests are not offered"),
    "ebnf": Only(("",), GRAMMARS),
    "images_config": Only(({},), MEDIA),
    "input_ids": Only((), "the prompt is the messages"),
    "lora_path": Only((), "adapters are not offered"),
    "no_stop_trim": Only((False,), STOP_STRINGS),
    "reasoning": Only((), NO_REASONING),
    "regex": Only(("",), GRAMMARS),
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
        Only((False,), NOT_TOLD),
    ),
    "routed_experts_start_len": Only((0,), NOT_TOLD),
    "sampling_logprobs_mode": Only((), NOT_TOLD),
    "session_params": Only((), "sessions are not offered: the messages are the whole conversation"),
    "stop_regex": Only(([],), "stop strings are literal"),
    "thinking": Only((), NO_REASONING),
    "video_config": Only(({},), MEDIA),
    "watermark": Only((), "watermarks are not offered"),
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
    "adaptive_target": Only((-1,), "adaptive-p is not offered"),
    "backend_sampling": Only((False,), "there is one sampler"),
    "dry_multiplier": Only((0,), "DRY is not offered"),
    "dynatemp_range": Only((0,), "dynamic temperature is not offered"),
    "grammar": Only(("",), GRAMMARS),
    "grammar_lazy": Only((False,), GRAMMARS),
    "grammar_triggers": Only(([],), GRAMMARS),
    "json_schema": Only((), "response_format has the schema"),
    "lora": Only(([],), "adapters are not offered"),
    "min_keep": Only((0, 1), "one token at least is kept, whatever is cut off"),
    "mirostat": Only((0,), "mirostat is not offered"),
    "n_cmpl": Only((1,), "n says how many choices"),
    "n_indent": Only((0,), "a least indentation is not offered"),
    "n_probs": Only((0,), "logprobs and top_logprobs ask for log probabilities"),
    "post_sampling_probs": Only((False,), "log probabilities are the model's own"),
    "preserved_tokens": Only(([],), GRAMMARS),
    "reasoning_budget_tokens": Only((-1,), NO_REASONING),
    "repeat_last_n": Only((64,), "penalties look at the last 64 tokens"),
    "response_fields": Only(([],), "a response has all its fields"),
    "return_tokens": Only((False,), NOT_TOLD),
    "samplers": Only((DEFAULT_SAMPLERS, "edskypmxt"), "the order of the samplers is the dialect's"),
    "t_max_predict_ms": Only((-1, 0), "a limit of time is not offered; max_tokens is one"),
    "t_max_prompt_ms": Only((-1, 0), "a limit of time is not offered"),
    "top_n_sigma": Only((-1, 0), "top-n-sigma is not offered"),
    "typical_p": Only((1,), "typical sampling is not offered"),
    "verbose": Only((False,), NOT_TOLD),
    "xtc_probability": Only((0,), "XTC is not offered"),
}

OF_TRANSFORMERS: Mapping[str, Only] = {
    "generation_config": Only(
        (), "the request's own fields and the checkpoint's generation_config.json count"
    ),
}

NOT_OFFERED: Mapping[str, Only] = {**OF_APIS, **OF_VLLM, **OF_SGLANG, **OF_LLAMA_CPP, **OF_TRANSFORMERS}
"""What requests may have at these values only, where their dialect names the field."""
