"""Seeds, choices, and independence: a request gives many draws, of which those at one position are of different seeds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from sampling.conformance.callables.randomness import FLAT, NULL, independent, judged, product, rare_ones
from sampling.conformance.combine_findings import combine_findings
from sampling.conformance.endings import NotTestable, Refused
from sampling.conformance.oracle import Row
from sampling.conformance.probe.context import ProbeContext
from sampling.conformance.probe.engine import Ask
from sampling.conformance.probe.questions import rare
from sampling.conformance.statistics.pearson import pearson
from sampling.conformance.statistics.pit import cells, pair_cells, transform
from sampling.conformance.verdict import Finding, Verdict

Tokens = NDArray[np.int64]

SEEDS = 16  # seeds that are asked again
LENGTH = 24  # tokens of a seeded answer
NEIGHBOURS = 40  # requests whose seeds are neighbours
STRIDES = {"1 apart": 1, "2^16 apart": 2**16, "2^32 apart": 2**32}
RARE_DRAWS = 20_000
BINS, PAIR_BINS = 16, 5


def answers(context: ProbeContext, seeds: Sequence[int | None], n: int = 1) -> list[list[list[int]]]:
    """Return what each request gives: choices of the same length, as places among the tokens of a flat row."""
    state = context.state_of(FLAT)
    own = {token: place for place, token in enumerate(context.probe.states[state].tokens)}
    prompt = context.entry(FLAT.logits)
    told = context.ask_all([Ask(prompt, {}, LENGTH, n, seed) for seed in seeds])
    if any(len(choice) != LENGTH or not own.keys() >= {*choice} for choices in told for choice in choices):
        raise NotTestable("tokens came that are none of the sixteen likely ones: see the other checks")
    return [[[own[token] for token in choice] for choice in choices] for choices in told]


def needs_seeds(context: ProbeContext) -> None:
    """End the check where there are no seeds.

    Raises:
        Refused: The target takes none.
    """
    if not context.takes_seeds:
        raise Refused("seed refused")


def flat() -> Row:
    """Return the distribution of the flat row."""
    p = np.exp(FLAT.logits.astype(np.float64))
    return p / p.sum()


def by_position(told: Sequence[Sequence[int]]) -> Tokens:
    """Return tokens position by position, so that neighbours are of different requests."""
    return np.array(told, dtype=np.int64).T.ravel()


def seed_repeats(context: ProbeContext) -> Finding:
    """Ask under the same seeds again: in another order, and one at a time."""
    needs_seeds(context)
    seeds = [seed for seed in context.seeds(SEEDS) if seed is not None]
    first = answers(context, seeds)
    backwards = answers(context, seeds[::-1])[::-1]
    alone = [answers(context, [seed])[0] for seed in seeds]
    same = sum(one == other == third for one, other, third in zip(first, backwards, alone, strict=True))
    drawn = 3 * SEEDS * LENGTH
    words = f"{same} of {SEEDS} seeds gave the same {LENGTH} tokens in another order, and alone"
    detects = f"a request in {SEEDS} that is not repeated"
    if same == SEEDS:
        return Finding(Verdict.CONFORMS, words, drawn, detects, false_alarm=0.0)
    any_again = any(one == other for one, other in zip(backwards, alone, strict=True))
    return Finding(Verdict.DEVIATES if any_again else Verdict.IGNORED, words, drawn, detects, false_alarm=0.0)


def seeds_differ(context: ProbeContext) -> Finding:
    """Ask under seeds one apart, 2^16 apart and, where they are taken, 2^32 apart."""
    needs_seeds(context)
    findings: list[tuple[str, Finding]] = []
    for name, stride in STRIDES.items():
        try:
            told = answers(context, [stride * step for step in range(1, NEIGHBOURS + 1)])
        except Refused:
            continue  # a narrower seed than the API's is a matter of its range, not of independence
        tokens = by_position([choices[0] for choices in told])
        findings.append((f"seeds {name}", independent(tokens, flat(), "seed")))
    return combine_findings(findings)


def choices_differ(context: ProbeContext) -> Finding:
    """Two choices of each of some seeded requests."""
    needs_seeds(context)
    pairs = answers(context, context.seeds(NEIGHBOURS), 2)
    if all(first == second for first, second in pairs):
        flat_of = np.array([token for first, _ in pairs for token in first])
        words = f"the two choices were the same in each of {NEIGHBOURS} requests"
        return Finding(
            Verdict.DEVIATES, words, 2 * len(flat_of), e_values={NULL: product(1 / flat()[flat_of])}
        )
    return independent(by_position([choice for pair in pairs for choice in pair]), flat(), "choice")


def unseeded_vary(context: ProbeContext) -> Finding:
    """Send requests without a seed."""
    told = answers(context, [None] * NEIGHBOURS)
    return independent(by_position([choices[0] for choices in told]), flat(), "request")


def uniformity(context: ProbeContext) -> Finding:
    """Tokens of some answers: the transforms are uniform, and so are the pairs of one and the next."""
    told = answers(context, context.seeds(NEIGHBOURS))
    p, tokens = flat(), np.array([choices[0] for choices in told])
    u = transform(tokens.ravel(), p, context.rng.random(tokens.size)).reshape(tokens.shape)
    pairs = pair_cells(u[:, :-1].ravel()[::2], u[:, 1:].ravel()[::2], PAIR_BINS)
    tests = {
        "uniformity": pearson([cells(u.ravel(), BINS)], [np.full(BINS, 1 / BINS)]),
        "independence of the token before": pearson([pairs], [np.full(PAIR_BINS**2, PAIR_BINS**-2.0)]),
    }
    return judged(tests, tokens.size)


def tail(context: ProbeContext) -> Finding:
    """One likely token and thousands of a millionth each."""
    case = context.posed(rare(max(context.sizes.wide)))
    tokens = context.draws(case, min(RARE_DRAWS, context.most_draws))
    return rare_ones(tokens, context.expected(case), int(case.logits.argmax()))


RUNS: Mapping[str, Callable[[ProbeContext], Finding]] = {
    "randomness.seed-repeats": seed_repeats,
    "randomness.seeds-differ": seeds_differ,
    "randomness.choices-differ": choices_differ,
    "randomness.unseeded-vary": unseeded_vary,
    "randomness.uniformity": uniformity,
    "randomness.tail": tail,
}
