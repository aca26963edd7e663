"""One processor for each sampling parameter: what happens to logits between model and draw."""

from sampling.processors.allowed import AllowedTokens, Constraint
from sampling.processors.base import Edit, Processor
from sampling.processors.bias import LogitBias
from sampling.processors.function import stage
from sampling.processors.min_tokens import MinTokens
from sampling.processors.penalties import FrequencyPenalty, PresencePenalty, RepetitionPenalty
from sampling.processors.shaping import Shaping, Truncation
from sampling.processors.temperature import Temperature
from sampling.processors.truncation import ArgMax, Joint, MinP, TopK, TopP
from sampling.processors.usable_ids import UsableIds

__all__ = [
    "AllowedTokens",
    "ArgMax",
    "Constraint",
    "Edit",
    "FrequencyPenalty",
    "Joint",
    "LogitBias",
    "MinP",
    "MinTokens",
    "PresencePenalty",
    "Processor",
    "RepetitionPenalty",
    "Shaping",
    "Temperature",
    "TopK",
    "TopP",
    "Truncation",
    "UsableIds",
    "stage",
]
