"""The decode loop: a model, a sampler and token ids."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from sampling.dialects import Dialect
from sampling.errors import RowError
from sampling.model import Llama
from sampling.params import SamplingParams
from sampling.sampler import SampleOutput, Sampler

PREFILL_CHUNK = 512


@dataclass(frozen=True)
class SampledToken:
    """One sampled token, on the host.

    Args:
        token_id: The token.
        logprob: Its log probability.
        rank: Its rank, 1 for the most likely.
        top: (token id, log probability) of the most likely tokens.
    """

    token_id: int
    logprob: float
    rank: int
    top: tuple[tuple[int, float], ...]


def on_host(output: SampleOutput) -> list[SampledToken | None]:
    """Move a step's output to the host, one entry per row; None where nothing was sampled."""
    columns = (output.token_ids, output.logprobs, output.ranks, output.top_token_ids, output.top_logprobs)
    rows = zip(*(column.tolist() for column in columns), strict=True)
    return [
        SampledToken(token, logprob, rank, tuple(zip(ids, values, strict=True))) if token >= 0 else None
        for token, logprob, rank, ids, values in rows
    ]


class Generation:
    """The choices of one request, decoded together from one prefill.

    Args:
        model: The model.
        prompt_ids: The prompt, at least one token.
        params: The sampling parameters.
        choices: n, how many choices.
        max_tokens: Most tokens of a choice; prompt and tokens fit the model's context.
        usable_ids: Token ids from here on are never sampled.
        dialect: How to sample.
    """

    def __init__(
        self,
        model: Llama,
        prompt_ids: Sequence[int],
        params: SamplingParams,
        *,
        choices: int,
        max_tokens: int,
        usable_ids: int,
        dialect: Dialect,
    ) -> None:
        self.model = model
        self.device = model.embed_tokens.weight.device
        self.sampler = Sampler(
            [params] * choices,
            vocab_size=model.config.vocab_size,
            prompt_ids=[prompt_ids] * choices,
            choices=range(choices),
            device=self.device,
            dialect=dialect,
            usable_ids=usable_ids,
        )
        self._cache = model.new_cache(1, len(prompt_ids) + max_tokens)
        self._logits = self._prefilled(prompt_ids).expand(choices, -1)  # [B, V]
        self._cache = self._cache.select([0] * choices)
        self._fed = torch.zeros(choices, dtype=torch.int64, device=self.device)
        self._pending = False  # whether the tokens in _fed have yet to go through the model

    @torch.no_grad()
    def step(self) -> list[SampledToken | None]:
        """Sample the next token of every choice that is not finished; None for those that are.

        Raises:
            RowError: A choice can not be sampled; the message says why and after which stage.
        """
        output = self.sampler.step(self.next_logits())
        for choice, status in enumerate(output.status.tolist()):
            if status > 0:
                raise RowError(f"choice {choice}: {self.sampler.explain(status)}")
        self._fed, self._pending = output.token_ids.clone(), True
        return on_host(output)

    @torch.no_grad()
    def next_logits(self) -> Tensor:
        """The model's logits for the next step, [B, V]; asking twice computes them once."""
        if self._pending:
            running = (self._fed >= 0).long()
            self._logits = self.model.next_logits(self._fed.clamp(min=0)[:, None], self._cache, running)
            self._pending = False
        return self._logits

    def finish(self, choice: int) -> None:
        """Stop decoding one choice."""
        self.sampler.remove([choice])
        self._fed[choice] = -1

    @torch.no_grad()
    def _prefilled(self, prompt_ids: Sequence[int]) -> Tensor:
        tokens = torch.tensor([list(prompt_ids)], dtype=torch.int64, device=self.device)
        *earlier, last = tokens.split(PREFILL_CHUNK, dim=1)
        for chunk in earlier:
            self.model.next_logits(chunk, self._cache)
        return self.model.next_logits(last, self._cache)  # [1, V]
