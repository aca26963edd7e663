"""A batch of requests, sampled together."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from sampling_kernels.faults import NOT_A_NUMBER, row_faults
from torch import Tensor

from sampling.assembly import Assembly, assemble
from sampling.dialects import MODES, Dialect
from sampling.dialects import dialect as dialect_named
from sampling.draw import draw, seed_key
from sampling.errors import InvalidRequest
from sampling.history import History
from sampling.logprobs import Logprobs, logprobs_of
from sampling.params import SamplingParams, integer
from sampling.pipeline import Pipeline
from sampling.processors import Truncation, Vocabulary
from sampling.trace import Trace

EMPTY_SLOT = -1


@dataclass(frozen=True)
class SampleOutput:
    """One sampled token per slot; tensors on the sampler's device.

    Args:
        token_ids: int64 [B]; -1 where nothing was sampled.
        logprobs: Of those tokens in the dialect's mode, float32 [B].
        ranks: Their ranks, 1 for the most likely, int64 [B].
        top_token_ids: The K most likely tokens, int64 [B, K].
        top_logprobs: Their log probabilities, float32 [B, K].
        status: 0, or why nothing was sampled, int64 [B]; `Sampler.explain` puts it in words.
        modes: Every log probability mode that was asked for, by name.
    """

    token_ids: Tensor
    logprobs: Tensor
    ranks: Tensor
    top_token_ids: Tensor
    top_logprobs: Tensor
    status: Tensor
    modes: Mapping[str, Logprobs]


class Sampler:
    """Samples for a batch of requests, each row by its own parameters, seed and choice.

    A row's tokens depend on its own logits, parameters, seed and choice and on nothing around it. Slots are stable: removing
    one leaves the others where they are, and a new request takes the first free one.

    Args:
        params: One request per slot.
        vocab_size: V, the width of the logits.
        prompt_ids: The prompt of each slot; empty prompts when left out.
        choices: Index of each slot's choice among the n of its request; 0 when left out.
        device: Where the logits will be.
        dialect: A dialect or its name.
        logprob_modes: Which distributions to report log probabilities of: any of `raw`, `temperature`, `processed`. The
            first is the one in the output's own fields. None takes the dialect's.
        max_history: Most tokens, prompt and sampled, that a slot may hold; None for no limit.
        usable_ids: Token ids from here on are never sampled (padding of the vocabulary); None allows all.
        compile: Reserved; only False for now.

    Raises:
        InvalidRequest: Lengths that differ, an id outside the vocabulary, a stage the dialect does not have.

    Example:
        >>> import torch
        >>> sampler = Sampler([SamplingParams(temperature=0), SamplingParams(seed=1)], vocab_size=4)
        >>> out = sampler.step(torch.tensor([[0.0, 3.0, 1.0, 2.0], [0.0, 0.0, 9.0, 0.0]]))
        >>> out.token_ids.tolist(), out.ranks.tolist()
        ([1, 2], [1, 1])
    """

    def __init__(
        self,
        params: Sequence[SamplingParams],
        *,
        vocab_size: int,
        prompt_ids: Sequence[Sequence[int]] | None = None,
        choices: Sequence[int] | None = None,
        device: torch.device | str = "cpu",
        dialect: str | Dialect = "qstash",
        logprob_modes: Sequence[str] | None = None,
        max_history: int | None = None,
        usable_ids: int | None = None,
        compile: bool = False,  # noqa: A002 (the name that torch uses)
    ) -> None:
        if compile:
            raise InvalidRequest("compile", compile, "False: the compiled step is not there yet")
        self.vocab_size = integer("vocab_size", vocab_size, 1, 2**19 - 1)
        self.dialect = dialect_named(dialect)
        self.modes = checked_modes(logprob_modes, self.dialect)
        self.max_history = max_history
        self.usable_ids = self.vocab_size if usable_ids is None else usable_ids
        self.device = torch.device(device)
        self.slots: list[SamplingParams | None] = []
        self.seeds: list[int] = []
        self.history = History.start([], device=device)
        self._keys = self._choices = torch.zeros(0, dtype=torch.int64, device=device)
        prompts = [[] for _ in params] if prompt_ids is None else prompt_ids
        choices = [0] * len(params) if choices is None else choices
        if not len(prompts) == len(choices) == len(params):
            raise InvalidRequest(
                "prompt_ids and choices", (len(prompts), len(choices)), f"{len(params)} long, as params is"
            )
        self._append(params, prompts, choices)

    def add(self, params: SamplingParams, prompt_ids: Sequence[int], choice: int = 0) -> int:
        """Put a request into the first free slot, or a new one behind the others.

        Args:
            params: The request's parameters.
            prompt_ids: Its prompt.
            choice: Its index among the n choices.

        Returns:
            The slot.
        """
        end = len(self.slots)
        self._append([params], [prompt_ids], [choice])
        slot = next((i for i in range(end) if self.slots[i] is None), end)
        if slot < end:
            rows = [*range(slot), end, *range(slot + 1, end)]
            self.slots = [self.slots[i] for i in rows]
            self.seeds = [self.seeds[i] for i in rows]
            self.history = self.history.select(rows)
            self._keys, self._choices = self._keys[rows], self._choices[rows]
            self._assembly = self._assembled()
        return slot

    def remove(self, slots: Sequence[int]) -> None:
        """Free slots; the other slots keep their places and their draws.

        Raises:
            InvalidRequest: A slot that is not in use.
        """
        for slot in slots:
            if not 0 <= slot < len(self.slots) or self.slots[slot] is None:
                raise InvalidRequest("slots", slot, "slots in use")
        for slot in slots:
            self.slots[slot] = None
        self._assembly = self._assembled()

    def step(self, logits: Tensor) -> SampleOutput:
        """Sample one token for every slot and take it into the history.

        Args:
            logits: The model's, [slots, V], any float type; rows of free slots are ignored.

        Returns:
            The tokens and their log probabilities. A row that can not be sampled has a status; the others go on.

        Raises:
            InvalidRequest: The logits have another shape, or the history is full.
        """
        if tuple(logits.shape) != (len(self.slots), self.vocab_size):
            raise InvalidRequest(
                "logits", tuple(logits.shape), f"of shape {(len(self.slots), self.vocab_size)}"
            )
        if self.max_history is not None and self.history.longest >= self.max_history:
            raise InvalidRequest("max_history", self.max_history, "longer than every row of the history")
        by_mode, last, status = self._run(logits.float())
        fine = status == 0
        sampled = draw(last, seed=self._keys, position=self.history.sampled, choice=self._choices)
        drawn = sampled.clamp(min=0)
        modes = {m: logprobs_of(by_mode[m], drawn, self.alternatives).masked(fine) for m in self.modes}
        token_ids = torch.where(fine, sampled, -1)
        self.history.accept(token_ids)
        first = modes[self.modes[0]]
        return SampleOutput(
            token_ids,
            first.logprobs,
            first.ranks,
            first.top_token_ids,
            first.top_logprobs,
            status,
            modes,
        )

    def explain(self, status: int) -> str:
        """Put a row's status into words: what is wrong and the stage after which it was."""
        if status <= 0:
            return "fine" if status == 0 else "free slot"
        stage, kind = divmod(status - 1, 2)
        names = ["the model", *(processor.name for processor in self._assembly.pipeline)]
        what = "NaN or +infinity in the logits" if kind + 1 == NOT_A_NUMBER else "nothing left to sample"
        return f"{what} after {names[stage]}"

    def trace(self, logits: Tensor, *, top: int = 5) -> Trace:
        """What each stage of the batch's pipeline does to these logits; nothing is sampled.

        Args:
            logits: The model's, [slots, V].
            top: How many of the most likely tokens to show.
        """
        last = [self._assembly.arg_max] if self._assembly.arg_max else []
        return Pipeline(self._assembly.pipeline, *last).trace(logits, self.history, top=top)

    @property
    def alternatives(self) -> int:
        """K: the most alternatives that any slot asks for."""
        return max((params.top_logprobs for params in self.slots if params), default=0)

    def _append(
        self, params: Sequence[SamplingParams], prompts: Sequence[Sequence[int]], choices: Sequence[int]
    ) -> None:
        for row in prompts:
            outside = next((token for token in row if token >= self.vocab_size), None)
            if outside is not None:
                raise InvalidRequest("prompt_ids", outside, f"token ids below {self.vocab_size}")
        seeds = [secrets.randbits(64) if one.seed is None else one.seed for one in params]
        keys = torch.tensor([seed_key(seed) for seed in seeds], dtype=torch.int64, device=self.device)
        self._keys = torch.cat([self._keys, keys])
        places = torch.tensor(
            [integer("choice", c, 0, 2**32 - 1) for c in choices], dtype=torch.int64, device=self.device
        )
        self._choices = torch.cat([self._choices, places])
        self.history = self.history.merge(History.start(prompts, device=self.device))
        self.slots += params
        self.seeds += seeds
        self._assembly = self._assembled()

    def _assembled(self) -> Assembly:
        idle = SamplingParams()
        mask = [Vocabulary(self.usable_ids)] if self.usable_ids < self.vocab_size else []
        assembly = assemble([params or idle for params in self.slots], self.dialect, masks=mask)
        free = [params is None for params in self.slots]
        self._free = torch.tensor(free, dtype=torch.bool, device=self.device)
        for params in self.slots:
            highest = max(params.logit_bias, default=-1) if params else -1
            if highest >= self.vocab_size:
                raise InvalidRequest("logit_bias", highest, f"token ids below {self.vocab_size}")
        return assembly

    def _run(self, logits: Tensor) -> tuple[dict[str, Tensor], Tensor, Tensor]:
        """Run the pipeline; logits of every mode, the logits to draw from, and the status of each row."""
        status = torch.where(self._free, EMPTY_SLOT, row_faults(logits))
        shaped = processed = raw = torch.where((status != 0)[:, None], 0.0, logits)
        for index, stage in enumerate(self._assembly.pipeline, start=1):
            together = processed is shaped
            processed = stage(processed, self.history)
            faults = row_faults(processed)
            status = torch.where((status == 0) & (faults > 0), 2 * index + faults, status)
            processed = torch.where((faults > 0)[:, None], 0.0, processed)
            if not isinstance(stage, Truncation):
                shaped = processed if together else stage(shaped, self.history)
        last = self._assembly.arg_max(processed, self.history) if self._assembly.arg_max else processed
        return {"raw": raw, "temperature": shaped, "processed": processed}, last, status


def checked_modes(modes: Sequence[str] | None, dialect: Dialect) -> tuple[str, ...]:
    """The log probability modes to report: those asked for, or the dialect's own."""
    chosen = (dialect.logprob_mode,) if modes is None else tuple(modes)
    unknown = next((mode for mode in chosen if mode not in MODES), None)
    if unknown is not None or not chosen:
        raise InvalidRequest("logprob_modes", unknown, f"one or more of {', '.join(MODES)}")
    return chosen
