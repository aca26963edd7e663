"""mistral.rs."""

from __future__ import annotations

from sampling.core.history import PROMPT_AND_OUTPUT
from sampling.dialects.rules import ANY_BIAS, ANY_TEMPERATURE, MANY_STOP_STRINGS, TRUNCATIONS, Dialect

MISTRALRS = Dialect(
    name="mistralrs",
    source="mistralrs 0.9.5, by its answers; mistralrs-core/src/sampler.rs",
    versions="0.9",
    seen="run",
    order=(
        "frequency_penalty",
        "presence_penalty",
        "repetition_penalty",
        "logit_bias",
        "temperature",
        *TRUNCATIONS,
    ),
    substitutes=(("top_p", 0.0, 1.0), ("min_p", 1.0, 0.0)),
    repetition_scope=PROMPT_AND_OUTPUT,
    min_p_strict=True,
    greedy_below=1e-7,
    greedy_overrides=(("temperature", 1.0), ("top_k", 1)),
    logprob_mode="temperature",
    parse_control_tokens=True,
    silent_assistant=True,
    highest=(ANY_TEMPERATURE, ("logit_bias", ANY_BIAS)),
    most_stop_strings=MANY_STOP_STRINGS,
    defaults=(("temperature", 1.0),),
    defects=(
        "what the prefix cache holds of a prompt escapes the repetition penalty of the first token",
        "every process draws one fixed stream; a seed is refused by the first Runner, and does nothing in a later one",
        "in completions n_choices gives one choice unless best_of is as large",
        "a negative temperature is taken, as greedy",
    ),
)
