"""Randomness by proof: each check's own draws beside those of the rule that a callable draws by."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple

import numpy as np
import torch

from sampling.conformance.check_context import CheckContext
from sampling.conformance.endings import Refused
from sampling.conformance.fixtures import spaced
from sampling.conformance.proof import by_replay
from sampling.conformance.sampling_case import SamplingCase
from sampling.conformance.token_names import TokenNames
from sampling.conformance.trace.replay import RuleReplay
from sampling.conformance.verdict import Finding
from sampling.core.params import SamplingParams
from sampling.replay import replay_tokens

TOKENS = 64  # of a case: what each is worth is its surprise, so that these are proof enough
PROMPT = (3, 8)  # some rules count it
FLAT = SamplingCase(spaced(0.1), prompt_ids=PROMPT)
RARE = 1e-6
HEAD = 11  # the one likely token of the case about rare ones
WIDTH = 32_768


class Draws(NamedTuple):
    """Tokens of a case.

    Args:
        case: What they were drawn from.
        seeds: One for each.
        tokens: Their ids.
        choices: By token which of the choices of its request it is of.
    """

    case: SamplingCase
    seeds: Sequence[int]
    tokens: Sequence[int]
    choices: Sequence[int] | int = 0


def proved(
    draws: Callable[[CheckContext], Iterator[Draws]],
    statistics: Callable[[CheckContext], Finding],
    context: CheckContext,
) -> Finding:
    """Prove by replay where the rule is known; look at frequencies where it is not, or where nothing was decided."""
    if context.rule is None or not context.takes_seeds:
        return statistics(context)
    found = RuleReplay(context.rule)
    for number, one in enumerate(draws(context), start=1):
        logits = torch.from_numpy(one.case.logits)[None].expand(len(one.tokens), -1)
        said = replay_tokens(
            logits,
            [*one.tokens],
            [SamplingParams(seed=seed) for seed in one.seeds],
            rule=context.rule,
            prompt_ids=[one.case.prompt_ids] * len(one.tokens),
            output_ids=[one.case.output_ids] * len(one.tokens),
            choices=one.choices,
        )
        found.take(RuleReplay.of(context.rule, number, 0, said, greedy=False))
    return by_replay(found, ("batch", "draw")) or statistics(context)


def drawn(context: CheckContext, case: SamplingCase, seeds: Sequence[int]) -> Draws:
    """Ask for a token of each seed."""
    return Draws(case, seeds, context.target.draw(case, seeds).tolist())


def some_seeds(context: CheckContext, count: int = TOKENS) -> list[int]:
    """Return seeds for independent requests."""
    return [seed for seed in context.seeds(count) if seed is not None]


def repeats(context: CheckContext) -> Iterator[Draws]:
    """Draw under the same seeds in one batch, backwards, and alone."""
    seeds = some_seeds(context)
    yield drawn(context, FLAT, seeds)
    yield drawn(context, FLAT, seeds[::-1])
    yield Draws(FLAT, seeds, [context.target.single(FLAT, seed) for seed in seeds])


def strides(context: CheckContext) -> Iterator[Draws]:
    """Draw under seeds one apart, 2^16 apart and, where they are taken, 2^32 apart."""
    for stride in (1, 2**16, 2**32):
        with suppress(Refused):  # a narrower seed than the API's is a matter of its range
            yield drawn(context, FLAT, [stride * step for step in range(1, TOKENS + 1)])


def choices(context: CheckContext) -> Iterator[Draws]:
    """Ask for two choices of each of many seeded requests."""
    names, seeds = TokenNames.learnt(context, len(FLAT.logits)), some_seeds(context)
    asked = SamplingCase(FLAT.logits, {"n": 2, "max_tokens": 1, "logprobs": True}, PROMPT)
    told = [[names.sampled(one)[0] for one in context.target.choices(asked, seed)] for seed in seeds]
    for choice in range(max(map(len, told))):
        here = [
            (seed, tokens[choice]) for seed, tokens in zip(seeds, told, strict=True) if len(tokens) > choice
        ]
        yield Draws(FLAT, [seed for seed, _ in here], [token for _, token in here], choice)


def successive(context: CheckContext) -> Iterator[Draws]:
    """Draw two tokens of each of many requests, in several contexts."""
    for step in (0.2, 0.5):
        case, seeds = SamplingCase(spaced(step), prompt_ids=PROMPT), some_seeds(context)
        before = drawn(context, case, seeds)
        yield before
        for token in {*before.tokens}:
            longer = SamplingCase(case.logits, prompt_ids=PROMPT, output_ids=(token,))
            yield drawn(context, longer, [s for s, t in zip(seeds, before.tokens, strict=True) if t == token])


def rare_case(prompt_ids: tuple[int, ...] = ()) -> SamplingCase:
    """Return a case of one likely token and tens of thousands of a millionth each."""
    logits = np.full(WIDTH, math.log(RARE / (1 - RARE * (WIDTH - 1))), dtype=np.float32)
    logits[HEAD] = 0.0
    return SamplingCase(logits, prompt_ids=prompt_ids)


def tail(context: CheckContext) -> Iterator[Draws]:
    """Draw from the case of rare tokens."""
    for _ in range(4):
        yield drawn(context, rare_case(PROMPT), some_seeds(context))


DRAWS: Mapping[str, Callable[[CheckContext], Iterator[Draws]]] = {
    "randomness.seed-repeats": repeats,
    "randomness.seeds-differ": strides,
    "randomness.choices-differ": choices,
    "randomness.uniformity": successive,
    "randomness.tail": tail,
}
