"""ONNX Runtime GenAI on a CPU."""

from __future__ import annotations

from sampling.dialects.rules import ANY_TEMPERATURE, MANY_STOP_STRINGS, Dialect

ONNXRUNTIME_GENAI = Dialect(
    name="onnxruntime-genai",
    source="onnxruntime-genai 0.18.0, src/search.cpp and src/generators.cpp; it reports no log probabilities",
    versions="0.18, on CPUs",
    seen="run",
    order=("repetition_penalty", "top_k", "temperature", "top_p"),
    top_k_ties="arbitrary",
    top_p_ties="arbitrary",
    parse_control_tokens=True,
    silent_assistant=True,
    highest=(ANY_TEMPERATURE,),
    most_stop_strings=MANY_STOP_STRINGS,
    defaults=(("top_k", 50), ("top_p", 0.0), ("temperature", 1.0)),
    defects=(
        "top_p without top_k, beyond 64 tokens: it stops where the mass kept is p of itself and of a bound for the rest, and "
        "so keeps too many, hundreds of a large vocabulary (FindNucleus)",
        "a top_p of 0 beside a top_k is no top_p; without top_k it is the arg max",
        "a negative temperature is taken and turns the order of the tokens round",
    ),
)
