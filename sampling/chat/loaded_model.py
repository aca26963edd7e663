"""What a checkpoint directory gives: a model, a tokenizer, a vocabulary and a fingerprint."""

from __future__ import annotations

import hashlib
import logging
import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from sampling.core.errors import printable
from sampling.dialects import Dialect, DialectName
from sampling.dialects import dialect as dialect_named
from sampling.model import Llama
from sampling.model.generation import GenerationConfig
from sampling.text import Grammars, TokenFloor, Vocabulary
from sampling.text.end_tokens import own_end_tokens
from sampling.text.tokenizer import tokenizer_digest
from sampling.version import __version__

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

logger = logging.getLogger("sampling")
MOST_TOLD = 16  # names from requests in the log


class LoadedModel:
    """A model with its tokenizer; the arguments are those of `LanguageModel`."""

    def __init__(
        self,
        model: Llama,
        tokenizer: PreTrainedTokenizerFast,
        name: str,
        *,
        compile: bool = False,  # noqa: A002 (the name that torch uses)
        generation: GenerationConfig | None = None,
    ) -> None:
        self.model, self.tokenizer, self.name, self.compile = model, tokenizer, name, compile
        self.generation = GenerationConfig() if generation is None else generation
        self._defaults: dict[Dialect, Mapping[str, Any]] = {}
        # variables that the chat template does not read, of which the log has told
        self._unknown: set[str] = set()
        # of which weights, and the digest
        self._digested: tuple[tuple[tuple[int, int], ...], str] | None = None

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """The tokenizer's ids as text and bytes; what the model or the tokenizer names as an end token ends a message."""
        ends = (*self.model.config.eos_token_ids, *own_end_tokens(self.tokenizer))
        return Vocabulary(self.tokenizer, ends)

    @cached_property
    def token_floor(self) -> TokenFloor:
        """What is known about the length of a text without tokenising it."""
        return TokenFloor(self.tokenizer, self.vocabulary)

    @cached_property
    def grammars(self) -> Grammars:
        """The grammars that a response format may ask for."""
        return Grammars(self.vocabulary)

    @torch.no_grad()
    def logits(self, token_ids: Sequence[int]) -> Tensor:
        """Return the model's own logits, for checks.

        Args:
            token_ids: T token ids.

        Returns:
            float32 [T, V]; row t predicts the token after t.
        """
        return self.model(torch.tensor([list(token_ids)], device=self.model.embed_tokens.weight.device))[0]

    def fingerprint(self, dialect: DialectName | Dialect) -> str:
        """Return the `system_fingerprint`: a digest of version, dialect, weights, their type and the device's, and tokenizer.

        The tokenizer's chat template counts, too, and what the dialect takes from `generation_config.json`.

        Args:
            dialect: The dialect or its name; what counts is all that it says.
        """
        weight, style = self.model.embed_tokens.weight, dialect_named(dialect)
        parts = (
            __version__,
            repr(style),
            str(weight.dtype),
            weight.device.type,
            self._weights_digest(),
            self._tokenizer_digest,
            repr((self.tokenizer.chat_template, self.tokenizer.special_tokens_map)),
            repr(self.defaults(style)),
        )
        return "fp_" + hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]

    def fresh_seed(self) -> int:
        """64 bits from the operating system, the same in every process that holds a part of the model."""
        return self.model.from_all(secrets.randbits(64))[0]

    def now(self) -> datetime:
        """Return the local time, the same in every process that holds a part of the model."""
        return self.model.from_all(datetime.now())[0]

    def defaults(self, dialect: Dialect) -> Mapping[str, Any]:
        """Return what requests of a dialect get where they leave a field out; the log says so, once.

        Raises:
            CheckpointError: The checkpoint's `generation_config.json` has a value that the dialect does not take.
        """
        if dialect not in self._defaults:
            self._defaults[dialect] = self.generation.defaults(dialect)
            said = self.generation.announcement(dialect)
            if said is not None:
                logger.warning("%s", said)
        return self._defaults[dialect]

    def tell_unknown(self, names: Sequence[str]) -> None:
        """Say in the log that the chat template does not read some variables; once each, and of so many only."""
        for name in names:
            if name not in self._unknown and len(self._unknown) < MOST_TOLD:
                self._unknown.add(name)
                logger.warning(
                    "chat_template_kwargs.%s: the chat template does not read it", printable(name)[:80]
                )

    @cached_property
    def _tokenizer_digest(self) -> str:
        return tokenizer_digest(self.tokenizer)

    def _weights_digest(self) -> str:
        """Return the digest of the weights as they are; to read them all takes a while, so only when they have changed."""
        parts = (self.model.held(parameter)[0] for parameter in self.model.parameters())
        state = tuple((part.data_ptr(), part._version) for part in parts)
        if self._digested is None or self._digested[0] != state:
            self._digested = state, digest_of(self.model)
        return self._digested[1]


def digest_of(model: Llama) -> str:
    """Return a digest of a model's shape and weights."""
    digest = hashlib.sha256(repr(model.config).encode())
    for name, parameter in model.named_parameters():
        digest.update(name.encode())
        part, _ = model.held(parameter)
        digest.update(part.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes())
    return "".join(model.from_all(digest.hexdigest()))
