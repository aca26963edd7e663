"""vLLM 0.4, which made the published example."""

from __future__ import annotations

from sampling.dialects.fields import fields_of
from sampling.dialects.rules import ANY_TEMPERATURE, MANY_STOP_STRINGS, PENALTIES, TRUNCATIONS, Dialect

VLLM_0_4 = Dialect(
    name="vllm-0.4",
    source="vLLM 0.4.3, vllm/model_executor/layers/sampler.py and vllm/entrypoints/openai/serving_chat.py",
    versions="0.4.3",
    seen="published",
    defects=("biases beyond 100 either way are clamped",),
    order=("logit_bias", "min_tokens", *PENALTIES, "temperature", *TRUNCATIONS),
    top_k_ties="all",
    top_p_ties="arbitrary",
    greedy_below=1e-5,
    greedy_overrides=(("temperature", 1.0), ("top_p", 1.0), ("top_k", 0), ("min_p", 0.0)),
    greedy_arg_max=True,
    logprob_mode="processed",
    double_bos=True,
    id_prefix="cmpl-",
    parse_control_tokens=True,
    end_token_entry=True,
    blank_special_tokens=True,
    sampled_first=True,
    fields=fields_of("stop", "vllm_0_4"),
    stop_strings_from=0,
    part_separator="\n",
    highest=(ANY_TEMPERATURE,),
    most_stop_strings=MANY_STOP_STRINGS,
    top_k_off=(-1,),
    seed_minus_one=True,
)
