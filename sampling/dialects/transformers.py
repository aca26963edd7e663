"""transformers' `generate`."""

from __future__ import annotations

from sampling.core.params import SMALLEST
from sampling.dialects.fields import fields_of
from sampling.dialects.rules import (
    ANY_BIAS,
    ANY_TEMPERATURE,
    MANY_STOP_STRINGS,
    SAMPLING_DEFAULTS,
    TRUNCATIONS,
    Dialect,
)

TRANSFORMERS = Dialect(
    name="transformers",
    source="transformers 5.23, generation/logits_process.py; do_sample=False is a temperature below every float32",
    versions="5.23 and 5.24",
    seen="run",
    defaults=(("top_k", 50),),
    defects=(
        "generate(top_k=None) is off and GenerationConfig(top_k=None) is 50",
        "equal logits from 17 tokens on stand in arbitrary order (torch.sort)",
    ),
    order=("logit_bias", "repetition_penalty", "temperature", *TRUNCATIONS),
    top_k_ties="all",
    top_p_ties="arbitrary",
    zero_temperature=False,
    greedy_below=SMALLEST,
    greedy_overrides=(("temperature", 1.0), ("top_p", 1.0), ("top_k", 0), ("min_p", 0.0)),
    greedy_arg_max=True,
    logprob_mode="processed",
    parse_control_tokens=True,
    fields=fields_of("template", "transformers"),
    silent_assistant=True,
    part_separator=" ",
    highest=(ANY_TEMPERATURE, ("logit_bias", ANY_BIAS)),
    most_stop_strings=MANY_STOP_STRINGS,
    generation_defaults=("do_sample", *SAMPLING_DEFAULTS, "max_new_tokens"),
)
