"""The paths that clients of the API know."""

from __future__ import annotations

CHAT_PATHS = ("/v1/chat/completions", "/llm/v1/chat/completions")
MODELS_PATHS = ("/v1/models", "/llm/v1/models")
