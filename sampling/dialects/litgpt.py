"""LitGPT's `sample`."""

from __future__ import annotations

from sampling.dialects.rules import ANY_TEMPERATURE, MANY_STOP_STRINGS, Dialect

LITGPT = Dialect(
    name="litgpt",
    source="litgpt 0.5.13, litgpt/generate/base.py (sample, sample_top_p); it reports no log probabilities",
    versions="0.5",
    seen="functions run",
    order=("top_k", "temperature", "top_p"),
    top_k_ties="arbitrary",
    top_p_ties="arbitrary",
    parse_control_tokens=True,
    silent_assistant=True,
    highest=(ANY_TEMPERATURE,),
    most_stop_strings=MANY_STOP_STRINGS,
    defaults=(("top_k", 50), ("temperature", 0.8)),
    defects=(
        "a stop sequence of several tokens is missed where the output makes a false start at it (generate_fn)",
        "a negative temperature is taken, as 0",
    ),
)
