"""Fields of APIs and engines that change no text: they are checked, no more."""

from __future__ import annotations

from collections.abc import Mapping

from sampling.chat.kinds import FLAG, Kind, labels, members, one_of, real, text, texts, whole
from sampling.chat.messages import content

LARGEST = 2**31 - 1
COUNT = whole(0, LARGEST)
COUNT_OR_ALL = whole(-1, LARGEST)

OF_APIS: Mapping[str, Kind] = {
    "metadata": labels(most=16, longest_key=64, longest=512),
    "parallel_tool_calls": FLAG,
    "prediction": members({"type": one_of("content"), "content": content()}),
    "prompt_cache_key": text(),
    "prompt_cache_options": members({"mode": one_of("implicit", "explicit"), "ttl": one_of("30m")}),
    "prompt_cache_retention": one_of("in_memory", "24h"),
    "safety_identifier": text(128),
    "service_tier": one_of("auto", "default", "flex", "scale", "priority", "fast"),
    "store": FLAG,
    "user": text(),
}

SCHEDULING: Mapping[str, Kind] = {
    "cache_prompt": FLAG,
    "cache_salt": text(1024),
    "data_parallel_rank": COUNT,
    "disagg_prefill_dp_rank": COUNT,
    "extra_key": text(),
    "id_slot": COUNT_OR_ALL,
    "n_cache_reuse": COUNT,
    "priority": whole(-(2**63), 2**63 - 1),
    "routed_dp_rank": COUNT,
    "session_id": text(),
}
"""Where and when an engine serves a request, and what it keeps."""

BESIDES_THE_TEXT: Mapping[str, Kind] = {
    "return_progress": FLAG,
    "sse_ping_interval": COUNT_OR_ALL,
    "timings_per_token": FLAG,
}
"""How an engine tells a client that it is at work."""

OF_WHAT_IS_OFF: Mapping[str, Kind] = {
    "adaptive_decay": real(0, 0.99),
    "dry_allowed_length": COUNT,
    "dry_base": real(),
    "dry_penalty_last_n": COUNT_OR_ALL,
    "dry_sequence_breakers": texts(128),
    "dynatemp_exponent": real(),
    "include_reasoning": FLAG,
    "max_dynamic_patch": COUNT,
    "min_dynamic_patch": COUNT,
    "mirostat_eta": real(),
    "mirostat_tau": real(),
    "mm_payload": one_of("tensors", "none"),
    "n_discard": COUNT,
    "n_keep": COUNT_OR_ALL,
    "parse_tool_calls": FLAG,
    "reasoning_format": one_of("none", "auto", "deepseek", "deepseek-legacy"),
    "return_flat_raw_top_logprobs_b64": FLAG,
    "return_mm_kwargs": FLAG,
    "return_token_offsets": FLAG,
    "separate_reasoning": FLAG,
    "stream_reasoning": FLAG,
    "task": one_of("action", "query", "authority", "domain", "title", "read_url"),
    "truncation_side": one_of("left", "right"),
    "use_audio_in_video": FLAG,
    "xtc_threshold": real(),
}
"""Details of what is not offered, and off where it is not asked for."""

WITHOUT_EFFECT: Mapping[str, Kind] = {**OF_APIS, **SCHEDULING, **BESIDES_THE_TEXT, **OF_WHAT_IS_OFF}
