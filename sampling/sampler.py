"""A batch of requests, sampled together."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from sampling_kernels.faults import NOT_A_NUMBER, without_faults
from sampling_kernels.philox import WORD
from sampling_kernels.weights import LARGEST_VOCABULARY
from torch import Tensor

from sampling.assembly import assemble
from sampling.dialects import MODES, Dialect, parts
from sampling.dialects import dialect as dialect_named
from sampling.draw import draw, seed_key
from sampling.errors import InvalidRequest
from sampling.history import History
from sampling.logits import float32_logits
from sampling.logprobs import Logprobs, logprobs_of
from sampling.params import SamplingParams, integer
from sampling.pipeline import Pipeline
from sampling.processors import Truncation, UsableIds
from sampling.trace import Trace

FREE_SLOT, FULL_SLOT = -1, -2


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


@dataclass(frozen=True)
class Slot:
    """A request in its slot.

    Args:
        params: Its parameters.
        seed: Its seed, given or fresh.
        choice: Its index among the n choices.
    """

    params: SamplingParams
    seed: int
    choice: int


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
        max_history: Most tokens, prompt and sampled, that a slot may hold, after which it has a status; None for no limit.
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
        self.vocab_size = integer("vocab_size", vocab_size, 1, LARGEST_VOCABULARY)
        self.usable_ids = (
            vocab_size if usable_ids is None else integer("usable_ids", usable_ids, 1, vocab_size)
        )
        self.dialect = dialect_named(dialect)
        self.modes = checked_modes(logprob_modes, self.dialect)
        self.max_history = None if max_history is None else integer("max_history", max_history, 1)
        self.device = torch.device(device)
        self.slots: list[Slot | None] = []
        self.history = History.start([], device=device)
        prompts = [[] for _ in params] if prompt_ids is None else prompt_ids
        choices = [0] * len(params) if choices is None else choices
        if not len(prompts) == len(choices) == len(params):
            lengths = (len(prompts), len(choices))
            raise InvalidRequest("prompt_ids and choices", lengths, f"{len(params)} long, as params is")
        self._place([self._slot(*one) for one in zip(params, choices, strict=True)], prompts)

    @property
    def seeds(self) -> list[int | None]:
        """The seed of each slot, fresh ones included: what replays a slot's tokens. None for a free slot."""
        return [slot.seed if slot else None for slot in self.slots]

    def add(self, params: SamplingParams, prompt_ids: Sequence[int], choice: int = 0) -> int:
        """Put a request into the first free slot, or a new one behind the others.

        Args:
            params: The request's parameters.
            prompt_ids: Its prompt.
            choice: Its index among the n choices.

        Returns:
            The slot.

        Raises:
            InvalidRequest: The request can not be served; the sampler is as it was.
        """
        free = next((place for place, slot in enumerate(self.slots) if slot is None), len(self.slots))
        self._place([self._slot(params, choice)], [prompt_ids], free)
        return free

    def remove(self, slots: Sequence[int]) -> None:
        """Free slots; the other slots keep their places and their draws.

        Raises:
            InvalidRequest: A slot that is not in use.
        """
        for place in slots:
            if not 0 <= place < len(self.slots) or self.slots[place] is None:
                raise InvalidRequest("slots", place, "slots in use")
        self._serve([None if place in slots else slot for place, slot in enumerate(self.slots)])

    def step(self, logits: Tensor) -> SampleOutput:
        """Sample one token for every slot and take it into the history.

        Args:
            logits: The model's, [slots, V], float32, or bfloat16 or float16, which are widened; rows of free slots are
                ignored.

        Returns:
            The tokens and their log probabilities. A row that can not be sampled has a status; the others go on.

        Raises:
            InvalidRequest: The logits have another shape or type.
        """
        if tuple(logits.shape) != (len(self.slots), self.vocab_size):
            raise InvalidRequest(
                "logits", tuple(logits.shape), f"of shape {(len(self.slots), self.vocab_size)}"
            )
        by_mode, last, status = self._run(float32_logits(logits))
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
            return {0: "fine", FREE_SLOT: "free slot", FULL_SLOT: "full: the slot holds max_history tokens"}[
                status
            ]
        place, kind = divmod(status - 1, 2)
        names = ["the model", "usable_ids", *(" & ".join(parts(stage)) for stage in self.dialect.order)]
        what = "NaN or +infinity in the logits" if kind + 1 == NOT_A_NUMBER else "nothing left to sample"
        return f"{what} after {names[place]}"

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
        return max((slot.params.top_logprobs for slot in self.slots if slot), default=0)

    def _slot(self, params: SamplingParams, choice: int) -> Slot:
        highest = max(params.logit_bias, default=-1)
        if highest >= self.vocab_size:
            raise InvalidRequest("logit_bias", highest, f"token ids below {self.vocab_size}")
        seed = secrets.randbits(64) if params.seed is None else params.seed
        return Slot(params, seed, integer("choice", choice, 0, WORD))

    def _place(self, new: Sequence[Slot], prompts: Sequence[Sequence[int]], place: int | None = None) -> None:
        """Put new slots behind the others, or one of them at a place; refusals change nothing."""
        end = len(self.slots)
        arrived = History.start(prompts, device=self.device)
        if arrived.highest_prompt_id >= self.vocab_size:
            raise InvalidRequest(
                "prompt_ids", arrived.highest_prompt_id, f"token ids below {self.vocab_size}"
            )
        longest = max(map(len, prompts), default=0)
        if self.max_history is not None and longest > self.max_history:
            words = f"at most max_history = {self.max_history} tokens long"
            raise InvalidRequest("prompt_ids", f"a prompt of {longest} tokens", words)
        history = self.history.merge(arrived)
        rows = list(range(len(history)))
        if place is not None and place < end:
            rows = [*range(place), end, *range(place + 1, end)]
            history = history.select(rows)
        together = [*self.slots, *new]
        self._serve([together[row] for row in rows])
        self.history = history

    def _serve(self, slots: list[Slot | None]) -> None:
        """Build what a step needs for these slots."""
        idle = Slot(SamplingParams(), 0, 0)
        filled = [slot or idle for slot in slots]
        mask = [UsableIds(self.usable_ids)] if self.usable_ids < self.vocab_size else []
        self._assembly = assemble([slot.params for slot in filled], self.dialect, masks=mask)
        self._keys = torch.tensor(
            [seed_key(slot.seed) for slot in filled], dtype=torch.int64, device=self.device
        )
        self._choices = torch.tensor([slot.choice for slot in filled], dtype=torch.int64, device=self.device)
        self._free = torch.tensor([slot is None for slot in slots], dtype=torch.bool, device=self.device)
        self.slots = slots

    def _idle(self) -> Tensor:
        """The status of slots that do not take part, 0 for the others, int64 [B]."""
        status = torch.where(self._free, FREE_SLOT, 0)
        if self.max_history is None:
            return status
        return torch.where(~self._free & (self.history.lengths >= self.max_history), FULL_SLOT, status)

    def _run(self, logits: Tensor) -> tuple[dict[str, Tensor], Tensor, Tensor]:
        """Run the pipeline; logits of every mode, the logits to draw from, and the status of each row."""
        safe, faults = without_faults(logits)
        idle = self._idle()
        status = torch.where(idle < 0, idle, faults)
        shaped = processed = raw = torch.where(self._free[:, None], 0.0, safe)
        assembly = self._assembly
        for place, stage in zip(assembly.places, assembly.pipeline, strict=True):
            together = processed is shaped
            processed, faults = without_faults(stage(processed, self.history))
            status = torch.where((status == 0) & (faults > 0), 2 * (place + 2) + faults, status)
            if not isinstance(stage, Truncation):
                shaped = processed if together else without_faults(stage(shaped, self.history))[0]
        last = assembly.arg_max(processed, self.history) if assembly.arg_max else processed
        return {"raw": raw, "temperature": shaped, "processed": processed}, last, status


def checked_modes(modes: Sequence[str] | None, dialect: Dialect) -> tuple[str, ...]:
    """The log probability modes to report: those asked for, or the dialect's own."""
    chosen = (dialect.logprob_mode,) if modes is None else tuple(modes)
    unknown = next((mode for mode in chosen if mode not in MODES), None)
    if unknown is not None or not chosen:
        raise InvalidRequest("logprob_modes", unknown or [], f"one or more of {', '.join(MODES)}")
    return chosen
