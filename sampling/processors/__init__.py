"""One processor for each sampling parameter: what happens to logits between model and draw."""

from sampling.processors.allowed import AllowedTokens, Constraint
from sampling.processors.base import Processor, SparseEdit
from sampling.processors.bias import LogitBias
from sampling.processors.function import stage
from sampling.processors.min_tokens import MinTokens
from sampling.processors.order_preserving import OrderPreservingStage, Truncation
from sampling.processors.penalties import FrequencyPenalty, PresencePenalty, RepetitionPenalty
from sampling.processors.temperature import Temperature
from sampling.processors.tokenizer_vocab_size import TokenizerVocabSize
from sampling.processors.truncation import ArgMax, Intersection, MinP, TopK, TopP

__all__ = [
    "AllowedTokens",
    "ArgMax",
    "Constraint",
    "FrequencyPenalty",
    "Intersection",
    "LogitBias",
    "MinP",
    "MinTokens",
    "OrderPreservingStage",
    "PresencePenalty",
    "Processor",
    "RepetitionPenalty",
    "SparseEdit",
    "Temperature",
    "TokenizerVocabSize",
    "TopK",
    "TopP",
    "Truncation",
    "stage",
]
