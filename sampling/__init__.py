"""The reference sampler for language models: what sampling parameters mean, exactly and checkably."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

# First: Ctrl+C ends the command at once while the rest is imported.
from sampling.core import interruption as interruption
from sampling.core.errors import CheckpointError, InvalidRequest, RowError, SamplingError
from sampling.core.history import History
from sampling.core.params import SamplingParams
from sampling.dialects import dialect
from sampling.pipeline.pipeline import Pipeline, chain
from sampling.processors import (
    FrequencyPenalty,
    LogitBias,
    MinP,
    MinTokens,
    PresencePenalty,
    RepetitionPenalty,
    Temperature,
    TopK,
    TopP,
)
from sampling.sampler.draw import draw
from sampling.sampler.sampler import SampleOutput, Sampler
from sampling.version import __version__

if TYPE_CHECKING:
    from sampling.chat.language_model import LanguageModel, load
    from sampling.conformance.verify import verify

__all__ = [
    "CheckpointError",
    "FrequencyPenalty",
    "History",
    "InvalidRequest",
    "LanguageModel",
    "LogitBias",
    "MinP",
    "MinTokens",
    "Pipeline",
    "PresencePenalty",
    "RepetitionPenalty",
    "RowError",
    "SampleOutput",
    "Sampler",
    "SamplingError",
    "SamplingParams",
    "Temperature",
    "TopK",
    "TopP",
    "__version__",
    "chain",
    "dialect",
    "draw",
    "load",
    "verify",
]

# What reads checkpoints, and what needs an extra: imported when first asked for. The sampling core needs torch and numpy only.
ELSEWHERE = {
    "LanguageModel": "sampling.chat.language_model",
    "load": "sampling.chat.language_model",
    "verify": "sampling.conformance.verify",
}


def __getattr__(name: str) -> Any:
    """Import what `ELSEWHERE` has when it is first asked for."""
    if name in ELSEWHERE:
        return getattr(importlib.import_module(ELSEWHERE[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
