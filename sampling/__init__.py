"""The reference sampler for language models: what sampling parameters mean, exactly and checkably."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from sampling.dialects import dialect
from sampling.draw import draw
from sampling.errors import CheckpointError, InvalidRequest, RowError, SamplingError
from sampling.history import History
from sampling.params import SamplingParams
from sampling.pipeline import Pipeline, chain
from sampling.processors import (
    FrequencyPenalty,
    LogitBias,
    MinP,
    PresencePenalty,
    RepetitionPenalty,
    Temperature,
    TopK,
    TopP,
)
from sampling.sampler import SampleOutput, Sampler
from sampling.version import __version__

if TYPE_CHECKING:
    from sampling.language_model import LanguageModel, load

__all__ = [
    "CheckpointError",
    "FrequencyPenalty",
    "History",
    "InvalidRequest",
    "LanguageModel",
    "LogitBias",
    "MinP",
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
]


def __getattr__(name: str) -> Any:
    """Import what reads checkpoints when it is first asked for: the sampling core needs torch and numpy only."""
    if name in ("LanguageModel", "load"):
        return getattr(importlib.import_module("sampling.language_model"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
