"""OpenAI's API reference."""

from __future__ import annotations

from sampling.dialects.fields import fields_of
from sampling.dialects.rules import WITH_DEVELOPER, Dialect

OPENAI = Dialect(
    name="openai",
    source="OpenAI API reference, chat completions; what it leaves open as in qstash; no repetition_penalty, top_k, min_p",
    seen="published",
    order=("logit_bias", "frequency_penalty", "presence_penalty", "temperature", "top_p"),
    max_reported_rank=20,
    gives_stop_reason=False,
    usage_when_asked=True,
    fields=fields_of("openai"),
    stream_options=("include_usage", "include_obfuscation"),
    roles=WITH_DEVELOPER,
    silent_assistant=True,
    assistant_parts=("text", "refusal"),
)
