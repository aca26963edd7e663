"""A case with a handful of tokens for an endpoint: biases keep all others out, and set what the logits are.

The model's own log probabilities l and the biases b are the case, so that every hypothesis about the parameters, about the
place of the bias among them too, says what should come.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sampling.conformance.endpoint.profile import TokenSupport
from sampling.conformance.endpoint.prompts import Messages
from sampling.conformance.endpoint.reply import Choice
from sampling.conformance.oracle import probabilities
from sampling.conformance.sampling_case import SamplingCase
from sampling.conformance.semantics import Semantics

Row = NDArray[np.float64]

HEIGHT = 65.0  # how far biased logits lie above log probabilities
SPACING = 0.4  # between the biased logits


@dataclass(frozen=True)
class BiasedCase:
    """A case whose biases keep all but a few tokens out.

    Args:
        support: The tokens.
        logits: What the model's log probabilities and the biases add up to, float64 [K].
        params: Other parameters.
        in_prompt: Which of the tokens the prompt contains.
    """

    support: TokenSupport
    logits: Row
    params: Mapping[str, Any] = field(default_factory=dict[str, Any])
    in_prompt: tuple[int, ...] = ()

    @property
    def messages(self) -> Messages:
        """The context."""
        return self.support.messages

    @property
    def tokens(self) -> int:
        """How many tokens there are."""
        return len(self.support.tokens)

    @property
    def biases(self) -> list[float]:
        """What is added to the log probabilities."""
        tokens = zip(self.support.tokens, self.logits, strict=True)
        return [round(HEIGHT + float(wanted) - token.logprob, 3) for token, wanted in tokens]

    @property
    def case(self) -> SamplingCase:
        """The case as the hypotheses see it: ids count in the support."""
        own = np.array([token.logprob for token in self.support.tokens], dtype=np.float32)
        return SamplingCase(own, {**self.params, "logit_bias": dict(enumerate(self.biases))}, self.in_prompt)

    @property
    def fields(self) -> dict[str, Any]:
        """The request's fields."""
        pairs = zip(self.support.tokens, self.biases, strict=True)
        return {**self.params, "logit_bias": {str(token.id): bias for token, bias in pairs}}

    def place(self, choice: Choice) -> int | None:
        """Which token a message is; None if it is none of them."""
        return self.support.index(choice.text)

    def row(self, semantics: Semantics) -> Row:
        """Return what a hypothesis draws from, float64 [K]."""
        return probabilities(self.case, semantics)


def slope(count: int, spacing: float = SPACING) -> Row:
    """Logits that fall by the same step."""
    return -spacing * np.arange(count, dtype=np.float64)
