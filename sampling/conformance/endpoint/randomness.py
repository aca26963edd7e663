"""Checks of seeds, of choices, and of the draws' independence."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Any

import numpy as np

from sampling.conformance.endings import CheckEnded, NotTestable
from sampling.conformance.endpoint.distribution import ground, questions
from sampling.conformance.endpoint.fenced import Asked, batches
from sampling.conformance.endpoint.lab import EndpointLab, Run, choices_of
from sampling.conformance.statistics.binomial import tail
from sampling.conformance.statistics.pearson import pearson
from sampling.conformance.statistics.pit import cells, pair_cells, transform
from sampling.conformance.verdict import FALSE_ALARM, Finding, Verdict
from sampling.errors import shown

SEEDS = (1, 2, 12345, 2**31 - 2)
LENGTH = 12  # tokens of a seeded completion
NEIGHBOURS = 4
DRAWS = 512
FLAT_DRAWS = 162  # of three equally likely tokens
BINS, PAIR_BINS = 8, 3


def completion(lab: EndpointLab, n: int = 1, **fields: Any) -> list[str]:
    """The texts of a request whose tokens are hardly ever the same by chance."""
    asked = ground(lab).flat(12)
    given = {**asked.fields, "max_tokens": LENGTH, "temperature": 2, **fields}
    reply = lab.ask(asked.messages, n=n, **given)
    return [choice.text for choice in choices_of(reply, n).choices]


def seed_repeats(lab: EndpointLab) -> Finding:
    """The same seeded requests, alone and among others."""
    if not lab.survey.takes_seed():
        lab.ask(seed=1)  # says how it is refused
    with ThreadPoolExecutor(NEIGHBOURS) as pool:
        alone = {seed: completion(lab, seed=seed) for seed in SEEDS}
        again = {seed: completion(lab, seed=seed) for seed in SEEDS}
        beside = [pool.submit(completion, lab, seed=1000 + other) for other in range(2 * NEIGHBOURS)]
        among = {seed: completion(lab, seed=seed) for seed in SEEDS}
        for other in beside:
            other.result()
    drawn = 3 * len(SEEDS) * LENGTH
    if len({texts[0] for texts in alone.values()}) == 1:
        return Finding(Verdict.INCONCLUSIVE, "all seeds give one and the same text", drawn)
    for other, where in ((again, "alone"), (among, "among other requests")):
        changed = [seed for seed in SEEDS if other[seed] != alone[seed]]
        if changed:
            first = changed[0]
            words = f"seed {first} gave {shown(alone[first][0])}, then, {where}, {shown(other[first][0])}"
            whole = len(changed) == len(SEEDS) and where == "alone"
            return Finding(Verdict.IGNORED if whole else Verdict.DEVIATES, words, drawn, false_alarm=0.0)
    words = f"{len(SEEDS)} seeds gave the same {LENGTH} tokens three times, once among {2 * NEIGHBOURS} other requests"
    return Finding(Verdict.CONFORMS, words, drawn, "any change of a token", false_alarm=0.0)


def seeds_differ(lab: EndpointLab) -> Finding:
    """Consecutive seeds, one draw each, from three equally likely tokens."""
    if not lab.survey.takes_seed():
        lab.ask(seed=1)
    asked = ground(lab).flat(3)
    count = FLAT_DRAWS
    tokens = [first(lab, asked, seed=seed) for seed in range(1, count + 1)]
    return spread(lab, asked, tokens, "consecutive seeds")


def unseeded_vary(lab: EndpointLab) -> Finding:
    """Requests without a seed, from three equally likely tokens."""
    asked = ground(lab).flat(3)
    tokens = [first(lab, asked) for _ in range(FLAT_DRAWS)]
    return spread(lab, asked, tokens, "requests without a seed")


def first(lab: EndpointLab, asked: Asked, **fields: Any) -> int:
    """One draw from a question, as a place in the fence."""
    place = asked.place(lab.ask(asked.messages, **asked.fields, **fields).choices[0])
    if place is None:
        raise NotTestable("a token from outside of the fence was sampled (see bias.force)")
    return place


def spread(lab: EndpointLab, asked: Asked, tokens: Sequence[int], what: str) -> Finding:
    """Whether draws are spread as they should be, and each is independent of the one before."""
    p = asked.row(lab.semantics)[: asked.tokens]
    tokens = [token for token in tokens if token < len(p)]
    if len(tokens) < FLAT_DRAWS // 2:
        raise CheckEnded(f"only {len(tokens)} draws are among the tokens whose probabilities are known")
    shape = pearson([np.bincount(tokens, minlength=len(p))], [p])
    pairs = [*zip(tokens[::2], tokens[1::2], strict=False)]
    equal = tail(sum(a == b for a, b in pairs), len(pairs), float((p**2).sum()))
    worst = min(shape.p_value, equal)
    words = f"{len(tokens)} {what} gave {len(set(tokens))} of {len(p)} tokens; p-value {worst:.2g}"
    detects = f"a relative error of {shape.effect:.2g} of the shares (root mean square)"
    verdict = Verdict.DEVIATES if worst < FALSE_ALARM / 2 else Verdict.CONFORMS
    return Finding(verdict, words, len(tokens), detects)


def choices_differ(lab: EndpointLab) -> Finding:
    """The choices of seeded requests, in neighbouring pairs."""
    n, asked = 8, ground(lab).flat(3)
    tokens: list[int] = []
    for _ in range(-(-FLAT_DRAWS // n)):
        reply = choices_of(lab.ask(asked.messages, n=n, **asked.fields, **lab.seeds()), n)
        found = [asked.place(choice) for choice in reply.choices]
        if None in found:
            raise NotTestable("a token from outside of the fence was sampled (see bias.force)")
        tokens += [place for place in found if place is not None]
    return spread(lab, asked, tokens, "choices of seeded requests")


def uniformity(lab: EndpointLab) -> Finding:
    """Turn draws from one question into uniforms; look at their shares, and at pairs of neighbours."""
    asked = questions(lab, {"top_p": 1})
    p = asked[0].row(lab.semantics)[: asked[0].tokens]
    needed = -(-DRAWS // lab.survey.per_request())
    tokens = np.concatenate([part for _, part in islice(batches(lab, asked), needed)])
    tokens = tokens[tokens < len(p)]
    uniforms = transform(tokens, p, lab.rng.random(len(tokens)))
    pairs = uniforms[: len(uniforms) // 2 * 2].reshape(-1, 2).T
    single = pearson([cells(uniforms, BINS)], [np.full(BINS, 1 / BINS)])
    joint = pearson([pair_cells(pairs[0], pairs[1], PAIR_BINS)], [np.full(PAIR_BINS**2, PAIR_BINS**-2.0)])
    worst = min(single.p_value, joint.p_value)
    words = (
        f"p-value {single.p_value:.2g} for {BINS} equal parts, {joint.p_value:.2g} for pairs of neighbours"
    )
    detects = f"a relative error of {single.effect:.2g} of the parts, of {joint.effect:.2g} of the pairs"
    verdict = Verdict.DEVIATES if worst < FALSE_ALARM / 2 else Verdict.CONFORMS
    return Finding(verdict, f"{len(tokens)} draws: {words}", len(tokens), detects)


RUNS: dict[str, Run] = {
    "randomness.seed-repeats": seed_repeats,
    "randomness.seeds-differ": seeds_differ,
    "randomness.choices-differ": choices_differ,
    "randomness.unseeded-vary": unseeded_vary,
    "randomness.uniformity": uniformity,
}
