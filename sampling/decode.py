"""The decode loop: rows of a model that sample together, and token ids."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor

from sampling.dialects import Dialect
from sampling.errors import InvalidRequest, RowError
from sampling.model import Llama
from sampling.model.forward import forward_of
from sampling.params import SamplingParams
from sampling.processors import Constraint
from sampling.replay import Replay
from sampling.sampler import SampleOutput, Sampler

PREFILL_CHUNK = 512
SMALLEST_ROOM = 512  # positions of a compiled decoder's rows


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


def table_of(output: SampleOutput) -> Tensor:
    """A step's output in one float64 tensor, [B, 4 + 2K], in which every number has its place: the host reads it at once."""
    columns = (output.token_ids, output.status, output.logprobs, output.ranks)
    return torch.cat(
        [torch.stack([column.double() for column in columns], 1), output.top_token_ids, output.top_logprobs],
        1,
    )


def on_host(table: Tensor) -> list[tuple[int, SampledToken | None]]:
    """Move a step's table to the host: of each row its status, and its token if one was sampled."""
    alternatives = (table.shape[1] - 4) // 2
    rows: list[tuple[int, SampledToken | None]] = []
    for token, status, logprob, rank, *top in table.tolist():
        ids, logprobs = map(int, top[:alternatives]), top[alternatives:]
        sampled = SampledToken(int(token), logprob, int(rank), tuple(zip(ids, logprobs, strict=True)))
        rows.append((int(status), sampled if token >= 0 else None))
    return rows


class Decoder:
    """Rows of a model that are decoded together; prompts come and go.

    Every step runs all rows, those in use and those that are free: one shape, so that what a row computes does not depend on
    how many others are in use.

    Args:
        model: The model; its parts and hooks stay as they are while rows decode.
        rows: B, how many rows there are.
        capacity: Most tokens of a row, prompt and sampled, at most the model's context.
        usable_ids: Token ids from here on are never sampled.
        dialect: How to sample.
        compile: Whether a step is compiled: faster, after a while of compiling, which is announced once in the log. Logits
            are the same but for their rounding, and from equal logits on everything is. On CUDA the model's step and the
            sampler's are replayed as one graph.
    """

    def __init__(
        self,
        model: Llama,
        *,
        rows: int,
        capacity: int,
        usable_ids: int,
        dialect: Dialect,
        compile: bool = False,  # noqa: A002 (the name that torch uses)
    ) -> None:
        self.model, self.rows, self.capacity = model, rows, capacity
        self.device = model.embed_tokens.weight.device
        context = model.config.max_position_embeddings
        self._room = max(capacity, min(rounded(capacity), context)) if compile else capacity
        self.sampler = Sampler(
            [SamplingParams()] * rows if compile else [],
            vocab_size=model.config.vocab_size,
            device=self.device,
            dialect=dialect,
            max_history=self._room + 1 if compile else None,  # the last one never goes through the model
            usable_ids=usable_ids,
            compile=compile,
        )
        # A compiled step has one number of slots from the start; all of them are free.
        self.sampler.remove(range(len(self.sampler.slots)))
        self._cache = model.new_cache(rows, self._room)
        self._logits = torch.zeros(rows, model.config.vocab_size, device=self.device)
        # Tokens that have yet to go through the model, -1 where there is none; on the host, 1 where there is one.
        self._tokens = torch.full((rows,), -1, device=self.device)
        self._fed = torch.zeros(rows, dtype=torch.int64)
        self._forward = forward_of(model, self._cache, self._logits, compiled=compile)
        self._replay = Replay() if compile and self.device.type == "cuda" else None
        self._announced = before_compiling(rows) if compile else nullcontext()

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
        self._forget_steps()
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
        with self._announced:
            table = self._run_step()
        self._fed.zero_()
        sampled: dict[int, SampledToken | RowError] = {}
        for row, (status, token) in enumerate(on_host(table)):
            if token is not None:
                sampled[row] = token
                self._fed[row] = 1
            elif status > 0:
                sampled[row] = RowError(self.sampler.explain(status))
        return sampled

    @torch.no_grad()
    def next_logits(self) -> Tensor:
        """The model's logits for the next step, [B, V]; asking twice computes them once."""
        if bool(self._fed.any()):
            self._forward.claim(self._fed)
            self._forward.run(self._tokens)
            self._tokens.fill_(-1)
            self._fed.zero_()
        return self._logits

    def _run_step(self) -> Tensor:
        """The table of a step."""
        if self._replay is None or not self._fed.any() or self._constrained:
            return self._sampled(self.next_logits())
        self._forward.claim(self._fed)
        return self._replay.run(len(self._cache.seen), self._forward_and_sampled)

    def _forward_and_sampled(self) -> Tensor:
        """A step on the device alone."""
        self._forward.run(self._tokens)
        return self._sampled(self._logits)

    def _sampled(self, logits: Tensor) -> Tensor:
        """The table of the next tokens, which have yet to go through the model."""
        output = self.sampler.step(logits[: len(self.sampler.slots)])
        self._tokens[: len(output.token_ids)] = output.token_ids
        return table_of(output)

    @property
    def _constrained(self) -> bool:
        """Whether the host has a say in what comes next."""
        return any(slot is not None and slot.constraint is not None for slot in self.sampler.slots)

    def remove(self, rows: Sequence[int]) -> None:
        """Free rows; the others go on as they are."""
        if rows:
            self.sampler.remove(rows)
            self._forget_steps()
            self._cache.release(rows)
            self._tokens[list(rows)] = -1
            self._fed[list(rows)] = 0

    def _forget_steps(self) -> None:
        """The sampler's stages and numbers are other ones from now on."""
        if self._replay is not None:
            self._replay.forget()

    def _prefill(self, prompt_ids: Sequence[int], rows: Sequence[int]) -> None:
        """Run the prompt once, and put its keys, values and logits into the rows."""
        single = self.model.new_cache(1, len(prompt_ids))
        tokens = torch.tensor([list(prompt_ids)], dtype=torch.int64, device=self.device)
        *earlier, last = tokens.split(PREFILL_CHUNK, dim=1)
        for chunk in earlier:
            self.model.next_logits(chunk, single)
        self._logits[list(rows)] = self.model.next_logits(last, single)
        self._cache.put(rows, single)


def before_compiling(rows: int) -> AbstractContextManager[None]:
    """Announces what compiles in it; torch's compiler takes seconds to import, so only where one is needed."""
    from sampling.announcement import Announcement

    return Announcement(
        f"compiling the decode step of {rows} row{'s' * (rows > 1)}: this takes a while, less in later runs"
    )


def rounded(capacity: int) -> int:
    """A power of two that is not below a capacity: few shapes, so that compiled steps serve again."""
    return max(SMALLEST_ROOM, 1 << (capacity - 1).bit_length())
