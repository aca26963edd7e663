"""A batch of requests, sampled together."""

from __future__ import annotations

import secrets
from collections.abc import Sequence, Sized
from dataclasses import dataclass, replace
from numbers import Integral
from typing import TypeVar, cast

import torch
from sampling_kernels.branching import may_branch
from sampling_kernels.faults import NOT_A_NUMBER
from sampling_kernels.philox import WORD
from sampling_kernels.weights import LARGEST_VOCABULARY
from torch import Tensor

from sampling.compile.graphs import compiled
from sampling.core.device import checked_device
from sampling.core.errors import InvalidArgument, InvalidRequest
from sampling.core.history import History, Prompts
from sampling.core.logits import float32_logits, form_of
from sampling.core.params import SamplingParams, boolean, integer
from sampling.core.whole_numbers import listed, whole_list, whole_tensor
from sampling.dialects import MODES, Dialect, DialectName, Mode, parts
from sampling.dialects import dialect as dialect_named
from sampling.pipeline.assembly import MASKS, assemble, checked_params
from sampling.pipeline.pipeline import Pipeline
from sampling.pipeline.trace import Trace
from sampling.processors import AllowedTokens, Constraint, Processor, Truncation, UsableIds
from sampling.sampler.draw import Rule, checked_rule, seed_key
from sampling.sampler.step import (
    FREE_SLOT,
    FULL_SLOT,
    Batch,
    SampleOutput,
    attempt,
    complete,
    hopeful_step,
    report,
    whole_step,
)
from sampling.sampler.uniforms import Uniforms

Some = TypeVar("Some", bound=Sized)


@dataclass(frozen=True)
class Slot:
    """A request in its slot.

    Args:
        params: Its parameters.
        seed: Its seed, given or fresh.
        choice: Its index among the n choices.
        constraint: Which tokens may come next; None allows all.
    """

    params: SamplingParams
    seed: int
    choice: int
    constraint: Constraint | None = None


@dataclass(frozen=True)
class Arrivals:
    """Requests that were checked and have no slots yet.

    Args:
        slots: What will be in them.
        history: Their prompts.
    """

    slots: Sequence[Slot]
    history: History


