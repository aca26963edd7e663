"""Requests of a sampler: checked before they get slots."""

from __future__ import annotations

import secrets
from collections.abc import Sequence, Sized
from dataclasses import dataclass
from typing import TypeVar

import torch
from sampling_kernels.philox import WORD
from torch import Tensor

from sampling.core.errors import InvalidArgument, InvalidRequest
from sampling.core.history import History, Prompts
from sampling.core.params import SamplingParams, integer
from sampling.core.whole_numbers import listed
from sampling.dialects import MODES, Dialect, Mode
from sampling.pipeline.effective import EffectiveParams, checked_params
from sampling.processors import Constraint
from sampling.processors.allowed import checked_constraint
from sampling.sampler.rules import DrawRule

Some = TypeVar("Some", bound=Sized)


@dataclass(frozen=True)
class SlotRequest:
    """A request in its slot.

    Args:
        effective: Its parameters, as the dialect would run them.
        seed: Its seed, given or fresh.
        choice: Its index among the n choices.
        constraint: Which tokens may come next; None allows all.
    """

    effective: EffectiveParams
    seed: int
    choice: int
    constraint: Constraint | None = None

    @staticmethod
    def of(
        effective: EffectiveParams, choice: int, constraint: Constraint | None, rule: DrawRule
    ) -> SlotRequest:
        """Give a request a seed if it has none: the rule's own, or a fresh one."""
        seed = effective.params.seed
        if seed is None or not rule.is_seed(seed):
            seed = secrets.randbits(64) if rule.unseeded is None else rule.unseeded
        return SlotRequest(effective, seed, integer("choice", choice, 0, WORD), constraint)


@dataclass(frozen=True)
class PreparedRequests:
    """Requests that were checked and have no slots yet.

    Args:
        requests: What will be in the slots.
        history: Their prompts.
    """

    requests: Sequence[SlotRequest]
    history: History


def prepare_requests(
    params: Sequence[SamplingParams],
    prompt_ids: Prompts | None,
    choices: Sequence[int] | None,
    constraints: Sequence[Constraint | None] | None,
    *,
    dialect: Dialect,
    rule: DrawRule,
    vocab_size: int,
    max_history: int | None,
    device: torch.device,
) -> PreparedRequests:
    """Check requests; arguments and errors as in `Sampler.add_all`."""
    params = sized("params", params)
    prompts = [[] for _ in params] if prompt_ids is None else sized("prompt_ids", prompt_ids)
    choices = [0] * len(params) if choices is None else sized("choices", choices)
    constraints = [None] * len(params) if constraints is None else sized("constraints", constraints)
    if not len(prompts) == len(choices) == len(constraints) == len(params):
        lengths = (len(prompts), len(choices), len(constraints))
        words = f"{len(params)} long, as params is"
        raise InvalidArgument("prompt_ids, choices and constraints", lengths, words)
    requests = [
        SlotRequest.of(
            servable_params(one, vocab_size, dialect),
            choice,
            checked_constraint("constraint", constraint),
            rule,
        )
        for one, choice, constraint in zip(params, choices, constraints, strict=True)
    ]
    if rule.counts_prompt and any(len(prompt) == 0 for prompt in prompts):
        raise InvalidArgument("prompt_ids", [], rule.words_of_prompt)
    return PreparedRequests(requests, start_history(prompts, vocab_size, max_history, device))


def start_history(
    prompts: Prompts, vocab_size: int, max_history: int | None, device: torch.device
) -> History:
    """Start the histories of prompts; one prompt of several choices is read once."""
    if isinstance(prompts, list) and len(prompts) > 1 and all(prompt is prompts[0] for prompt in prompts):
        history = History.start(prompts[:1], device=device).select([0] * len(prompts))
    else:
        history = History.start(prompts, device=device)
    if history.highest_prompt_id >= vocab_size:
        raise InvalidArgument("prompt_ids", history.highest_prompt_id, f"token ids below {vocab_size}")
    longest = max(map(len, prompts), default=0)
    if max_history is not None and longest > max_history:
        words = f"at most max_history = {max_history} tokens long"
        raise InvalidArgument("prompt_ids", f"a prompt of {longest} tokens", words)
    return history


def sized(name: str, given: Some) -> Some:
    """Return what has an entry for each request, if it does."""
    scalar = isinstance(given, Tensor) and given.dim() == 0
    if scalar or not isinstance(given, Sized):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InvalidArgument(name, given, "a list, with an entry for each request")
    return given


def servable_params(params: SamplingParams, vocab_size: int, dialect: Dialect) -> EffectiveParams:
    """Return the effective parameters of a request, if the vocabulary and the dialect can serve it.

    Raises:
        InvalidArgument: No SamplingParams.
        InvalidRequest: A bias on an id outside the vocabulary, or a stage or a value that the dialect does not have.
    """
    effective = checked_params(params, dialect)
    for name in ("logit_bias", "stop_token_ids"):
        highest = max(map(int, getattr(params, name)), default=-1)
        if highest >= vocab_size:
            raise InvalidRequest(name, highest, f"token ids below {vocab_size}")
    return effective


def checked_modes(modes: Sequence[Mode] | None, dialect: Dialect) -> tuple[Mode, ...]:
    """Return the log probability modes to report: those asked for, which may be none, or the dialect's own."""
    if modes is None:
        return (dialect.logprob_mode,)
    unknown = [mode for mode in listed("logprob_modes", modes) if mode not in list(MODES)]
    if unknown:
        raise InvalidArgument("logprob_modes", unknown[0], f"any of {', '.join(MODES)}")
    return tuple(modes)
