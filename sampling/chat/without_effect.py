"""Fields of APIs and engines that change no text: they are checked, no more."""

from __future__ import annotations

from collections.abc import Mapping

from sampling.chat.kinds import Flag, Kind, Labels, Members, OneOf, Real, Text, Texts, Whole
from sampling.chat.messages import Content

LARGEST = 2**31 - 1
COUNT = Whole(0, LARGEST)
COUNT_OR_ALL = Whole(-1, LARGEST)

OF_APIS: Mapping[str, Kind] = {
    "metadata": Labels(most=16, longest_key=64, longest=512),
    "parallel_tool_calls": Flag(),
    "prediction": Members({"type": OneOf(("content",)), "content": Content()}),
    "prompt_cache_key": Text(),
    "prompt_cache_options": Members({"mode": OneOf(("implicit", "explicit")), "ttl": OneOf(("30m",))}),
    "prompt_cache_retention": OneOf(("in_memory", "24h")),
    "safety_identifier": Text(128),
    "service_tier": OneOf(("auto", "default", "flex", "scale", "priority", "fast")),
    "store": Flag(),
    "user": Text(),
}

SCHEDULING: Mapping[str, Kind] = {
    "cache_prompt": Flag(),
    "cache_salt": Text(1024),
    "data_parallel_rank": COUNT,
    "disagg_prefill_dp_rank": COUNT,
    "extra_key": Text(),
    "id_slot": COUNT_OR_ALL,
    "n_cache_reuse": COUNT,
    "priority": Whole(-(2**63), 2**63 - 1),
    "routed_dp_rank": COUNT,
    "session_id": Text(),
}
"""Where and when an engine serves a request, and what it keeps."""

BESIDES_THE_TEXT: Mapping[str, Kind] = {
    "return_progress": Flag(),
    "sse_ping_interval": COUNT_OR_ALL,
    "timings_per_token": Flag(),
}
"""How an engine tells a client that it is at work."""

OF_WHAT_IS_OFF: Mapping[str, Kind] = {
    "adaptive_decay": Real(0, 0.99),
    "dry_allowed_length": COUNT,
    "dry_base": Real(),
    "dry_penalty_last_n": COUNT_OR_ALL,
    "dry_sequence_breakers": Texts(128),
    "dynatemp_exponent": Real(),
    "include_reasoning": Flag(),
    "max_dynamic_patch": COUNT,
    "min_dynamic_patch": COUNT,
    "mirostat_eta": Real(),
    "mirostat_tau": Real(),
    "mm_payload": OneOf(("tensors", "none")),
    "n_discard": COUNT,
    "n_keep": COUNT_OR_ALL,
    "parse_tool_calls": Flag(),
    "reasoning_format": OneOf(("none", "auto", "deepseek", "deepseek-legacy")),
    "return_flat_raw_top_logprobs_b64": Flag(),
    "return_mm_kwargs": Flag(),
    "return_token_offsets": Flag(),
    "separate_reasoning": Flag(),
    "stream_reasoning": Flag(),
    "task": OneOf(("action", "query", "authority", "domain", "title", "read_url")),
    "truncation_side": OneOf(("left", "right")),
    "use_audio_in_video": Flag(),
    "xtc_threshold": Real(),
}
"""Details of what is not offered, and off where it is not asked for."""

WITHOUT_EFFECT: Mapping[str, Kind] = {**OF_APIS, **SCHEDULING, **BESIDES_THE_TEXT, **OF_WHAT_IS_OFF}
