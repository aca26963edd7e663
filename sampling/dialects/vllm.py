"""vLLM 0.33, with Triton and without."""

from __future__ import annotations

from dataclasses import replace

from sampling.dialects.fields import OPENAI_FIELDS, STOP_FIELDS, TEMPLATE_FIELDS
from sampling.dialects.rules import (
    ANY_BIAS,
    CONTINUOUS,
    PENALTIES,
    SAMPLING_DEFAULTS,
    WITH_DEVELOPER,
    Dialect,
)

# vLLM 0.32, vllm/entrypoints/openai/chat_completion/protocol.py; best_of is an older version's, which this one lets pass.
FIELDS = (
    *OPENAI_FIELDS,
    *STOP_FIELDS,
    *TEMPLATE_FIELDS,
    "add_special_tokens",
    "allowed_token_ids",
    "bad_words",
    "best_of",
    "cache_salt",
    "chat_template",
    "documents",
    "ec_transfer_params",
    "echo",
    "include_reasoning",
    "include_stop_str_in_output",
    "kv_transfer_params",
    "length_penalty",
    "logprob_token_ids",
    "media_io_kwargs",
    "mm_payload",
    "mm_processor_kwargs",
    "priority",
    "prompt_logprobs",
    "repetition_detection",
    "request_id",
    "return_mm_kwargs",
    "return_prompt_text",
    "return_token_ids",
    "return_token_offsets",
    "return_tokens_as_token_ids",
    "routed_experts_prompt_start",
    "session_id",
    "spaces_between_special_tokens",
    "stream_interval",
    "structured_outputs",
    "thinking_token_budget",
    "truncate_prompt_tokens",
    "truncation_side",
    "use_beam_search",
    "vllm_xargs",
    "watermarking",
)

VLLM = Dialect(
    name="vllm",
    source="vLLM 0.33, vllm/v1/sample and vllm/v1/engine/logprobs.py (its chat server shows the first K of these entries)",
    whole_characters=True,
    choices_follow_seeds=True,
    special_tokens_have_bytes=True,
    order=("logit_bias", "min_tokens", *PENALTIES, "temperature", "min_p", "top_k", "top_p"),
    lowest_temperature=0.01,
    parse_control_tokens=True,
    end_token_entry=True,
    sampled_first=True,
    at_most_k=False,
    usage_when_asked=True,
    fields=FIELDS,
    stream_options=CONTINUOUS,
    continuous_needs_usage=True,
    stop_strings_from=1,
    roles=WITH_DEVELOPER,
    silent_assistant=True,
    assistant_parts=("text", "refusal"),
    part_separator="\n",
    highest=(("logit_bias", ANY_BIAS),),
    top_k_off=(0, -1),
    seed_minus_one=True,
    generation_defaults=(*SAMPLING_DEFAULTS, "presence_penalty", "frequency_penalty", "max_new_tokens"),
)

VLLM_PYTORCH = replace(
    VLLM,
    name="vllm-pytorch",
    source="vLLM 0.33 without Triton, vllm/v1/sample/ops/topk_topp_sampler.py, apply_top_k_top_p_pytorch; else as vllm",
    top_k_ties="all",
    top_p_ties="arbitrary",
)
