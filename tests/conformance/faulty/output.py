"""Wrong answers: stop strings, the reason of an end, constraints, parameters."""

from __future__ import annotations

from typing import Any

import torch
from conformance.faulty.sampler import FaultySampler, Mutant
from torch import Tensor

from sampling.conformance.reference import Asked
from sampling.core.params import SamplingParams


class MaskedUniformly(FaultySampler):
    """All legal tokens are equally likely."""

    def masked(self, asked: Asked) -> Tensor:
        """Forget the logits of what is legal."""
        legal = super().masked(asked)
        return legal if legal is asked.logits else torch.where(legal > -torch.inf, 0.0, legal)


class MaskedLast(FaultySampler):
    """The mask comes after top_p, and may leave less than top_p of what is legal."""

    def processed(self, asked: Asked) -> Tensor:
        """Truncate first, mask then; what is legal if that leaves nothing."""
        legal = super().masked(asked)
        cut = super().processed(asked)
        both = torch.where(legal > -torch.inf, cut, -torch.inf)
        return both if bool((both > -torch.inf).any()) else legal

    def masked(self, asked: Asked) -> Tensor:
        """No mask here."""
        return asked.logits


class Unconstrained(FaultySampler):
    """JSON mode is accepted and not enforced."""

    def masked(self, asked: Asked) -> Tensor:
        """No mask."""
        return asked.logits


def with_stop(choice: dict[str, Any]) -> dict[str, Any]:
    """The stop string stays in the text."""
    text = choice["message"]["content"] + (choice["stop_reason"] or "")
    return {**choice, "message": {**choice["message"], "content": text}}


def without(*names: str) -> FaultySampler:
    """Some parameters are accepted and not read."""
    return FaultySampler(
        fields=lambda asked: {name: value for name, value in asked.items() if name not in names}
    )


def always(reason: str) -> FaultySampler:
    """One reason for every end."""
    return FaultySampler(answer=lambda choice: {**choice, "finish_reason": reason})


def unchecked(asked: dict[str, Any]) -> dict[str, Any]:
    """Values that are not allowed count as left out."""
    kept: dict[str, Any] = {}
    for name, value in asked.items():
        try:
            SamplingParams(**{name: value})
        except (TypeError, ValueError):
            if name not in OTHERS:
                continue
        kept[name] = value
    return kept


OTHERS = ("n", "max_tokens", "stop", "response_format", "top_logprobs", "stream", "model", "messages")
STOP, REASON, CONSTRAINED, PARAMETERS = (
    f"output.{name}" for name in ("stop-left-out", "finish-reason", "constrained", "parameters")
)

MUTANTS = (
    Mutant(
        "stop-string-kept",
        "leaves the stop string in the text",
        "engines with include_stop_str_in_output on",
        STOP,
        lambda: FaultySampler(answer=with_stop),
    ),
    Mutant(
        "stop-ignored",
        "accepts stop strings and goes on",
        "a parameter that is accepted and never read",
        STOP,
        lambda: without("stop"),
    ),
    Mutant(
        "finish-reason-always-stop",
        "says `stop` at max_tokens, too",
        "a reason with a default",
        REASON,
        lambda: always("stop"),
    ),
    Mutant(
        "finish-reason-always-length",
        "says `length` at a stop string, too",
        "a reason set by the loop that counts",
        REASON,
        lambda: always("length"),
    ),
    Mutant(
        "json-mode-ignored",
        "accepts json_object and draws from everything",
        "a parameter that is accepted and never read",
        CONSTRAINED,
        Unconstrained,
    ),
    Mutant(
        "json-mode-uniform",
        "draws legal tokens with equal probability",
        "logits overwritten by a mask of 0 and -inf",
        CONSTRAINED,
        MaskedUniformly,
    ),
    Mutant(
        "json-mask-last",
        "truncates before it masks",
        "a mask that is applied to the final distribution",
        CONSTRAINED,
        MaskedLast,
    ),
    Mutant(
        "frequency-ignored",
        "accepts frequency_penalty and does nothing",
        "transformers generate has none",
        PARAMETERS,
        lambda: without("frequency_penalty"),
    ),
    Mutant(
        "presence-ignored",
        "accepts presence_penalty and does nothing",
        "transformers generate has none",
        PARAMETERS,
        lambda: without("presence_penalty"),
        spared_by=("penalties.temperature-order", "penalties.per-choice", "temperature.zero"),
    ),
    Mutant(
        "values-unchecked",
        "takes values that are not allowed for not given",
        "requests that are validated by dropping what does not fit",
        PARAMETERS,
        lambda: FaultySampler(fields=unchecked),
    ),
)
