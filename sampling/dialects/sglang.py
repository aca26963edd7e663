"""SGLang 0.5."""

from __future__ import annotations

from sampling.core.history import OUTPUT
from sampling.dialects.fields import fields_of
from sampling.dialects.rules import (
    ANY_BIAS,
    ANY_TEMPERATURE,
    CONTINUOUS,
    SAMPLING_DEFAULTS,
    WITH_DEVELOPER,
    Dialect,
)

SGLANG = Dialect(
    name="sglang",
    request_id_is_whole=True,
    source="SGLang 0.5.23, sglang/srt/sampling and layers/sampler.py",
    versions="0.5.23",
    seen="functions run",
    defaults=(("temperature", 1.0), ("top_p", 1.0)),
    defects=(
        "without overlapped scheduling the order among the penalties changes with each start",
        "a repetition penalty above 2 and a top_k of 0 are refused",
        "in deterministic mode a request without a seed has 42",
    ),
    order=(
        "frequency_penalty",
        "min_tokens",
        "presence_penalty",
        "repetition_penalty",
        "logit_bias",
        "temperature",
        ("top_k", "top_p"),
        "min_p",
    ),
    repetition_scope=OUTPUT,
    top_k_ties="arbitrary",
    top_p_ties="arbitrary",
    top_p_stops_at_equality=False,
    greedy_below=1e-6,
    greedy_overrides=(("temperature", 1.0), ("top_k", 1)),
    logprob_mode="temperature",
    parse_control_tokens=True,
    usage_when_asked=True,
    fields=fields_of("openai", "stop", "sglang"),
    stream_options=CONTINUOUS,
    ignore_eos_ignores_stop_ids=True,
    roles=WITH_DEVELOPER,
    silent_assistant=True,
    part_separator=" ",
    highest=(ANY_TEMPERATURE, ("logit_bias", ANY_BIAS), ("top_logprobs", 100)),
    most_stop_strings=32,
    top_k_off=(-1,),
    append_final_message=True,
    generation_defaults=SAMPLING_DEFAULTS,
)
