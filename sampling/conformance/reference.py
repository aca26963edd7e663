"""The reference as a target: this library's own pipeline and draw, answering what a check asks."""

from __future__ import annotations

import math
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sampling_kernels.blocks import BlockedLogits
from sampling_kernels.fixed_point import mulhi_u64
from sampling_kernels.inverse_cdf import INTEGER_RULE
from sampling_kernels.philox import random_words
from sampling_kernels.reference import weights
from torch import Tensor

from sampling.chat.choice import Choice, StopRules
from sampling.chat.request import ChatRequest
from sampling.chat.response import choice_object
from sampling.conformance.pieces import Pieces
from sampling.core.errors import RowError
from sampling.core.history import History
from sampling.dialects import TRUNCATIONS, Dialect, DialectName
from sampling.dialects import dialect as dialect_named
from sampling.generate.sampled_token import SampledToken
from sampling.pipeline.effective import EffectiveParams, effective_params
from sampling.pipeline.pipeline import Pipeline
from sampling.pipeline.plan import StepPlan, make_plan
from sampling.processors import AllowedTokens, Processor, Temperature, Truncation
from sampling.sampler.draw import seed_key
from sampling.sampler.logprobs import Measured
from sampling.sampler.requests import servable_params
from sampling.text import Grammars
from sampling.version import __version__

Logits = NDArray[np.float32]
Fields = Mapping[str, Any]
Ids = Sequence[int]
Seed = int | None
Key = tuple[Tensor, Tensor, Tensor]

# a request must have messages; what is asked stands in the logits
QUESTION = [{"role": "user", "content": ""}]
MOST_ALTERNATIVES = 20
# By mode the stages that its log probabilities do not see.
NOT_SEEN: dict[str, tuple[type[Processor], ...]] = {
    "penalised": (Temperature, Truncation),
    "temperature": (Truncation,),
    "processed": (),
}


@dataclass(frozen=True)
class Asked:
    """One position of one request.

    Args:
        logits: What the model says, float32 [1, V].
        request: What is wanted.
        prompt_ids: The prompt.
        output_ids: What was sampled before.
        written: How many of those the text of the answer begins after.
    """

    logits: Tensor
    request: ChatRequest
    prompt_ids: Ids
    output_ids: Ids
    written: int = 0

    @property
    def width(self) -> int:
        """V."""
        return self.logits.shape[1]


