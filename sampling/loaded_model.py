"""What a checkpoint directory gives: a model, a tokenizer, a vocabulary and a fingerprint."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from sampling.dialects import Dialect
from sampling.dialects import dialect as dialect_named
from sampling.model import Llama
from sampling.text import Grammars, Vocabulary
from sampling.version import __version__

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


class LoadedModel:
    """A model with its tokenizer.

    Args:
        model: The model.
        tokenizer: Its transformers tokenizer, with a chat template.
        name: What responses call it unless the request says.
    """

    def __init__(self, model: Llama, tokenizer: PreTrainedTokenizerFast, name: str) -> None:
        self.model, self.tokenizer, self.name = model, tokenizer, name
        self._digested: tuple[tuple[tuple[int, int], ...], str] | None = (
            None  # of which weights, and the digest
        )

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """The tokenizer's ids as text and bytes."""
        return Vocabulary(self.tokenizer, self.model.config.eos_token_ids)

    @cached_property
    def grammars(self) -> Grammars:
        """The grammars that a response format may ask for."""
        return Grammars(self.vocabulary)

    @torch.no_grad()
    def logits(self, token_ids: Sequence[int]) -> Tensor:
        """The model's own logits, for checks.

        Args:
            token_ids: T token ids.

        Returns:
            float32 [T, V]; row t predicts the token after t.
        """
        return self.model(torch.tensor([list(token_ids)], device=self.model.embed_tokens.weight.device))[0]

    def fingerprint(self, dialect: str | Dialect) -> str:
        """The `system_fingerprint`: a digest of library version, dialect, weights, their type and the device's.

        Args:
            dialect: The dialect or its name; what counts is all that it says.
        """
        weight = self.model.embed_tokens.weight
        parts = (
            __version__,
            repr(dialect_named(dialect)),
            str(weight.dtype),
            weight.device.type,
            self._weights_digest(),
        )
        return "fp_" + hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]

    def _weights_digest(self) -> str:
        """The digest of the weights as they are; to read them all takes a while, so only when they have changed."""
        state = tuple((p.data_ptr(), p._version) for _, p in self.model.named_parameters())
        if self._digested is None or self._digested[0] != state:
            self._digested = state, digest_of(self.model)
        return self._digested[1]


def digest_of(model: Llama) -> str:
    """A digest of a model's shape and weights."""
    digest = hashlib.sha256(repr(model.config).encode())
    for name, parameter in model.named_parameters():
        digest.update(name.encode())
        digest.update(parameter.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