class Sampler:
    """Samples for a batch of requests, each row by its own parameters, seed and choice.

    A row's tokens depend on its own logits, parameters, seed and choice and on nothing around it. Slots are stable: removing
    one leaves the others where they are, and a new request takes the first free one. One sampler is for one thread at a time.

    Args:
        params: One request per slot; with `num_slots` those of the first slots, none when left out.
        vocab_size: V, the width of the logits.
        num_slots: How many slots there are, always; those without a request are free, and `add` fills them. None makes one for
            each request, and `add` makes more.
        prompt_ids: The prompt of each slot, as `History.start` takes them; empty prompts when left out.
        choices: Index of each slot's choice among the n of its request; 0 when left out.
        device: Where the logits will be.
        dialect: A dialect or its name.
        logprob_modes: Which distributions to report log probabilities of: any of `raw`, `penalised`, `temperature`,
            `processed`. The first is the one in the output's own fields. None takes the dialect's; an empty list reports none.
        max_history: Most tokens, prompt and sampled, that a slot may hold, after which it has a status; None for no limit.
        usable_ids: Token ids from here on are never sampled (padding of the vocabulary); None allows all.
        rule: The rule of the draw, as `draw` has it: "integer" or "gumbel".
        compile: Whether the step is compiled: the same results, faster, after a while of compiling for each new
            combination of stages. On CUDA it is one graph that never waits for the host; `max_history` keeps its shapes fixed.
        constraints: Which tokens may come next in each slot, as a grammar has it; None allows all. Log probabilities of the
            mode `raw` do not see it. A step with a constrained slot asks it on the host, and is not compiled.

    Raises:
        InvalidArgument: Lengths that differ, an id outside the vocabulary, a stage the dialect does not have, a device that is
            not there.

    Example:
        >>> import torch
        >>> sampler = Sampler([SamplingParams(temperature=0), SamplingParams(seed=1)], vocab_size=4)
        >>> out = sampler.step(torch.tensor([[0.0, 3.0, 1.0, 2.0], [0.0, 0.0, 9.0, 0.0]]))
        >>> out.token_ids.tolist(), out.ranks.tolist()
        ([1, 2], [1, 1])
    """

    def __init__(
        self,
        params: Sequence[SamplingParams] = (),
        *,
        vocab_size: int,
        num_slots: int | None = None,
        prompt_ids: Prompts | None = None,
        choices: Sequence[int] | None = None,
        device: torch.device | str = "cpu",
        dialect: DialectName | Dialect = "qstash",
        logprob_modes: Sequence[Mode] | None = None,
        max_history: int | None = None,
        usable_ids: int | None = None,
        rule: Rule = "integer",
        compile: bool = False,  # noqa: A002 (the name that torch uses)
        constraints: Sequence[Constraint | None] | None = None,
    ) -> None:
        self.vocab_size = integer("vocab_size", vocab_size, 1, LARGEST_VOCABULARY)
        self.usable_ids = (
            vocab_size if usable_ids is None else integer("usable_ids", usable_ids, 1, vocab_size)
        )
        self.dialect = dialect_named(dialect)
        self.modes = checked_modes(logprob_modes, self.dialect)
        self.rule: Rule = checked_rule(rule)
        self.max_history = None if max_history is None else integer("max_history", max_history, 1, 2**31 - 1)
        self.device = checked_device(device)
        self.compile = boolean("compile", compile)
        self._whole_step = compiled(whole_step) if compile else whole_step
        self._hopeful_step = compiled(hopeful_step) if compile else hopeful_step
        self.num_slots = None if num_slots is None else integer("num_slots", num_slots, 1)
        self.slots: list[Slot | None] = [None] * (self.num_slots or 0)
        self.history = History.start([[] for _ in self.slots], device=device, capacity=self.max_history)
        self._prepared: Batch | None = None  # made when a step or a trace needs it
        self._uniforms: Uniforms | None = None
        self.add_all(params, prompt_ids, choices, constraints)

    @property
    def seeds(self) -> list[int | None]:
        """Return the seed of each slot, which replays its tokens; None for a free slot. Fresh seeds are among them."""
        return [slot.seed if slot else None for slot in self.slots]

    def add(
        self,
        params: SamplingParams,
        prompt_ids: Sequence[int] | Tensor,
        choice: int = 0,
        constraint: Constraint | None = None,
    ) -> int:
        """Put a request into the first free slot, or a new one behind the others.

        Args:
            params: The request's parameters.
            prompt_ids: Its prompt.
            choice: Its index among the n choices.
            constraint: Which tokens may come next; None allows all.

        Returns:
            The slot.

        Raises:
            InvalidRequest: The request cannot be served; the sampler is as it was.
            InvalidArgument: An argument is wrong in itself; the same.
        """
        return self.add_all([params], [prompt_ids], [choice], [constraint])[0]

    def add_all(
        self,
        params: Sequence[SamplingParams],
        prompt_ids: Prompts | None = None,
        choices: Sequence[int] | None = None,
        constraints: Sequence[Constraint | None] | None = None,
    ) -> list[int]:
        """Put several requests into the first free slots, and the rest of them behind the others.

        Args:
            params: The parameters of each.
            prompt_ids: Their prompts, as `History.start` takes them; empty when left out.
            choices: Their indices among the n choices; 0 when left out.
            constraints: Which tokens may come next in each; all when left out.

        Returns:
            Their slots.

        Raises:
            InvalidRequest: One of them cannot be served; the sampler is as it was.
            InvalidArgument: An argument is wrong in itself; the same.
        """
        return self.seat(self.arrivals(params, prompt_ids, choices, constraints))

    def arrivals(
        self,
        params: Sequence[SamplingParams],
        prompt_ids: Prompts | None = None,
        choices: Sequence[int] | None = None,
        constraints: Sequence[Constraint | None] | None = None,
    ) -> Arrivals:
        """Check requests that will come later, by `seat`; arguments and errors as in `add_all`."""
        params = sized("params", params)
        prompts = [[] for _ in params] if prompt_ids is None else sized("prompt_ids", prompt_ids)
        choices = [0] * len(params) if choices is None else sized("choices", choices)
        constraints = [None] * len(params) if constraints is None else sized("constraints", constraints)
        if not len(prompts) == len(choices) == len(constraints) == len(params):
            lengths = (len(prompts), len(choices), len(constraints))
            words = f"{len(params)} long, as params is"
            raise InvalidArgument("prompt_ids, choices and constraints", lengths, words)
        new = [self._slot(*one) for one in zip(params, choices, constraints, strict=True)]
        return Arrivals(new, self._arriving(prompts))

    def seat(self, arrivals: Arrivals) -> list[int]:
        """Put requests that were checked into free slots, and behind the others those that find none.

        Returns:
            Their slots.

        Raises:
            InvalidArgument: There are more requests than free slots, of a fixed number; the sampler is as it was.
        """
        new, arrived = arrivals.slots, arrivals.history
        free = [place for place, slot in enumerate(self.slots) if slot is None][: len(new)]
        if self.num_slots is not None and len(new) > len(free):
            words = f"at most {len(free)}, as many as slots are free of num_slots = {self.num_slots}"
            raise InvalidArgument("params", f"{len(new)} requests", words)
        for row, place in enumerate(free):
            self.slots[place] = new[row]
            self.history.put(place, arrived.select([row]))
        behind = list(range(len(free), len(new)))
        places = [*free, *(len(self.slots) + row for row in range(len(behind)))]
        if behind:
            self.slots += new[len(free) :]
            self.history.extend(arrived.select(behind) if free else arrived)
        self._prepared, self._uniforms = None, None
        return places

    def remove(self, slots: Sequence[int]) -> None:
        """Free slots; the other slots keep their places and their draws.

        Raises:
            InvalidArgument: A slot that is not in use.
        """
        slots = cast("list[int]", listed("slots", slots))
        for place in slots:
            whole = not isinstance(place, bool) and isinstance(place, Integral)
            if not whole or not 0 <= place < len(self.slots) or self.slots[place] is None:
                raise InvalidArgument("slots", place, "slots in use")
        for place in slots:
            self.slots[place] = None
        self._prepared = None

    def step(self, logits: Tensor) -> SampleOutput:
        """Sample one token for every slot and take it into the history: `sample` and `accept` in one.

        Args:
            logits: The model's, [slots, V], float32, or bfloat16 or float16, which are widened; rows of free slots are
                ignored.

        Returns:
            The tokens and their log probabilities. A row that cannot be sampled has a status; the others go on.

        Raises:
            InvalidArgument: The logits have another shape or type.
        """
        return self._sampled(logits, accepts=True)

    def sample(self, logits: Tensor) -> SampleOutput:
        """Sample one token for every slot, and leave the history as it is; arguments, output and errors as in `step`.

        The same logits give the same tokens again, until something is accepted.

        Example:
            >>> import torch
            >>> sampler = Sampler([SamplingParams(seed=1)], vocab_size=9)
            >>> logits = torch.zeros(1, 9)
            >>> sampler.sample(logits).token_ids.item(), sampler.sample(logits).token_ids.item()
            (8, 8)
            >>> sampler.accept([3])  # a token from elsewhere
            >>> sampler.sample(logits).token_ids.item()
            1
        """
        return self._sampled(logits, accepts=False)

    def accept(self, token_ids: Tensor | Sequence[int]) -> None:
        """Take one token for each slot into the history, wherever it is from: sampled, forced, or drafted by another model.

        It counts as if it had been sampled: for penalties, for `min_tokens`, for constraints, and for the position of the
        next draw.

        Args:
            token_ids: A list or a tensor of whole numbers, one for each slot; a negative one leaves its slot as it is, and so
                does any in a free slot.

        Raises:
            InvalidArgument: Not one for each slot; or an id outside the vocabulary, where a look at it costs nothing. The
                history is as it was.
        """
        tokens = self._accepted(token_ids)
        free = self._batch.free
        self.history.accept(torch.where(free, -1, tokens) if self._batch.some_free else tokens)

    def _accepted(self, token_ids: Tensor | Sequence[int]) -> Tensor:
        """Return one token for each slot, int64 [slots], on the sampler's device."""
        if not isinstance(token_ids, Tensor):
            token_ids = torch.tensor(
                whole_list("token_ids", token_ids, -(2**63), self.vocab_size - 1), dtype=torch.int64
            )
        tokens = whole_tensor("token_ids", token_ids)
        if tokens.shape != (len(self.slots),):
            words = f"one for each of the {len(self.slots)} slots"
            raise InvalidArgument("token_ids", f"a tensor of shape {tuple(tokens.shape)}", words)
        if may_branch(tokens) and len(tokens) > 0:
            integer("token_ids", max(tokens.tolist()), -(2**63), self.vocab_size - 1)
        return tokens.to(self.device, torch.int64)

    def _sampled(self, logits: Tensor, *, accepts: bool) -> SampleOutput:
        shape, form = (len(self.slots), self.vocab_size), form_of(logits)
        if form != shape:
            raise InvalidArgument("logits", form, f"a tensor of shape {shape}")
        rows = float32_logits(logits).detach()
        if not self._compiled:
            return self._step(rows, accepts)
        # V is a model's own, and padding by a remainder does not compile where it varies.
        torch._dynamo.mark_static(rows, 1)  # pyright: ignore[reportPrivateUsage]
        return self._step(rows, accepts)

    def explain(self, status: int | Tensor) -> str:
        """Put a row's status into words: what is wrong and the stage after which it was.

        Args:
            status: One of an output's; a tensor of it will do.

        Raises:
            InvalidArgument: No step gives such a status.
        """
        order = (" & ".join(parts(stage)) for stage in self.dialect.order)
        names = ["the model", *(mask.name for mask in MASKS), *order]
        given = status.item() if isinstance(status, Tensor) and status.numel() == 1 else status
        code = integer("status", given, FULL_SLOT, 2 * len(names))
        if code <= 0:
            words = {0: "fine", FREE_SLOT: "free slot", FULL_SLOT: "full: the slot holds max_history tokens"}
            return words[code]
        place, kind = divmod(code - 1, 2)
        what = "NaN or +infinity in the logits" if kind + 1 == NOT_A_NUMBER else "nothing left to sample"
        return f"{what} after {names[place]}"

    def trace(self, logits: Tensor, *, top: int = 5) -> Trace:
        """What each stage of the batch's pipeline does to these logits; nothing is sampled.

        Args:
            logits: The model's, [slots, V].
            top: How many of the most likely tokens to show.
        """
        stages = (*self._batch.assembly.edits, *self._batch.assembly.last)
        return Pipeline(*stages).trace(logits, self.history, top=top)

    def _slot(self, params: SamplingParams, choice: int, constraint: Constraint | None) -> Slot:
        check_params(params, self.vocab_size, self.dialect)
        seed = secrets.randbits(64) if params.seed is None else params.seed
        return Slot(params, seed, integer("choice", choice, 0, WORD), constraint)

    def _arriving(self, prompts: Prompts) -> History:
        """The histories of new slots."""
        arrived = started(prompts, self.device)
        if arrived.highest_prompt_id >= self.vocab_size:
            raise InvalidArgument(
                "prompt_ids", arrived.highest_prompt_id, f"token ids below {self.vocab_size}"
            )
        longest = max(map(len, prompts), default=0)
        if self.max_history is not None and longest > self.max_history:
            words = f"at most max_history = {self.max_history} tokens long"
            raise InvalidArgument("prompt_ids", f"a prompt of {longest} tokens", words)
        return arrived

    @property
    def _batch(self) -> Batch:
        """What a step needs for these slots."""
        if self._prepared is None:
            self._prepared = self._prepare()
        return self._prepared

    def _prepare(self) -> Batch:
        idle = Slot(SamplingParams(), 0, 0)
        filled = [slot or idle for slot in self.slots]
        assembly = assemble([slot.params for slot in filled], self.dialect, masks=self._masks()).to(
            self.device
        )
        truncated = any(isinstance(stage, Truncation) for stage in assembly.last)
        by_leading = truncated and self.device.type == "cpu"

        def numbers(values: list[int]) -> Tensor:
            return torch.tensor(values, dtype=torch.int64, device=self.device)

        return Batch(
            assembly,
            seeds=numbers([seed_key(slot.seed) for slot in filled]),
            choices=numbers([slot.choice for slot in filled]),
            free=numbers([slot is None for slot in self.slots]) > 0,
            some_free=None in self.slots,
            rule=self.rule,
            modes=self.modes,
            alternatives=max((slot.params.top_logprobs for slot in filled), default=0),
            max_history=self.max_history,
            by_leading=by_leading,
            in_sight=by_leading and not {*self.modes} - {"raw"},
        )

    def _masks(self) -> list[Processor]:
        """What comes before every stage of the dialect."""
        usable = [UsableIds(self.usable_ids)] if self.usable_ids < self.vocab_size else []
        allowed = [AllowedTokens(self._constraints)] if self._constrained else []
        return [*usable, *allowed]

    def _step(self, logits: Tensor, accepts: bool) -> SampleOutput:
        """One step; in one piece unless leading tokens are tried first."""
        batch, history = self._batch, self.history
        if not batch.by_leading:
            step = self._whole_step if self._compiled else whole_step
            return step(batch, history, logits, accepts)
        if self._compiled:
            tried, output, accepted = self._hopeful_step(batch, history, logits, accepts)
        else:
            tried, output, accepted = attempt(batch, history, logits, self._uniform()), None, False
        enough = bool(tried.enough.all())
        if not enough:
            if tried.lost is not None and bool(tried.lost.any()):
                self._prepared = replace(batch, in_sight=False)
                return self._step(logits, accepts)
            output = report(batch, tried, complete(batch, history, tried))
        output = output or report(batch, tried, tried.tokens)
        if accepts and not (accepted and enough):
            history.accept(output.token_ids)
        return output

    @property
    def _compiled(self) -> bool:
        return self.compile and not self._constrained

    @property
    def _constraints(self) -> list[Constraint | None]:
        """What each slot's tokens have to obey."""
        return [None if slot is None else slot.constraint for slot in self.slots]

    @property
    def _constrained(self) -> bool:
        return any(constraint is not None for constraint in self._constraints)

    def _uniform(self) -> tuple[Tensor, Tensor] | None:
        """The words of this step's uniforms, int64 [B]; None where the rule asks for others."""
        if self.rule != "integer":
            return None
        positions = self.history.sampled
        if self._uniforms is None or not self._uniforms.cover(positions):
            self._uniforms = Uniforms(self._batch.seeds, self._batch.choices, positions)
        return self._uniforms.at(positions)


