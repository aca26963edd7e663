"""The decode loop: rows of a model that sample together, and token ids."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor

from sampling.compile.cuda_graphs import CudaGraphCache
from sampling.core.errors import InvalidArgument, NotEnoughMemory, RowError, UnsampleableRow
from sampling.core.params import SamplingParams
from sampling.dialects import Dialect
from sampling.generate.prefill import Prefill
from sampling.generate.sampled_token import SampledToken
from sampling.model import Llama
from sampling.model.allocation import allocate
from sampling.model.forward import forward_of
from sampling.processors import Constraint
from sampling.sampler import SampleOutput, Sampler

SMALLEST_HISTORY = 512  # tokens of a compiled sampler's rows


def table_of(output: SampleOutput) -> Tensor:
    """Return a step's output as one float64 tensor, [B, 4 + 2K], which the host reads at once."""
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
    how many others are in use. Memory for keys and values follows the tokens of each row (`DividedCache`), or of the longest
    one where the model's step is compiled (`GrowingCache`).

    Args:
        model: The model; its parts and hooks stay as they are while rows decode.
        rows: B, how many rows there are.
        capacity: Most tokens of a row, prompt and sampled, at most the model's context.
        tokenizer_vocab_size: Token ids from here on are never sampled.
        dialect: How to sample.
        compile: Whether a step is compiled: faster, after a while of compiling, which is announced once in the log. Logits
            are the same but for their rounding, and from equal logits on everything is. On CUDA the model's step and the
            sampler's are replayed as one graph.

    Raises:
        NotEnoughMemory: Not even short rows have room.
    """

    def __init__(
        self,
        model: Llama,
        *,
        rows: int,
        capacity: int,
        tokenizer_vocab_size: int,
        dialect: Dialect,
        compile: bool = False,  # noqa: A002 (the name that torch uses)
    ) -> None:
        self.model, self.rows, self.capacity = model, rows, capacity
        self.device = model.embed_tokens.weight.device
        context = model.config.max_position_embeddings
        most = max(capacity, min(rounded(capacity), context)) if compile else capacity
        size = model.config.vocab_size
        self._logits = allocate(
            lambda: torch.zeros(rows, size, device=self.device), 4 * rows * size, self.device, model.from_all
        )
        self._forward = forward_of(
            model, most, self._logits, compiled=compile, before_moving=self._forget_steps
        )
        self.sampler = Sampler(
            [SamplingParams()] * rows if compile else [],
            vocab_size=size,
            device=self.device,
            dialect=dialect,
            max_history=most + 1 if compile else None,  # the last one never goes through the model
            tokenizer_vocab_size=tokenizer_vocab_size,
            compile=compile,
        )
        # A compiled step has one number of slots from the start; all of them are free.
        self.sampler.remove(range(len(self.sampler.slots)))
        # Tokens that have yet to go through the model, -1 where there is none; on the host, 1 where there is one.
        self._tokens = torch.full((rows,), -1, device=self.device)
        self._fed = torch.zeros(rows, dtype=torch.int64)
        self._short: dict[int, NotEnoughMemory] = {}  # rows that got no room; their logits are NaN
        self._coming: list[Prefill] = []
        self._replay = CudaGraphCache() if compile and self.device.type == "cuda" else None
        self._announced = before_compiling(rows) if compile else nullcontext()

    @property
    def free(self) -> int:
        """How many rows are free, and not promised to a prompt that is on its way."""
        slots = self.sampler.slots
        return self.rows - len(slots) + slots.num_free - sum(prefill.choices for prefill in self._coming)

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
        """Take a prompt in at once, by one prefill for all its choices; arguments and errors as in `begin`.

        Returns:
            The row of each choice.
        """
        prefill = self.begin(
            prompt_ids, params, choices=choices, max_tokens=max_tokens, constraints=constraints
        )
        while not (rows := self.advance(prefill)):
            pass
        return rows

    @torch.no_grad()
    def begin(
        self,
        prompt_ids: Sequence[int],
        params: SamplingParams,
        *,
        choices: int = 1,
        max_tokens: int = 1,
        constraints: Sequence[Constraint | None] | None = None,
        first_choice: int = 0,
        alternatives: int | None = None,
    ) -> Prefill:
        """Promise rows to a prompt, which is then taken in part by part, by `advance`.

        Args:
            prompt_ids: The prompt, at least one token.
            params: The sampling parameters.
            choices: n, how many choices.
            max_tokens: Most tokens of a choice.
            constraints: Which tokens may come next in each choice; all when left out.
            first_choice: The number of the first choice, by which the choices of one seed differ.
            alternatives: How many alternatives are reported beside each token of the prompt; None where its log
                probabilities are not wanted.

        Raises:
            InvalidArgument: There are not so many free rows, or not so long ones, or the sampler refuses.
            NotEnoughMemory: There is no memory for the prompt.
        """
        most = len(prompt_ids) + max_tokens
        if most > self.capacity:
            words = f"with the prompt's {len(prompt_ids)} at most {self.capacity}, the capacity of a row"
            raise InvalidArgument("max_tokens", max_tokens, words)
        if choices > self.free:
            raise InvalidArgument("n", choices, f"at most {self.free}, the rows that are free")
        prepared = self.sampler.prepare(
            [params] * choices,
            [prompt_ids] * choices,
            range(first_choice, first_choice + choices),
            constraints,
        )
        rooms = self._forward.cache.rooms(len(prompt_ids), most=most, choices=choices)
        prefill = Prefill(self.model, prompt_ids, rooms, prepared, most, alternatives)
        self._coming.append(prefill)
        return prefill

    @torch.no_grad()
    def advance(self, prefill: Prefill) -> list[int]:
        """Run the next part of a prompt.

        Returns:
            The row of each choice once the prompt is through, else none.

        Raises:
            NotEnoughMemory: Memory ends; nothing of the prompt is left.
        """
        try:
            prefill.advance()
            return [] if prefill.logits is None else self._seated(prefill, prefill.logits)
        except BaseException:
            self.give_up(prefill)
            raise

    def give_up(self, prefill: Prefill) -> None:
        """Take back the promise of rows to a prompt that is not through."""
        if prefill in self._coming:
            self._coming.remove(prefill)

    @torch.no_grad()
    def step(self) -> dict[int, SampledToken | RowError]:
        """Sample the next token of every row in use.

        Returns:
            By row its token, or why it cannot be sampled.
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
                sampled[row] = self._short.get(row) or UnsampleableRow(self.sampler.explain(status))
        return sampled

    @torch.no_grad()
    def next_logits(self) -> Tensor:
        """Return the model's logits for the next step, [B, V]; asking twice computes them once."""
        if bool(self._fed.any()):
            self._reserve()
            self._forward.run(self._tokens)
            self._tokens.fill_(-1)
            self._fed.zero_()
        return self._logits

    def _run_step(self) -> Tensor:
        """Run a step and return its table."""
        if self._replay is None or not self._fed.any() or self.sampler.slots.constrained:
            return self._sampled(self.next_logits())
        self._reserve()
        return self._replay.run(self._forward.shape, self._forward_and_sampled)

    def _reserve(self) -> None:
        """Take the places of the next step; a row without one cannot be sampled any more."""
        lost = self._forward.reserve(self._fed)
        if lost:
            self._short |= lost
            self._tokens[[*lost]] = -1
            self._logits[[*lost]] = torch.nan

    def _forward_and_sampled(self) -> Tensor:
        """Run a step on the device alone and return its table."""
        self._forward.run(self._tokens)
        return self._sampled(self._logits)

    def _sampled(self, logits: Tensor) -> Tensor:
        """Sample the next tokens, which have yet to go through the model, and return their table."""
        output = self.sampler.step(logits[: len(self.sampler.slots)])
        self._tokens[: len(output.token_ids)] = output.token_ids
        return table_of(output)

    def remove(self, rows: Sequence[int]) -> None:
        """Free rows; the others go on as they are."""
        if rows:
            self.sampler.remove(rows)
            self._forget_steps()
            self._forward.cache.free(rows)
            for row in rows:
                self._short.pop(row, None)
            self._tokens[list(rows)] = -1
            self._fed[list(rows)] = 0

    def _forget_steps(self) -> None:
        """Invalidate captured graphs after requests were added or removed."""
        if self._replay is not None:
            self._replay.forget()

    def _seated(self, prefill: Prefill, logits: Tensor) -> list[int]:
        """Give a prompt that is through its rows: its keys, values and logits go there."""
        self._coming.remove(prefill)
        self._forget_steps()
        rows = self.sampler.seat(prefill.prepared)
        try:
            self._forward.cache.copy_prefix(rows, prefill.rooms, length=prefill.length, most=prefill.most)
        except BaseException:
            self.sampler.remove(rows)
            raise
        self._logits[rows] = logits
        return rows


def before_compiling(rows: int) -> AbstractContextManager[None]:
    """Announces what compiles in it; torch's compiler takes seconds to import, so only where one is needed."""
    from sampling.compile.notice import CompileNotice

    return CompileNotice(
        f"compiling the decode step of {rows} row{'s' * (rows > 1)}: this takes a while, less in later runs"
    )


def rounded(capacity: int) -> int:
    """Return a power of two that is not below a capacity: few shapes, so that compiled steps serve again."""
    return max(SMALLEST_HISTORY, 1 << (capacity - 1).bit_length())
