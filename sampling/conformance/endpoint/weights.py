"""The leg that compares an endpoint's log probabilities with those of weights at hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch

from sampling.chat.loaded_model import LoadedModel
from sampling.conformance.endpoint.profile import EndpointProfile
from sampling.conformance.endpoint.prompts import LETTERS, Messages
from sampling.conformance.endpoint.trouble import Missing
from sampling.conformance.endpoint.whole_prompts import whole_prompt
from sampling.dialects import DialectName, dialect
from sampling.text import chat_prompt

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
        self._loaded, self._dialect = loaded, dialect(cast("DialectName", dialect_name))

    @property
    def width(self) -> int:
        """How many tokens there are."""
        return self._loaded.model.config.vocab_size

    def prompt(self, messages: Messages) -> list[int]:
        """Return the ids of a context."""
        return chat_prompt(
            self._loaded.tokenizer,
            messages,
            double_bos=self._dialect.double_bos,
            parse_control_tokens=self._dialect.parse_control_tokens,
        ).ids

    def row(self, messages: Messages) -> torch.Tensor:
        """Return the log probabilities behind a context, float64 [V]."""
        return self.rows(self.prompt(messages))[-1]

    def rows(self, ids: Sequence[int]) -> torch.Tensor:
        """Return the log probabilities behind each of some tokens, float64 [T, V]."""
        return torch.log_softmax(self._loaded.logits([*ids]).double(), dim=-1)

    def likeliest(self, messages: Messages, most: int) -> dict[str, float]:
        """Log probabilities of the likeliest tokens behind a context by text, special tokens by name."""
        row, found = self.row(messages), dict[str, float]()
        for token in row.argsort(descending=True)[:most].tolist():
            found.setdefault(self._loaded.vocabulary.text_of(token), float(row[token]))
        return found

    def shown(self, messages: Messages) -> list[tuple[str, float]]:
        """Return messages' view of the likeliest tokens behind a context, special ones left out, and log probabilities."""
        row, vocabulary = self.row(messages), self._loaded.vocabulary
        tokens = row.topk(min(LIKELIEST, len(row))).indices.tolist()
        plain = [vocabulary.bytes_of(token) is not None for token in tokens]
        texts = [vocabulary.text_of(t) if p else "" for t, p in zip(tokens, plain, strict=True)]
        return [*zip(texts, row[tokens].tolist(), strict=True)]

    def ids_of(self, texts: Sequence[str]) -> tuple[int, ...]:
        """Return the ids of those texts that are one token each."""
        vocabulary = self._loaded.vocabulary
        known = {vocabulary.text_of(token): token for token in range(len(vocabulary))}
        return tuple(known[text] for text in texts if text in known)


def against_weights(profile: EndpointProfile, reference: ReferenceWeights) -> str:
    """How far the listed log probabilities of the plain request are from the reference's, in words.

    Args:
        profile: The endpoint's.
        reference: The weights.

    Raises:
        CheckEnded: The endpoint lists no log probabilities.
    """
    found = [of_prompt(profile, reference)]
    listed = profile.listed()
    if listed:
        own = reference.likeliest(LETTERS, 10 * len(listed))
        gaps = [abs(own[text] - value) for text, value in listed.items() if text in own]
        strange = len(listed) - len(gaps)
        if strange:
            return f"another model: {strange} of {len(listed)} listed tokens are not likely by the reference weights"
        found.append(closeness(gaps))
    words = [one for one in found if one]
    if not words:
        raise Missing("the endpoint tells no log probabilities")
    return "; in a whole prompt ".join(words[::-1])


def of_prompt(profile: EndpointProfile, reference: ReferenceWeights) -> str:
    """How far the log probabilities of a prompt's own tokens are from the reference's; nothing where none are told."""
    ids = reference.prompt(LETTERS)
    told = whole_prompt(profile.client, LETTERS, ids)
    if not told:
        return ""
    if [token for token, _ in told] != ids[1:]:
        return f"another tokenisation: {len(told) + 1} tokens of a prompt, and not the reference's {len(ids)}"
    rows = reference.rows(ids)
    return closeness([abs(float(rows[at, token]) - value) for at, (token, value) in enumerate(told)])


def closeness(gaps: Sequence[float]) -> str:
    """Return what differences of log probabilities say about weights."""
    largest = max(gaps)
    kind = (
        "the reference weights"
        if largest <= CLOSE
        else "rounded weights"
        if largest <= QUANTISED
        else "other weights"
    )
    return f"{kind}: {len(gaps)} log probabilities differ from the reference's by at most {largest:.2g} nats"
