"""Randomness: seeds, and whether draws are what independent uniforms make of the distribution."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from sampling.conformance.callables.replayed import DRAWS, HEAD, RARE, proved, rare_case
from sampling.conformance.check_context import CheckContext
from sampling.conformance.combine_findings import combine_findings
from sampling.conformance.endings import Refused
from sampling.conformance.fixtures import spaced
from sampling.conformance.oracle import Row
from sampling.conformance.sampling_case import SamplingCase
from sampling.conformance.sequential_test import e_words
from sampling.conformance.statistics.binomial import detectable_factors, repeats_tail, tail
from sampling.conformance.statistics.eprocess import LARGEST
from sampling.conformance.statistics.pearson import Pearson, pearson
from sampling.conformance.statistics.pit import cells, pair_cells, transform
from sampling.conformance.token_names import TokenNames
from sampling.conformance.verdict import FALSE_ALARM, Finding, Verdict

Tokens = NDArray[np.int64]

NULL = "the dialect's distribution"
REPEATS = 64
REQUESTS = 200  # of two choices each
SLOW, FAST = 2_000, 20_000  # draws for a callable of one token a call, and for one of many
BINS, PAIR_BINS = 16, 5
FLAT = SamplingCase(spaced(0.1))


def seed_repeats(context: CheckContext) -> Finding:
    """Ask under the same seeds again: alone, in another order, and with another case in between."""
    needs_seeds(context)
    seeds = context.seeds(REPEATS)
    first = context.target.draw(FLAT, seeds)
    context.draws(SamplingCase(spaced()), 3)
    backwards = context.target.draw(FLAT, seeds[::-1])[::-1]
    alone = np.array([context.target.single(FLAT, seed) for seed in seeds])
    same = int(((first == backwards) & (first == alone)).sum())
    chance = float((context.expected(FLAT) ** 2).sum())
    detects = f"a request in {REPEATS} that is not repeated"
    words = f"{same} of {REPEATS} seeds gave the same token in another order, in another batch and alone"
    if same == REPEATS:
        return Finding(Verdict.CONFORMS, words, 3 * REPEATS, detects, false_alarm=0.0)
    repeated = int((backwards == alone).sum())
    by_chance = tail(repeated, REPEATS, chance) > FALSE_ALARM
    verdict = Verdict.IGNORED if by_chance else Verdict.DEVIATES
    words += f"; {repeated} in two calls, {REPEATS * chance:.0f} expected of independent draws"
    return Finding(verdict, words, 3 * REPEATS, detects, false_alarm=0.0)


def needs_seeds(context: CheckContext) -> None:
    """End the check where there are no seeds.

    Raises:
        Refused: The target takes none.
    """
    if not context.takes_seeds:
        raise Refused("seed refused")


def seeds_differ(context: CheckContext) -> Finding:
    """Draw under seeds one apart, 2^16 apart and, where they are taken, 2^32 apart."""
    needs_seeds(context)
    count = draws_of(context)
    strides = {"1 apart": 1, "2^16 apart": 2**16, "2^32 apart": 2**32}
    findings: list[tuple[str, Finding]] = []
    for name, stride in strides.items():
        seeds = [stride * step for step in range(1, count + 1)]
        try:
            tokens = context.target.draw(FLAT, seeds)
        except Refused:
            continue  # a narrower seed than the API's is a matter of its range, not of independence
        findings.append((f"seeds {name}", independent(tokens, context.expected(FLAT), "seed")))
    return combine_findings([*findings, ("batches with the same first seed", batches_differ(context))])


def batches_differ(context: CheckContext) -> Finding:
    """Two batches whose first seeds are the same, the others not."""
    first, *others = context.seeds(2 * REPEATS + 1)
    one, other = (context.target.draw(FLAT, [first, *half]) for half in (others[:REPEATS], others[REPEATS:]))
    same = int((one == other)[1:].sum())
    chance = float((context.expected(FLAT) ** 2).sum())
    words = f"{same} of {REPEATS} tokens under different seeds are the same, {REPEATS * chance:.0f} expected"
    verdict = Verdict.DEVIATES if tail(same, REPEATS, chance) < FALSE_ALARM else Verdict.CONFORMS
    return Finding(verdict, words, 2 * REPEATS, "one seed for a whole batch")


def draws_of(context: CheckContext) -> int:
    """How many draws a test of randomness gets."""
    return min(FAST if context.target.batched else SLOW, context.most_draws)


def independent(tokens: Tokens, p: Row, what: str) -> Finding:
    """Whether tokens of successive seeds follow the distribution, and each pair of them its square.

    Before Pearson's test there is a plainer one: that all of the first tokens are the same.
    """
    alike = 1 + int(np.argmin(np.append(tokens[1:] == tokens[0], False)))
    if alike == len(tokens):
        e_value = product(1 / p[tokens[1:]])
        words = f"one {what} and the next give the same token, {alike} times over; e-value {e_words(e_value)}"
        return Finding(Verdict.DEVIATES, words, alike, e_values={NULL: e_value})
    pairs = tokens[: len(tokens) // 2 * 2].reshape(-1, 2)
    table = np.bincount(pairs[:, 0] * len(p) + pairs[:, 1], minlength=len(p) ** 2)
    one = pearson([np.bincount(tokens, minlength=len(p))], [p])
    two = pearson([table], [np.outer(p, p).ravel()])
    return judged({"the distribution": one, f"that of a {what} and the next": two}, len(tokens))


def judged(tests: Mapping[str, Pearson], draws: int) -> Finding:
    """Several of Pearson's tests as one finding; they share the false alarm."""
    limit = FALSE_ALARM / len(tests)
    detects = "; ".join(
        f"{name} off by {test.effect:.2g} (root mean square of relative errors)"
        for name, test in tests.items()
    )
    values = "; ".join(f"{name}: Pearson's p-value {test.p_value:.2g}" for name, test in tests.items())
    bad = any(test.p_value < limit for test in tests.values())
    unsure = any(not test.degrees for test in tests.values())
    verdict = Verdict.DEVIATES if bad else Verdict.INCONCLUSIVE if unsure else Verdict.CONFORMS
    return Finding(verdict, f"{values}; {draws} draws", draws, detects)


