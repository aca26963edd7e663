"""The paths that clients of the API know."""

from __future__ import annotations

CHAT_PATHS = ("/v1/chat/completions", "/llm/v1/chat/completions")
TEXT_PATHS = ("/v1/completions", "/llm/v1/completions")
MODELS_PATHS = ("/v1/models", "/llm/v1/models")
TOKENIZE_PATHS = ("/tokenize", "/llm/tokenize")
DETOKENIZE_PATHS = ("/detokenize", "/llm/detokenize")
TOKENIZER_INFO_PATHS = ("/tokenizer_info", "/llm/tokenizer_info")
