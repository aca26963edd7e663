"""llama.cpp's sampler chain and server."""

from __future__ import annotations

from sampling.core.history import Scope
from sampling.dialects.fields import fields_of
from sampling.dialects.rules import (
    ANY_BIAS,
    ANY_PENALTY,
    ANY_TEMPERATURE,
    MANY_STOP_STRINGS,
    PENALTIES,
    Dialect,
)

LLAMA_CPP = Dialect(
    name="llama.cpp",
    source="llama.cpp as in llama-cpp-python 0.3.36, src/llama-sampler.cpp",
    versions="b11549",
    seen="run",
    defaults=(("temperature", 0.8), ("top_k", 40), ("top_p", 0.95), ("min_p", 0.05)),
    defects=(
        "temperature 0 comes last: XTC before it takes another token than the likeliest",
        "a grammar looks at the drawn token, and only then masks and draws again",
        "unknown names of samplers are dropped and values clamped in silence",
        "seeds are modulo 2^32",
    ),
    order=("logit_bias", *PENALTIES, "top_k", "top_p", "min_p", "temperature"),
    repetition_scope=Scope(prompt=True, last=64),
    penalty_scope=Scope(prompt=True, last=64),
    top_k_ties="arbitrary",
    top_p_ties="arbitrary",
    parse_control_tokens=True,
    fields=fields_of("openai", "llama_cpp"),
    max_tokens_minus_one=True,
    silent_assistant=True,
    part_separator="\n",
    highest=(
        ANY_TEMPERATURE,
        ("frequency_penalty", ANY_PENALTY),
        ("presence_penalty", ANY_PENALTY),
        ("logit_bias", ANY_BIAS),
        ("top_logprobs", 100),
    ),
    most_stop_strings=MANY_STOP_STRINGS,
    top_k_off=(0, -1),
    seed_minus_one=True,
    choices_follow_seeds=True,
    field_names=(("repetition_penalty", "repeat_penalty"),),
    neutral_fields=(
        ("typical_p", 1.0),
        ("top_n_sigma", -1.0),
        ("xtc_probability", 0.0),
        ("dry_multiplier", 0.0),
        ("dynatemp_range", 0.0),
        ("mirostat", 0),
    ),
)
