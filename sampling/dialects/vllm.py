"""vLLM's V2 model runner, the default where Triton is: on GPUs."""

from __future__ import annotations

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
    source="vLLM 0.33, vllm/v1/worker/gpu/sample and vllm/v1/engine/logprobs.py (its chat server shows the first K entries)",
    versions="0.33 with its V2 runner",
    seen="functions run",
    defects=(
        "top_p beside top_k, seeds or processed log probabilities: the least likely finite candidate and what equals it are "
        "dropped below a top_p of 0.995 (topk_topp_triton.py); it shows where few candidates are left",
        "the same kernel: a few finite but very low logits switch top_p off and leave more than k (topk_topp_triton.py)",
        "at most 1024 biases",
        "temperature 0 with n above 1 is refused",
        "choices of neighbouring seeds are the same: choice i of seed s is choice 0 of seed s + i",
    ),
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
