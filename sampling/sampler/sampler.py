"""A batch of requests, sampled together."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from sampling_kernels.host_sync import can_sync
from sampling_kernels.weights import LARGEST_VOCABULARY
from torch import Tensor

from sampling.core.device import checked_device
from sampling.core.errors import InvalidArgument
from sampling.core.history import History, Prompts
from sampling.core.logits import float32_logits, form_of
from sampling.core.params import SamplingParams, boolean, integer
from sampling.core.whole_numbers import whole_list, whole_tensor
from sampling.dialects import Dialect, DialectName, Mode, get_dialect, parts
from sampling.pipeline.effective import EffectiveParams
from sampling.pipeline.pipeline import Pipeline
from sampling.pipeline.plan import MASKS, make_plan
from sampling.pipeline.trace import Trace
from sampling.processors import AllowedTokens, Constraint, Processor, TokenizerVocabSize
from sampling.sampler.inputs import StepInputs
from sampling.sampler.output import SampleOutput
from sampling.sampler.requests import PreparedRequests, SlotRequest, checked_modes, prepare_requests
from sampling.sampler.rules import RULES, Rule, checked_rule, rule_of_batch, seed_key
from sampling.sampler.slots import Slots
from sampling.sampler.status import FULL, RowStatus
from sampling.sampler.strategy import choose_strategy
from sampling.sampler.uniform_cache import UniformCache


class Sampler:
    """Samples for a batch of requests, each row by its own parameters, seed and choice.

    A row's tokens depend on its own logits, parameters, seed and choice and on nothing around it. Slots are stable: removing
    one leaves the others where they are, and a new request takes the first free one. One sampler is for one thread at a time.

    Args:
        params: One request per slot; with `num_slots` those of the first slots, none when left out.
        num_slots: How many slots there are, always; those without a request are free, and `add` fills them. None makes one for
            each request, and `add` makes more.
        vocab_size: V, the width of the logits.
        prompt_ids: The prompt of each slot, as `History.start` takes them; empty prompts when left out.
        choices: Index of each slot's choice among the n of its request; 0 when left out.
        device: Where the logits will be.
        dialect: A dialect or its name.
        logprob_modes: Which distributions to report log probabilities of: any of `raw`, `penalised`, `temperature`,
            `processed`. The first is the one in the output's own fields. None takes the dialect's; an empty list reports none.
        max_history: Most tokens, prompt and sampled, that a slot may hold, after which it has a status; None for no limit.
        tokenizer_vocab_size: Token ids from here on are never sampled (padding of the vocabulary); None allows all.
        rule: The rule of the draw, as `draw` has it: "integer", "gumbel", or that of an engine.
        compile: Whether the step is compiled: the same results, faster, after a while of compiling for each new
            combination of stages. On CUDA it is one graph that never waits for the host; `max_history` keeps its shapes fixed.
        constraints: Which tokens may come next in each slot, as a grammar has it; None allows all. Log probabilities of the
            mode `raw` do not see it. A step with a constrained slot asks it on the host, and is not compiled; nor is one
            whose rule reads a stream there.

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
        tokenizer_vocab_size: int | None = None,
        rule: Rule = "integer",
        compile: bool = False,  # noqa: A002 (the name that torch uses)
        constraints: Sequence[Constraint | None] | None = None,
    ) -> None:
        self.vocab_size = integer("vocab_size", vocab_size, 1, LARGEST_VOCABULARY)
        self.tokenizer_vocab_size = (
            vocab_size
            if tokenizer_vocab_size is None
            else integer("tokenizer_vocab_size", tokenizer_vocab_size, 1, vocab_size)
        )
        self.dialect = get_dialect(dialect)
        self.modes = checked_modes(logprob_modes, self.dialect)
        self.rule: Rule = checked_rule(rule)
        self.max_history = None if max_history is None else integer("max_history", max_history, 1, 2**31 - 1)
        self.device = checked_device(device)
        self.compile = boolean("compile", compile)
        self.num_slots = None if num_slots is None else integer("num_slots", num_slots, 1)
        self.slots = Slots(self.device, self.max_history, self.num_slots)
        self._inputs: StepInputs | None = None  # made when a step or a trace needs them
        self._words: UniformCache | None = None
        self.add_all(params, prompt_ids, choices, constraints)

    def __repr__(self) -> str:
        slots = f"slots={len(self.slots)}, free={self.slots.num_free}"
        rest = f"dialect={self.dialect.name!r}, rule={self.rule!r}, compile={self.compile}, device={self.device.type!r}"
        return f"Sampler({slots}, vocab_size={self.vocab_size}, {rest})"

    @property
    def history(self) -> History:
        """Return what each slot holds and has sampled."""
        return self.slots.history

    @history.setter
    def history(self, history: History) -> None:
        """Replace it, as when steps are taken back."""
        self.slots.history = history

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
        return self.seat(self.prepare(params, prompt_ids, choices, constraints))

    def prepare(
        self,
        params: Sequence[SamplingParams],
        prompt_ids: Prompts | None = None,
        choices: Sequence[int] | None = None,
        constraints: Sequence[Constraint | None] | None = None,
    ) -> PreparedRequests:
        """Check requests that will come later, by `seat`; arguments and errors as in `add_all`."""
        return prepare_requests(
            params,
            prompt_ids,
            choices,
            constraints,
            dialect=self.dialect,
            rule=RULES[self.rule],
            vocab_size=self.vocab_size,
            max_history=self.max_history,
            device=self.device,
        )

    def seat(self, prepared: PreparedRequests) -> list[int]:
        """Put requests that were checked into free slots, and behind the others those that find none.

        Returns:
            Their slots.

        Raises:
            InvalidArgument: There are more requests than free slots, of a fixed number; the sampler is as it was.
        """
        slots = self.slots.add(prepared)
        self._inputs, self._words = None, None
        return slots

    def remove(self, slots: Sequence[int]) -> None:
        """Free slots; the other slots keep their places and their draws.

        Raises:
            InvalidArgument: A slot that is not in use.
        """
        self.slots.remove(slots)
        self._inputs = None

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
        free = self.inputs.free
        self.history.accept(torch.where(free, -1, tokens) if self.inputs.some_free else tokens)

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
        if can_sync(tokens) and len(tokens) > 0:
            integer("token_ids", max(tokens.tolist()), -(2**63), self.vocab_size - 1)
        return tokens.to(self.device, torch.int64)

    def _sampled(self, logits: Tensor, *, accepts: bool) -> SampleOutput:
        shape, form = (len(self.slots), self.vocab_size), form_of(logits)
        if form != shape:
            raise InvalidArgument("logits", form, f"a tensor of shape {shape}")
        rows = float32_logits(logits).detach()
        on_host = self.slots.constrained or RULES[self.rule].on_host
        compile = self.compile and not on_host  # noqa: A001 (the name that torch uses)
        if compile:
            # V is a model's own, and padding by a remainder does not compile where it varies.
            torch._dynamo.mark_static(rows, 1)  # pyright: ignore[reportPrivateUsage]
        strategy = choose_strategy(self.inputs.plan, self.device, compile=compile)
        words = None if compile or not can_sync(rows) else self._random_words()
        return strategy(self.inputs, self.history, rows, words, accepts)

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
        code = integer("status", given, FULL, 2 * len(names))
        return RowStatus(code).describe(names)

    def trace(self, logits: Tensor, *, top: int = 5) -> Trace:
        """Show what each stage of the batch's pipeline does to these logits; nothing is sampled.

        Args:
            logits: The model's, [slots, V].
            top: How many of the most likely tokens to show.
        """
        plan = self.inputs.plan
        return Pipeline(*plan.edits, *plan.final).trace(logits, self.history, top=top)

    @property
    def inputs(self) -> StepInputs:
        """Return what a step needs for these slots."""
        if self._inputs is None:
            self._inputs = self._make_inputs()
        return self._inputs

    def _make_inputs(self) -> StepInputs:
        idle = SlotRequest(EffectiveParams(SamplingParams()), 0, 0)
        filled = [request or idle for request in self.slots]
        masks: list[Processor] = []
        if self.tokenizer_vocab_size < self.vocab_size:
            masks.append(TokenizerVocabSize(self.tokenizer_vocab_size))
        if self.slots.constrained:
            masks.append(AllowedTokens(self.slots.constraints))
        plan = make_plan([one.effective for one in filled], self.dialect, masks)

        def numbers(values: list[int]) -> Tensor:
            return torch.tensor(values, dtype=torch.int64, device=self.device)

        rule = self._rule_of_batch()
        seeds, choices = RULES[rule].keyed(
            numbers([seed_key(one.seed) for one in filled]), numbers([one.choice for one in filled])
        )
        return StepInputs(
            plan.to(self.device),
            seeds=seeds,
            choices=choices,
            free=numbers([request is None for request in self.slots]) > 0,
            some_free=self.slots.num_free > 0,
            rule=rule,
            modes=self.modes,
            num_top_logprobs=max((one.effective.params.top_logprobs for one in filled), default=0),
            max_history=self.max_history,
        )

    def _rule_of_batch(self) -> Rule:
        names = RULES[self.rule].sorted_by
        return rule_of_batch(self.rule, [one.effective.uses(names) for one in self.slots if one])

    def _random_words(self) -> tuple[Tensor, Tensor] | None:
        """Return the random words of this step, int64 [B]; None where the rule asks for others."""
        if self.rule != "integer":
            return None
        positions = self.history.sampled
        if self._words is None or not self._words.cover(positions):
            self._words = UniformCache(self.inputs.seeds, self.inputs.choices, positions)
        return self._words.at(positions)
