"""The reference sampler for language models: what sampling parameters mean, exactly and checkably."""

from sampling.dialects import dialect
from sampling.draw import draw
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

__version__ = "0.1.0"

__all__ = [
    "FrequencyPenalty",
    "History",
    "LogitBias",
    "MinP",
    "Pipeline",
    "PresencePenalty",
    "RepetitionPenalty",
    "SampleOutput",
    "Sampler",
    "SamplingParams",
    "Temperature",
    "TopK",
    "TopP",
    "chain",
    "dialect",
    "draw",
]
