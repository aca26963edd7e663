"""OpenVINO GenAI's `LLMPipeline`."""

from __future__ import annotations

from sampling.core.params import SMALLEST
from sampling.dialects.rules import ANY_TEMPERATURE, MANY_STOP_STRINGS, Dialect

OPENVINO_GENAI = Dialect(
    name="openvino-genai",
    source="openvino-genai 2026.4.1, src/cpp/src/sampling; do_sample=False is a temperature below every float32",
    versions="2026.4",
    seen="run",
    order=(
        "repetition_penalty",
        "presence_penalty",
        "frequency_penalty",
        "top_k",
        "temperature",
        ("top_p", "min_p"),
    ),
    penalties_follow_sign=True,
    top_p_ties="arbitrary",
    top_p_stops_at_equality=False,
    zero_temperature=False,
    greedy_below=SMALLEST,
    greedy_overrides=(("temperature", 1.0), ("top_p", 1.0), ("top_k", 0), ("min_p", 0.0)),
    greedy_arg_max=True,
    parse_control_tokens=True,
    silent_assistant=True,
    highest=(ANY_TEMPERATURE,),
    most_stop_strings=MANY_STOP_STRINGS,
    defaults=(("seed", 0),),
    defects=(
        "every request has a generator of its own, seeded with rng_seed or 0: equal requests have equal texts (sampler.hpp)",
        "the samples of one prompt come sorted by score, so that the first is no sample",
        "a top_k leaves the candidates in the order of a binary heap's array, so that a seeded draw depends on the logits of "
        "tokens thrown out",
        "a top_p of 0 and a min_p of 1 are refused",
        "a seed is cut to 32 bits",
        "log probabilities are raw with logprobs above 0; else a score is of what is left after truncation, and 0 where greedy",
    ),
)
