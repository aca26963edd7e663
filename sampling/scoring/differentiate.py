"""Scoring as an operation that can be differentiated: in eager code, and as one node of a compiled graph."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from sampling.core.errors import InvalidArgument
from sampling.core.history import Prompts
from sampling.core.params import SamplingParams
from sampling.dialects import Dialect
from sampling.scoring.bits import WORD
from sampling.scoring.gradient import gradient
from sampling.scoring.inputs import Inputs
from sampling.scoring.kept import Kept
from sampling.scoring.measure import Measured, Outside, measure
from sampling.scoring.outside import refuse_outside
from sampling.scoring.request import Request, padded

Result = tuple[Tensor, Tensor, Tensor, Tensor]
REPORTED = 4  # of the fields of `Measured`
# What compiled graphs refer to by its place: they take tensors and numbers alone. One entry for each time that one is made.
PARAMS: list[SamplingParams] = []
REQUESTS: list[Request] = []


def measured(logits: Tensor, inputs: Inputs, outside: Outside, *, with_words: bool) -> Measured:
    """Measure logits, and refuse the tokens that have to be."""
    found = measure(
        inputs.request,
        inputs.history,
        logits,
        inputs.token_ids,
        inputs.words,
        outside,
        with_words=with_words,
    )
    refuse_outside(logits, inputs, found, outside)
    return found


class Score(torch.autograd.Function):
    """The operation in eager code; it keeps the logits, and of each row the set as bits and two numbers."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, inputs: Inputs, outside: Outside) -> Result:
        """Measure."""
        found = measured(logits, inputs, outside, with_words=True)
        ctx.inputs = inputs
        ctx.save_for_backward(logits, *found)
        ctx.mark_non_differentiable(*found[1:REPORTED])
        return found[0], found[1], found[2], found[3]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *given: Tensor) -> tuple[Tensor, None, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Compute the gradient in the logits."""
        logits, *found = ctx.saved_tensors
        inputs: Inputs = ctx.inputs
        part = gradient(inputs.request, inputs.history, logits, inputs.token_ids, Measured(*found), given[0])
        return part, None, None


def scored_now(logits: Tensor, inputs: Inputs, outside: Outside) -> Result:
    """Score at once; what only a gradient needs is left out where none is asked for."""
    if torch.is_grad_enabled() and logits.requires_grad:
        return Score.apply(logits, inputs, outside)
    found = measured(logits.detach(), inputs, outside, with_words=False)
    return found[0], found[1], found[2], found[3]


def scored_in_graph(
    logits: Tensor,
    token_ids: Tensor | Sequence[int],
    params: SamplingParams | Sequence[SamplingParams],
    dialect: Dialect,
    prompt_ids: Prompts | None,
    output_ids: Prompts | None,
    kept: Kept | None,
    outside: Outside,
) -> Result:
    """Put the operation into a graph that is being compiled."""
    batch = [params] if isinstance(params, SamplingParams) else params
    number = request_number(dialect, *[params_number(one) for one in batch])
    if kept is not None and not isinstance(kept, Tensor):
        raise InvalidArgument("kept", type(kept).__name__, "a tensor, bool or int32, in what is compiled")
    ids = token_ids if isinstance(token_ids, Tensor) else torch.tensor(token_ids, device=logits.device)
    with_words = torch.is_grad_enabled() and logits.requires_grad
    prompts, outputs = (None if one is None else padded(one) for one in (prompt_ids, output_ids))
    found = score_tokens(logits, ids, prompts, outputs, kept, number, outside, with_words)
    return found[0], found[1], found[2], found[3]


@torch.compiler.assume_constant_result
def params_number(params: SamplingParams) -> int:
    """Remember a request; torch compiles anew where it is another object."""
    PARAMS.append(params)
    return len(PARAMS) - 1


@torch.compiler.assume_constant_result
def request_number(dialect: Dialect, *numbers: int) -> int:
    """Plan for requests that are remembered."""
    REQUESTS.append(Request.of([PARAMS[number] for number in numbers], dialect))
    return len(REQUESTS) - 1


@torch.library.custom_op("sampling::score_tokens", mutates_args=())
def score_tokens(
    logits: Tensor,
    token_ids: Tensor,
    prompt_ids: Tensor | None,
    output_ids: Tensor | None,
    kept: Tensor | None,
    request: int,
    outside: str,
    with_words: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Return the fields of `Measured`."""
    inputs = Inputs.of(REQUESTS[request], logits, token_ids, prompt_ids, output_ids, kept)
    return measured(logits, inputs, cast("Outside", outside), with_words=with_words)


@score_tokens.register_fake
def _(logits: Tensor, *others: Any) -> tuple[Tensor, ...]:
    rows, width = logits.shape
    words = -(-width // WORD) if others[-1] else 0

    def empty(dtype: torch.dtype, *shape: int) -> Tensor:
        return logits.new_empty((rows, *shape), dtype=dtype)

    return Measured(
        logprobs=empty(torch.float32),
        in_support=empty(torch.bool),
        kept_counts=empty(torch.int64),
        log_kept_mass=empty(torch.float32),
        maximum=empty(torch.float32),
        normalizer=empty(torch.float64),
        words=empty(torch.int64, words),
    )


@torch.library.custom_op("sampling::score_tokens_backward", mutates_args=())
def score_tokens_backward(
    given: Tensor,
    logits: Tensor,
    token_ids: Tensor,
    prompt_ids: Tensor | None,
    output_ids: Tensor | None,
    found: list[Tensor],
    request: int,
) -> Tensor:
    """Return the gradient in the logits."""
    inputs = Inputs.of(REQUESTS[request], logits, token_ids, prompt_ids, output_ids, None)
    return gradient(inputs.request, inputs.history, logits, inputs.token_ids, Measured(*found), given)


@score_tokens_backward.register_fake
def _(_: Tensor, logits: Tensor, *__: Any) -> Tensor:
    return torch.empty_like(logits)


def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    """Keep what the gradient needs."""
    logits, token_ids, prompt_ids, output_ids, _, ctx.request, _, _ = inputs
    ctx.save_for_backward(logits, token_ids, prompt_ids, output_ids, *output)
    ctx.mark_non_differentiable(*output[1:])


def backward(ctx: Any, *given: Tensor) -> tuple[Tensor | None, ...]:
    """Compute the gradient in the logits."""
    logits, token_ids, prompt_ids, output_ids, *found = ctx.saved_tensors
    part = score_tokens_backward(
        given[0], logits, token_ids, prompt_ids, output_ids, list(found), ctx.request
    )
    return part, *[None] * 7


score_tokens.register_autograd(backward, setup_context=setup_context)