class Reference:
    """Samples as a dialect does; the object of `reference`.

    Each step to its answers is a method, so that a wrong sampler is one of them replaced.

    Args:
        dialect: How to sample and to answer.
    """

    name = "sampling-reference"
    version = __version__

    def __init__(self, dialect: Dialect) -> None:
        self.dialect = dialect

    def __call__(self, logits: Logits, params: Fields, prompt_ids: Ids, output_ids: Ids, seed: Seed) -> int:
        """Sample one token.

        Args:
            logits: What the model says, float32 [V].
            params: Request fields by name.
            prompt_ids: The prompt.
            output_ids: What was sampled before.
            seed: The request's seed; None takes a fresh one.

        Returns:
            The token id.

        Raises:
            InvalidArgument: The dialect does not take the parameters.
            RowError: The logits cannot be sampled.
        """
        return self.many(logits, params, prompt_ids, output_ids, [seed])[0]

    def many(
        self, logits: Logits, params: Fields, prompt_ids: Ids, output_ids: Ids, seeds: Sequence[Seed]
    ) -> list[int]:
        """Ask the same question under many seeds: one token each, as single calls would give them."""
        asked = Asked(row_of(logits), self.read(params), prompt_ids, output_ids, len(output_ids))
        return self.drawn(self.processed(asked), seeds, len(output_ids), 0)

    def report(
        self, logits: Logits, params: Fields, prompt_ids: Ids, output_ids: Ids, seed: Seed
    ) -> dict[str, Any]:
        """Answer as an API does, with one choice: the only element of `choices`."""
        return self.choices(logits, {**params, "n": 1}, prompt_ids, output_ids, seed)[0]

    def choices(
        self, logits: Logits, params: Fields, prompt_ids: Ids, output_ids: Ids, seed: Seed
    ) -> list[dict[str, Any]]:
        """Answer as an API does, for a model that says the same logits at every position; ids read as `Pieces`.

        Args:
            logits: What the model says, float32 [V].
            params: Request fields by name, `n`, `max_tokens` (1 if left out), `stop` and `logprobs` among them.
            prompt_ids: The prompt.
            output_ids: What was sampled before; it counts for penalties and is no content.
            seed: The request's seed; None takes a fresh one.

        Returns:
            The elements of `choices`: index, message, finish_reason, logprobs and what else the dialect has; where a truncation
            is on, the ids that were kept at each position, as `sampling_mask`.
        """
        asked = Asked(row_of(logits), self.read(params), prompt_ids, output_ids, len(output_ids))
        known = self.fresh_seed() if seed is None else seed
        outputs = [list(output_ids) for _ in range(asked.request.n)]
        return [self.choice(asked, outputs, index, known) for index in range(asked.request.n)]

    def choice(self, asked: Asked, outputs: Sequence[list[int]], index: int, seed: int) -> dict[str, Any]:
        """Sample one choice to its end; `outputs` has what each choice sampled, and grows."""
        vocabulary, request = Pieces(asked.width), asked.request
        choice, kept = Choice(vocabulary, self.ending(request, vocabulary)), list[list[int]]()
        while choice.finish_reason is None:
            now = Asked(asked.logits, request, asked.prompt_ids, outputs[index], asked.written)
            processed = self.processed(now)
            token = self.drawn(processed, [seed], len(outputs[index]), index)[0]
            kept.append(self.kept(processed))
            choice.accept(self.measured(now, token))
            outputs[index].append(token)
        told = replace(self.dialect, whole_characters=False)  # what checks ask with has to have a name
        answered = choice_object(index, choice, request.params, vocabulary, told)
        truncates = EffectiveParams(request.params).uses(TRUNCATIONS)
        return self.answer(answered | ({"sampling_mask": kept} if truncates else {}))

    def kept(self, processed: Tensor) -> list[int]:
        """Return the ids of the tokens that can be drawn."""
        return processed[0].isfinite().nonzero()[:, 0].tolist()

    def ending(self, request: ChatRequest, vocabulary: Pieces) -> StopRules:
        """Return what ends a choice."""
        return StopRules(max_tokens=request.max_tokens or 1, stop=request.stop, end_ids=vocabulary.end_ids)

    def read(self, params: Fields) -> ChatRequest:
        """Check the request's fields."""
        return ChatRequest.parse({"messages": QUESTION, **params}, self.dialect)

    def masked(self, asked: Asked) -> Tensor:
        """Return the logits of the tokens that the response format allows, float32 [1, V]."""
        wanted = asked.request.response_format
        grammar = grammars(asked.width).grammar(wanted.kind, wanted.schema)
        if grammar is None:
            return asked.logits
        text = history((), asked.output_ids[asked.written :])
        return AllowedTokens(grammar.constraint())(asked.logits, text)

    def history(self, asked: Asked) -> History:
        """Return what penalties look at."""
        return history(asked.prompt_ids, asked.output_ids)

    def plan(self, request: ChatRequest) -> StepPlan:
        """Return the stages."""
        return make_plan([effective_params(request.params, self.dialect)], self.dialect)

    def processed(self, asked: Asked) -> Tensor:
        """Return the logits that are drawn from, float32 [1, V]."""
        servable_params(asked.request.params, asked.width, self.dialect)
        built, past = self.plan(asked.request), self.history(asked)
        row = built.pipeline(self.masked(asked), past)
        return row if built.arg_max is None else built.arg_max(row, past)

    def drawn(self, processed: Tensor, seeds: Sequence[Seed], position: int, choice: int) -> list[int]:
        """Return a token for each seed."""
        if not bool((processed < torch.inf).all() and (processed > -torch.inf).any()):
            raise RowError("the logits cannot be sampled: NaN, +infinity, or nothing above -infinity")
        known = [self.fresh_seed() if seed is None else seed for seed in seeds]
        return self.picked(processed, *self.key(known, position, choice))

    def fresh_seed(self) -> int:
        """Return the seed of a request that has none."""
        return secrets.randbits(64)

    def key(self, seeds: Sequence[int], position: int, choice: int) -> Key:
        """Return what the draws are keyed by: seeds, positions and choices, int64 [N] each."""
        keys = torch.tensor([seed_key(seed) for seed in seeds])
        return keys, torch.full_like(keys, position), torch.full_like(keys, choice)

    def picked(self, processed: Tensor, seeds: Tensor, positions: Tensor, choices: Tensor) -> list[int]:
        """By the integer rule: the first token whose running weight exceeds floor(u Z / 2^64)."""
        high, low = random_words(seeds, positions, choices, INTEGER_RULE)
        running = weights(processed)[0].cumsum(-1)
        r, _ = mulhi_u64(high, low, running[-1:].expand(len(seeds)))
        return torch.searchsorted(running, r, right=True).tolist()

    def measured(self, asked: Asked, token: int) -> SampledToken:
        """Return a sampled token, with its log probability, its rank and its alternatives if they are wanted."""
        if not asked.request.params.logprobs:
            return SampledToken(token, math.nan, 0, ())
        found = Measured.of(BlockedLogits.of(self.told(asked)), MOST_ALTERNATIVES).logprobs(
            torch.tensor([token])
        )
        top = zip(found.top_token_ids[0].tolist(), found.top_logprobs[0].tolist(), strict=True)
        return SampledToken(token, found.logprobs.item(), int(found.ranks), tuple(top))

    def told(self, asked: Asked) -> Tensor:
        """Return the logits that log probabilities are of, in the dialect's mode, float32 [1, V]."""
        mode = self.dialect.logprob_mode
        if mode == "raw":
            return asked.logits
        left = [s for s in self.plan(asked.request).pipeline.stages if not isinstance(s, NOT_SEEN[mode])]
        return Pipeline(*left)(self.masked(asked), self.history(asked))

    def answer(self, choice: dict[str, Any]) -> dict[str, Any]:
        """Return the choice as it leaves."""
        return choice


def row_of(logits: Logits) -> Tensor:
    """Logits [V] as a tensor of one row, float32 [1, V]."""
    return torch.from_numpy(np.array(logits, dtype=np.float32))[None]


def history(prompt_ids: Ids, output_ids: Ids) -> History:
    """Return the past of one row."""
    return History.start([prompt_ids], output_ids=[output_ids])


@cache
def grammars(width: int) -> Grammars:
    """Return the grammars over a vocabulary of `Pieces`."""
    return Grammars(Pieces(width))


def reference(dialect: DialectName | Dialect = "qstash") -> Reference:
    """Return a callable that samples exactly as a dialect or one of that name says, and has `many`, `report` and `choices`.

    Raises:
        InvalidArgument: No dialect has that name.

    Example:
        >>> import numpy as np
        >>> ask = reference("qstash")
        >>> logits = np.array([0.0, 2.0, 1.0], dtype=np.float32)
        >>> ask(logits, {"top_p": 0.9}, [], [], seed=1), ask.many(logits, {"temperature": 0}, [], [], [1, 2])
        (2, [1, 1])
        >>> ask.report(logits, {"temperature": 0}, [], [], seed=1)["message"]
        {'role': 'assistant', 'content': 'b'}
    """
    return Reference(dialect_named(dialect))
