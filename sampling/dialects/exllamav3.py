"""ExLlamaV3's `ComboSampler`."""

from __future__ import annotations

from sampling.core.history import PROMPT_AND_OUTPUT
from sampling.dialects.rules import (
    ANY_BIAS,
    ANY_PENALTY,
    ANY_TEMPERATURE,
    MANY_STOP_STRINGS,
    PENALTIES,
    Dialect,
)

EXLLAMAV3 = Dialect(
    name="exllamav3",
    source="exllamav3 1.6.5, exllamav3/generator/sampler (ComboSampler, SS_Fused)",
    versions="1.6",
    seen="read",
    order=("logit_bias", *PENALTIES, "temperature", "min_p", "top_k", "top_p"),
    penalty_scope=PROMPT_AND_OUTPUT,
    top_k_ties="all",
    top_p_ties="arbitrary",
    parse_control_tokens=True,
    silent_assistant=True,
    highest=(
        ANY_TEMPERATURE,
        ("frequency_penalty", ANY_PENALTY),
        ("presence_penalty", ANY_PENALTY),
        ("logit_bias", ANY_BIAS),
    ),
    most_stop_strings=MANY_STOP_STRINGS,
    defects=(
        "of logits that equal the last one of a nucleus all may be drawn, together as often as those that it has room for",
        "tokens 32 nats and more below the likeliest are in no order: where top_k ends among them fewer than k stay",
        "XTC does not roll: it averages both outcomes",
        "a penalty beyond rep_sustain_range fades out over rep_decay_range; the defaults count everything",
    ),
)
