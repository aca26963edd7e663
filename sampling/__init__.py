"""The reference sampler for language models: what sampling parameters mean, exactly and checkably."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

# First: Ctrl+C ends the command at once while the rest is imported.
from sampling.core import interruption as interruption
from sampling.core.errors import (
    CacheFull,
    CheckpointError,
    InvalidArgument,
    InvalidRequest,
    NotEnoughMemory,
    RowError,
    SamplingError,
    UnsampleableRow,
)
from sampling.core.history import History, Scope
from sampling.core.params import SamplingParams
from sampling.dialects import DIALECTS, Dialect, dialect, get_dialect
from sampling.pipeline.pipeline import Pipeline, chain
from sampling.pipeline.trace import Trace
from sampling.processors import (
    AllowedTokens,
    ArgMax,
    Constraint,
    FrequencyPenalty,
    Intersection,
    LogitBias,
    MinP,
    MinTokens,
    OrderPreservingStage,
    PresencePenalty,
    Processor,
    RepetitionPenalty,
    SparseEdit,
    Temperature,
    TokenizerVocabSize,
    TopK,
    TopP,
    Truncation,
    stage,
)
from sampling.processors import Intersection as Joint
from sampling.sampler import SampleOutput, Sampler
from sampling.sampler.draw import draw, draw_margin
from sampling.sampler.logprobs import Logprobs, logprobs
from sampling.sampler.rules import Margin
from sampling.version import __version__

if TYPE_CHECKING:
    from sampling.chat.language_model import LanguageModel, load
    from sampling.chat.text_typed import PromptToken, TextFields, TextResponse
    from sampling.chat.typed import ChatCompletion, ChatCompletionChunk, ChatFields, ChatMessage
    from sampling.conformance.probe.write import write_probe
    from sampling.conformance.verify import verify
    from sampling.probe import Probe
    from sampling.replay.tokens import ReplayedTokens, replay_tokens
    from sampling.scoring.compare import KeptComparison, compare_kept
    from sampling.scoring.token_logprobs import ScoredTokens, token_logprobs

__all__ = [
    "DIALECTS",
    "AllowedTokens",
    "ArgMax",
    "CacheFull",
    "ChatCompletion",
    "ChatCompletionChunk",
    "ChatFields",
    "ChatMessage",
    "CheckpointError",
    "Constraint",
    "Dialect",
    "FrequencyPenalty",
    "History",
    "Intersection",
    "InvalidArgument",
    "InvalidRequest",
    "Joint",
    "KeptComparison",
    "LanguageModel",
    "LogitBias",
    "Logprobs",
    "Margin",
    "MinP",
    "MinTokens",
    "NotEnoughMemory",
    "OrderPreservingStage",
    "Pipeline",
    "PresencePenalty",
    "Probe",
    "Processor",
    "PromptToken",
    "RepetitionPenalty",
    "ReplayedTokens",
    "RowError",
    "SampleOutput",
    "Sampler",
    "SamplingError",
    "SamplingParams",
    "Scope",
    "ScoredTokens",
    "SparseEdit",
    "Temperature",
    "TextFields",
    "TextResponse",
    "TokenizerVocabSize",
    "TopK",
    "TopP",
    "Trace",
    "Truncation",
    "UnsampleableRow",
    "__version__",
    "chain",
    "compare_kept",
    "dialect",
    "draw",
    "draw_margin",
    "get_dialect",
    "load",
    "logprobs",
    "replay_tokens",
    "stage",
    "token_logprobs",
    "verify",
    "write_probe",
]

# What reads checkpoints, is for training or needs an extra: imported when first asked for. The core needs torch and numpy only.
ELSEWHERE = {
    "ChatCompletion": "sampling.chat.typed",
    "ChatCompletionChunk": "sampling.chat.typed",
    "ChatFields": "sampling.chat.typed",
    "ChatMessage": "sampling.chat.typed",
    "KeptComparison": "sampling.scoring.compare",
    "LanguageModel": "sampling.chat.language_model",
    "PromptToken": "sampling.chat.text_typed",
    "ReplayedTokens": "sampling.replay.tokens",
    "ScoredTokens": "sampling.scoring.token_logprobs",
    "TextFields": "sampling.chat.text_typed",
    "TextResponse": "sampling.chat.text_typed",
    "compare_kept": "sampling.scoring.compare",
    "load": "sampling.chat.language_model",
    "replay_tokens": "sampling.replay.tokens",
    "token_logprobs": "sampling.scoring.token_logprobs",
    "Probe": "sampling.probe",
    "verify": "sampling.conformance.verify",
    "write_probe": "sampling.conformance.probe.write",
}


if not TYPE_CHECKING:  # a type checker knows the names, and that there are no others

    def __getattr__(name: str) -> Any:
        """Import what `ELSEWHERE` has when it is first asked for."""
        if name in ELSEWHERE:
            try:
                return getattr(importlib.import_module(ELSEWHERE[name]), name)
            except ModuleNotFoundError as error:
                if name in ("verify", "write_probe"):
                    error.add_note(
                        f"sampling.{name} needs the extra 'verify': pip install 'sampling-reference[verify]'"
                    )
                raise
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """List what is here and what is imported when first asked for."""
    return sorted({*globals(), *__all__})
