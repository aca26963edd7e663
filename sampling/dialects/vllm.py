"""vLLM 0.33, with Triton and without."""

from __future__ import annotations

from dataclasses import replace

from sampling.dialects.fields import fields_of
from sampling.dialects.rules import (
    ANY_BIAS,
    CONTINUOUS,
    PENALTIES,
    SAMPLING_DEFAULTS,
    WITH_DEVELOPER,
    Dialect,
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
    fields=fields_of("openai", "stop", "template", "vllm"),
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