def started(prompts: Prompts, device: torch.device) -> History:
    """The histories of prompts; one prompt of several choices is read once."""
    if isinstance(prompts, list) and len(prompts) > 1 and all(prompt is prompts[0] for prompt in prompts):
        return History.start(prompts[:1], device=device).select([0] * len(prompts))
    return History.start(prompts, device=device)


def sized(name: str, given: Some) -> Some:
    """What has an entry for each request, if it does."""
    scalar = isinstance(given, Tensor) and given.dim() == 0
    if scalar or not isinstance(given, Sized):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InvalidArgument(name, given, "a list, with an entry for each request")
    return given


def check_params(params: SamplingParams, vocab_size: int, dialect: Dialect) -> None:
    """Refuse parameters that a vocabulary or a dialect cannot serve.

    Raises:
        InvalidArgument: No SamplingParams.
        InvalidRequest: A bias on an id outside the vocabulary, or a stage or a value that the dialect does not have.
    """
    checked_params(params, dialect)
    highest = max(map(int, params.logit_bias), default=-1)
    if highest >= vocab_size:
        raise InvalidRequest("logit_bias", highest, f"token ids below {vocab_size}")
    highest = max(params.stop_token_ids, default=-1)
    if highest >= vocab_size:
        raise InvalidRequest("stop_token_ids", highest, f"token ids below {vocab_size}")


def checked_modes(modes: Sequence[Mode] | None, dialect: Dialect) -> tuple[Mode, ...]:
    """The log probability modes to report: those asked for, which may be none, or the dialect's own."""
    if modes is None:
        return (dialect.logprob_mode,)
    unknown = [mode for mode in listed("logprob_modes", modes) if mode not in list(MODES)]
    if unknown:
        raise InvalidArgument("logprob_modes", unknown[0], f"any of {', '.join(MODES)}")
    return tuple(modes)