def choices_differ(context: CheckContext) -> Finding:
    """Two choices of each of many seeded requests."""
    needs_seeds(context)
    names = TokenNames.learnt(context, len(FLAT.logits))
    asked = SamplingCase(FLAT.logits, {"n": 2, "max_tokens": 1, "logprobs": True})
    drawn: list[int] = []
    for _ in range(REQUESTS):
        choices = context.choices(asked)
        if len(choices) != 2:
            return Finding(Verdict.DEVIATES, f"n 2 gives {len(choices)} choices")
        drawn += [names.sampled(choice)[0] for choice in choices]
    first, second = np.array(drawn[::2]), np.array(drawn[1::2])
    if (first == second).all():
        p = context.expected(FLAT)
        words = f"the two choices were the same in each of {len(first)} requests"
        return Finding(Verdict.DEVIATES, words, len(drawn), e_values={NULL: product(1 / p[first])})
    return independent(np.array(drawn), context.expected(FLAT), "choice")


def product(factors: Row) -> float:
    """Return a product; `LARGEST` where it is more."""
    return math.exp(min(float(np.log(factors).sum()), math.log(LARGEST)))


def unseeded_vary(context: CheckContext) -> Finding:
    """Send requests without a seed: some in calls of their own, then many."""
    alone = [context.target.single(FLAT, None) for _ in range(REPEATS)]
    more = context.target.draw(FLAT, [None] * (draws_of(context) - REPEATS))
    return independent(np.append(alone, more), context.expected(FLAT), "request")


def uniformity(context: CheckContext) -> Finding:
    """Two tokens of each of many requests, in several contexts: the transforms are uniform, and so are the pairs."""
    count = min(5 * draws_of(context), context.most_draws) // 4
    contexts = [SamplingCase(spaced(step)) for step in (0.2, 0.5)]
    first: list[Row] = []
    second: list[Row] = []
    for case in contexts:
        seeds = context.seeds(count)
        tokens = context.target.draw(case, seeds)
        p = context.expected(case)
        first.append(transform(tokens, p, context.rng.random(count)))
        second.append(transform(followers(context, case, tokens, seeds), p, context.rng.random(count)))
    u, v = np.concatenate(first), np.concatenate(second)
    tests = {
        "uniformity": pearson([cells(np.concatenate([u, v]), BINS)], [np.full(BINS, 1 / BINS)]),
        "independence of the token before": pearson(
            [pair_cells(u, v, PAIR_BINS)], [np.full(PAIR_BINS**2, PAIR_BINS**-2.0)]
        ),
    }
    return judged(tests, len(u) + len(v))


def followers(
    context: CheckContext, case: SamplingCase, tokens: Tokens, seeds: Sequence[int | None]
) -> Tokens:
    """Return the second token of requests whose first one is known."""
    after = np.empty_like(tokens)
    for token in np.unique(tokens):
        rows = np.flatnonzero(tokens == token)
        longer = SamplingCase(case.logits, case.params, case.prompt_ids, (int(token),))
        after[rows] = context.target.draw(longer, [seeds[int(row)] for row in rows])
    return after


def tail_resolution(context: CheckContext) -> Finding:
    """One likely token and tens of thousands of a millionth each."""
    case = rare_case()
    return rare_ones(context.draws(case, draws_of(context)), context.expected(case), HEAD)


def rare_ones(tokens: Tokens, p: Row, head: int) -> Finding:
    """Whether tokens of a millionth each came as often as they should, and any of them as often as the others.

    Args:
        tokens: What was drawn.
        p: What from.
        head: The one likely token.
    """
    mass, likely = 1.0 - float(p[head]), np.flatnonzero(p > RARE / 2)
    rare = tokens[tokens != head]
    upper = int((rare >= likely[len(likely) // 2]).sum())
    again = len(rare) - len(np.unique(rare))
    limit = FALSE_ALARM / 3
    p_values = (
        tail(len(rare), len(tokens), mass),
        tail(upper, len(rare), 0.5),
        repeats_tail(again, len(rare), len(likely) - 1),
    )
    deficit, excess = detectable_factors(len(tokens), mass, limit)
    words = (
        f"{len(rare)} of {len(tokens)} draws were tokens of probability {RARE:g}, {len(tokens) * mass:.1f} expected; "
        f"{upper} of them in the upper half of the ids; {again} drawn before"
    )
    detects = f"rare tokens {deficit:.2g} or {excess:.2g} times as frequent as they should be"
    verdict = Verdict.DEVIATES if min(p_values) < limit else Verdict.CONFORMS
    return Finding(verdict, words, len(tokens), detects)


STATISTICS: Mapping[str, Callable[[CheckContext], Finding]] = {
    "randomness.seed-repeats": seed_repeats,
    "randomness.seeds-differ": seeds_differ,
    "randomness.choices-differ": choices_differ,
    "randomness.unseeded-vary": unseeded_vary,
    "randomness.uniformity": uniformity,
    "randomness.tail": tail_resolution,
}
RUNS: Mapping[str, Callable[[CheckContext], Finding]] = {
    name: partial(proved, DRAWS[name], run) if name in DRAWS else run for name, run in STATISTICS.items()
}
