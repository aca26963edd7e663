"""The leg that compares an endpoint's log probabilities with those of weights at hand."""

from __future__ import annotations

import torch

from sampling.conformance.endpoint.prompts import LETTERS, Messages
from sampling.conformance.endpoint.survey import Survey
from sampling.conformance.endpoint.trouble import Missing
from sampling.dialects import dialect
from sampling.loaded_model import LoadedModel
from sampling.text import encode_chat

CLOSE = 1e-3  # nats: float32 weights on another machine
QUANTISED = 0.5  # nats: the same weights in fewer bits


LIKELIEST = 64  # tokens of a context that draws are judged by


class ReferenceWeights:
    """Weights that an endpoint should serve.

    Args:
        loaded: Model and tokenizer.
        dialect_name: Which says how prompts are tokenised.
    """

    def __init__(self, loaded: LoadedModel, dialect_name: str) -> None:
        self._loaded, self._dialect = loaded, dialect(dialect_name)

    def row(self, messages: Messages) -> torch.Tensor:
        """The log probabilities behind a context, float64 [V]."""
        prompt = encode_chat(
            self._loaded.tokenizer,
            messages,
            double_bos=self._dialect.double_bos,
            parse_control_tokens=self._dialect.parse_control_tokens,
        )
        return torch.log_softmax(self._loaded.logits(prompt)[-1].double(), dim=-1)

    def likeliest(self, messages: Messages, most: int) -> dict[str, float]:
        """Log probabilities of the likeliest tokens behind a context by text, special tokens by name."""
        row, found = self.row(messages), dict[str, float]()
        for token in row.argsort(descending=True)[:most].tolist():
            found.setdefault(self._loaded.vocabulary.text_of(token), float(row[token]))
        return found

    def shown(self, messages: Messages) -> list[tuple[str, float]]:
        """What messages show of the likeliest tokens behind a context, nothing of special ones, and their log probabilities."""
        row, vocabulary = self.row(messages), self._loaded.vocabulary
        tokens = row.topk(min(LIKELIEST, len(row))).indices.tolist()
        plain = [vocabulary.bytes_of(token) is not None for token in tokens]
        texts = [vocabulary.text_of(t) if p else "" for t, p in zip(tokens, plain, strict=True)]
        return [*zip(texts, row[tokens].tolist(), strict=True)]


def against_weights(survey: Survey, reference: ReferenceWeights) -> str:
    """How far the listed log probabilities of the plain request are from the reference's, in words.

    Args:
        survey: The endpoint's.
        reference: The weights.

    Raises:
        CheckEnded: The endpoint lists no log probabilities.
    """
    listed = survey.listed()
    if not listed:
        raise Missing("the endpoint tells no log probabilities")
    own = reference.likeliest(LETTERS, 10 * len(listed))
    gaps = [abs(own[text] - value) for text, value in listed.items() if text in own]
    strange = len(listed) - len(gaps)
    if strange:
        return (
            f"another model: {strange} of {len(listed)} listed tokens are not likely by the reference weights"
        )
    largest = max(gaps)
    kind = (
        "the reference weights"
        if largest <= CLOSE
        else "rounded weights"
        if largest <= QUANTISED
        else "other weights"
    )
    return f"{kind}: {len(gaps)} log probabilities differ from the reference's by at most {largest:.2g} nats"
