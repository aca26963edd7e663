"""The decode loop: rows of a model that sample together, and token ids."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from sampling.dialects import Dialect
from sampling.errors import InvalidRequest, RowError
from sampling.model import Llama
from sampling.params import SamplingParams
from sampling.processors import Constraint
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


class Decoder:
    """Rows of a model that are decoded together; prompts come and go.

    Every step runs all rows, those in use and those that are free: one shape, so that what a row computes does not depend on
    how many others are in use.

    Args:
        model: The model.
        rows: B, how many rows there are.
        capacity: Most tokens of a row, prompt and sampled, at most the model's context.
        usable_ids: Token ids from here on are never sampled.
        dialect: How to sample.
    """

    def __init__(self, model: Llama, *, rows: int, capacity: int, usable_ids: int, dialect: Dialect) -> None:
        self.model, self.rows, self.capacity = model, rows, capacity
        self.device = model.embed_tokens.weight.device
        self.sampler = Sampler(
            [], vocab_size=model.config.vocab_size, device=self.device, dialect=dialect, usable_ids=usable_ids
        )
        self._cache = model.new_cache(rows, capacity)
        self._logits = torch.zeros(rows, model.config.vocab_size, device=self.device)
        self._fed = torch.full((rows,), -1, dtype=torch.int64)  # tokens that have yet to go through the model

    @property
    def free(self) -> int:
        """How many rows are free."""
        return self.rows - sum(slot is not None for slot in self.sampler.slots)

    @torch.no_grad()
    def add(
        self,
        prompt_ids: Sequence[int],
        params: SamplingParams,
        *,
        choices: int = 1,
        max_tokens: int = 1,
        constraints: Sequence[Constraint | None] | None = None,
    ) -> list[int]:
        """Take a prompt in, by one prefill for all its choices.

        Args:
            prompt_ids: The prompt, at least one token.
            params: The sampling parameters.
            choices: n, how many choices.
            max_tokens: Most tokens of a choice.
            constraints: Which tokens may come next in each choice; all when left out.

        Returns:
            The row of each choice.

        Raises:
            InvalidRequest: There are not so many free rows, or not so long ones, or the sampler refuses.
        """
        if len(prompt_ids) + max_tokens > self.capacity:
            words = f"with the prompt's {len(prompt_ids)} at most {self.capacity}, the capacity of a row"
            raise InvalidRequest("max_tokens", max_tokens, words)
        if choices > self.free:
            raise InvalidRequest("n", choices, f"at most {self.free}, the rows that are free")
        rows = self.sampler.add_all([params] * choices, [prompt_ids] * choices, range(choices), constraints)
        try:
            self._prefill(prompt_ids, rows)
        except BaseException:
            self.sampler.remove(rows)
            raise
        return rows

    @torch.no_grad()
    def step(self) -> dict[int, SampledToken | RowError]:
        """Sample the next token of every row in use.

        Returns:
            By row its token, or why it can not be sampled.
        """
        logits = self.next_logits()[: len(self.sampler.slots)]
        output = self.sampler.step(logits)
        self._fed[: len(logits)] = output.token_ids.cpu()
        sampled: dict[int, SampledToken | RowError] = {}
        for row, (token, status) in enumerate(zip(on_host(output), output.status.tolist(), strict=True)):
            if token is not None:
                sampled[row] = token
            elif status > 0:
                sampled[row] = RowError(self.sampler.explain(status))
        return sampled

    @torch.no_grad()
    def next_logits(self) -> Tensor:
        """The model's logits for the next step, [B, V]; asking twice computes them once."""
        fed = self._fed >= 0
        if bool(fed.any()):
            tokens = self._fed.clamp(min=0).to(self.device)
            logits = self.model.next_logits(tokens[:, None], self._cache, fed.long())
            if waiting := self._waiting(fed):
                logits[waiting] = self._logits[waiting]
            self._logits = logits
            self._fed.fill_(-1)
        return self._logits

    def remove(self, rows: Sequence[int]) -> None:
        """Free rows; the others go on as they are."""
        self.sampler.remove(rows)
        self._fed[list(rows)] = -1

    def _waiting(self, fed: Tensor) -> list[int]:
        """The rows in use whose logits are there already."""
        return [row for row, slot in enumerate(self.sampler.slots) if slot is not None and not fed[row]]

    def _prefill(self, prompt_ids: Sequence[int], rows: Sequence[int]) -> None:
        """Run the prompt once, and put its keys, values and logits into the rows."""
        single = self.model.new_cache(1, len(prompt_ids))
        tokens = torch.tensor([list(prompt_ids)], dtype=torch.int64, device=self.device)
        *earlier, last = tokens.split(PREFILL_CHUNK, dim=1)
        for chunk in earlier:
            self.model.next_logits(chunk, single)
        self._logits[list(rows)] = self.model.next_logits(last, single)
        self._cache.put(rows, single)
