"""Request fields beyond the published page's that several engines have; `sampling.chat.fields` says what they are."""

from __future__ import annotations

TEMPLATE_FIELDS = ("chat_template_kwargs", "add_generation_prompt", "continue_final_message")

# What clients of OpenAI send and engines let pass.
OPENAI_FIELDS = (
    "audio",
    "function_call",
    "functions",
    "max_completion_tokens",
    "metadata",
    "modalities",
    "moderation",
    "parallel_tool_calls",
    "prediction",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "reasoning_effort",
    "safety_identifier",
    "service_tier",
    "store",
    "tool_choice",
    "tools",
    "user",
    "verbosity",
    "web_search_options",
)
STOP_FIELDS = ("ignore_eos", "min_tokens", "stop_token_ids", "skip_special_tokens")
