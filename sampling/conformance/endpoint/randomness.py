"""Checks of seeds, of choices, and of the draws' independence."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from itertools import islice, pairwise
from typing import Any

import numpy as np

from sampling.conformance.comparison import ALWAYS
from sampling.conformance.endings import CheckEnded, NotTestable
from sampling.conformance.endpoint.distribution import ground
from sampling.conformance.endpoint.draws import batches
from sampling.conformance.endpoint.endpoint_context import EndpointContext, Run, choices_of
from sampling.conformance.endpoint.ground import EndpointCase
from sampling.conformance.endpoint.reply import Choice
from sampling.conformance.endpoint.trouble import Refused, Unanswered
from sampling.conformance.proof import by_replay
from sampling.conformance.statistics.binomial import tail
from sampling.conformance.statistics.pearson import pearson
from sampling.conformance.statistics.pit import transform
from sampling.conformance.uniformity import uniformity_of
from sampling.conformance.verdict import FALSE_ALARM, Finding, Verdict, certain
from sampling.core.errors import shown

SEEDS = (1, 2, 12345, 2**31 - 2)
LENGTH = 12  # tokens of a seeded completion
NEIGHBOURS = 4
DRAWS, ALONE = 512, 160  # ALONE: of an endpoint that gives one choice a request
FLAT_DRAWS = 162  # of three equally likely tokens
EQUAL, SINGLE = 4, 100  # equally likely tokens, and requests for one of them
CONNECTIONS = 3
NULL, NEXT, NONE = "s", "s + 1", "-1"
RELATED = {NULL: 4321, NEXT: 4322, "s + 2^31": 4321 + 2**31, "s + 2^32": 4321 + 2**32, "-s": -4321, NONE: -1}
FOLLOWING = "choice i of seed s is choice 0 of seed s + i"
USUAL = (0, 1, 42, 1234)  # seeds that engines take where none is given


def completion(context: EndpointContext, n: int = 1, **fields: Any) -> list[str]:
    """Return the texts of a request whose tokens are hardly ever the same by chance."""
    reply = context.ask(ground(context).flat(12).messages, n=n, **long(context, fields))
    return [choice.text for choice in choices_of(reply, n).choices]


def long(context: EndpointContext, fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of such a request."""
    return {**ground(context).flat(12).fields, "max_tokens": LENGTH, "temperature": 2, **fields}


def texts_of(context: EndpointContext, seeds: Mapping[str, int]) -> dict[str, str]:
    """Return the texts of such requests under seeds, by what the seeds are called; those that are refused left out.

    One after the other: beside others a seed may not hold, which is another check's.
    """
    told: dict[str, str] = {}
    for name, seed in seeds.items():
        try:
            told[name] = completion(context, seed=seed)[0]
        except (Refused, Unanswered):  # some engines fail where they should refuse
            continue
    return told


def seed_repeats(context: EndpointContext) -> Finding:
    """Ask for the same seeded requests, alone and among others."""
    if not context.profile.takes_seed():
        context.ask(seed=1)  # says how it is refused
    with ThreadPoolExecutor(NEIGHBOURS) as pool:
        alone = {seed: completion(context, seed=seed) for seed in SEEDS}
        again = {seed: completion(context, seed=seed) for seed in SEEDS}
        beside = [pool.submit(completion, context, seed=1000 + other) for other in range(2 * NEIGHBOURS)]
        among = {seed: completion(context, seed=seed) for seed in SEEDS}
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


def seeds_differ(context: EndpointContext) -> Finding:
    """Consecutive seeds, one draw each, from four equally likely tokens; and seeds that a rule may take for another."""
    if not context.profile.takes_seed():
        context.ask(seed=1)
    told = texts_of(context, RELATED)
    same = [name for name, text in told.items() if name != NULL and name != NONE and text == told.get(NULL)]
    if len(told) > 2 and len(set(told.values())) == 1:
        return Finding(
            Verdict.DEVIATES, "fits 'one seed for all': all seeds give one and the same text", len(told)
        )
    rules, wrong = [*minus_one(context, told), *following(context, told)], list[str]()
    if same:
        names = " and ".join(same)
        wrong.append(f"'seeds that differ are the same': with s = {RELATED[NULL]}, {names} give what s gives")
    if FOLLOWING in rules and not context.semantics.choices_follow_seeds:
        wrong.append(f"{FOLLOWING!r}: different seeds share their tokens where n is above 1")
    if wrong:
        return Finding(Verdict.DEVIATES, f"fits {'; fits '.join(wrong)}", len(told), false_alarm=0.0)
    asked = ground(context).flat(EQUAL)
    tokens = firsts(context, asked, [{"seed": seed} for seed in range(1, SINGLE + 1)])
    found = spread(context, asked, tokens, "consecutive seeds")
    return replace(found, evidence="; ".join([found.evidence, *rules]))


def minus_one(context: EndpointContext, told: Mapping[str, str]) -> list[str]:
    """Return what a seed of -1 is."""
    if NONE not in told:
        return ["a seed of -1 is refused"]
    return [] if completion(context, seed=-1)[0] == told[NONE] else ["a seed of -1 is none"]


def following(context: EndpointContext, told: Mapping[str, str]) -> list[str]:
    """Whether the second choice of a seed is the first of the next."""
    if context.profile.per_request() == 1 or NEXT not in told:
        return []
    return [FOLLOWING] if completion(context, 2, seed=RELATED[NULL])[1] == told[NEXT] else []


def unseeded_vary(context: EndpointContext) -> Finding:
    """Send requests without a seed, some of them over fresh connections and behind seeded ones; then first draws of many.

    A generator that every connection begins anew, and a seed that stays behind in it, show in longer texts.
    """
    completion(context)  # what has to be learnt first is no part of a stream
    context.profile.takes_seed()
    streams: list[list[str]] = []
    for _ in range(CONNECTIONS):
        context.client.close()
        streams.append([completion(context)[0] for _ in range(2)])
    drawn = CONNECTIONS * 2 * LENGTH
    if len({text for stream in streams for text in stream}) == 1:
        return Finding(Verdict.DEVIATES, f"fits {same_seed(context, streams[0][0])!r}", drawn)
    if all(stream == streams[0] for stream in streams):
        words = (
            "fits 'every connection begins the same stream': what comes first over one comes first over all"
        )
        return Finding(Verdict.DEVIATES, words, drawn)
    if context.profile.takes_seed():
        behind = [(completion(context, seed=SEEDS[0]), completion(context))[1] for _ in range(2)]
        if behind[0] == behind[1]:
            words = "fits 'a seed stays for those who ask without one': they repeat what follows it"
            return Finding(Verdict.DEVIATES, words, drawn)
    asked = ground(context).flat(EQUAL)
    return spread(context, asked, firsts(context, asked, [{}] * SINGLE), "requests without a seed")


def same_seed(context: EndpointContext, text: str) -> str:
    """Return the reading of a text that comes to every request without a seed."""
    words = "every request without a seed has the same one"
    if not context.profile.takes_seed():
        return words
    told = texts_of(context, {str(seed): seed for seed in USUAL})
    if len(set(told.values())) == 1:
        return ALWAYS
    return next((f"{words}, {name}" for name, other in told.items() if other == text), words)


def firsts(context: EndpointContext, asked: EndpointCase, fields: Sequence[Mapping[str, Any]]) -> list[int]:
    """One draw from a question for each request, as places in the support."""
    replies = context.ask_all([{**asked.fields, **each} for each in fields], asked.messages)
    return places_of(asked, [reply.choices[0] for reply in replies])


def places_of(asked: EndpointCase, choices: Sequence[Choice]) -> list[int]:
    """Return the places in the support of what choices have sampled.

    Raises:
        NotTestable: One of them is not in it.
    """
    places = [asked.place(choice) for choice in choices]
    if None in places:
        raise NotTestable("a token from outside of the support was sampled (see bias.force)")
    return [place for place in places if place is not None]


def spread(context: EndpointContext, asked: EndpointCase, tokens: Sequence[int], what: str) -> Finding:
    """Whether draws are spread as they should be, and each is independent of the one before."""
    p = asked.row(context.semantics)[: asked.tokens]
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


MOST_CHOICES = 8  # of a request, where so many are taken


def choices_differ(context: EndpointContext) -> Finding:
    """Ask for the choices of seeded requests, in neighbouring pairs; and whether their order is that of their probabilities.

    That choices share their tokens with those of other seeds is said by the check of these.
    """
    asked, taken = ground(context).flat(3), context.profile.per_request()
    n = min(MOST_CHOICES, taken) if taken > 1 else MOST_CHOICES
    if taken == 1 and len(context.ask(asked.messages, n=n, **asked.fields).choices) == 1:
        return certain(Verdict.IGNORED, f"one choice comes for n = {n}", detects="choices, not draws")
    # some engines sort by them where they are asked for
    shown = {"logprobs": True} if context.profile.listed() else {}
    count = -(-FLAT_DRAWS // n)
    requests = [{"n": n, **shown, **asked.fields, **context.seeds()} for _ in range(count)]
    replies = context.ask_all(requests, asked.messages)
    tokens = [places_of(asked, choices_of(reply, n).choices) for reply in replies]
    every, order = [place for places in tokens for place in places], log_sorted(tokens)
    if order >= -math.log(FALSE_ALARM):
        shape = spread(context, asked, [*context.rng.permutation(every)], "choices of seeded requests")
        words = "fits 'sorted by score': the choices of a request come in the order of their probabilities"
        verdict = Verdict.AMBIGUOUS if shape.verdict is Verdict.CONFORMS else shape.verdict
        return replace(shape, verdict=verdict, evidence=f"{words}; {shape.evidence}")
    return spread(context, asked, every, "choices of seeded requests")


def log_sorted(requests: Sequence[Sequence[int]]) -> float:
    """Return the log e-value against choices that come in any order, by those that come sorted; -inf where they do not.

    Example:
        >>> round(math.exp(log_sorted([[0, 0, 1]])), 6), log_sorted([[1, 0]])
        (3.0, -inf)
    """
    total = 0.0
    for places in requests:
        if any(one > other for one, other in pairwise(places)):
            return -math.inf
        orders = sum(math.lgamma(times + 1) for times in Counter(places).values())
        total += math.lgamma(len(places) + 1) - orders
    return total


def uniformity(context: EndpointContext) -> Finding:
    """Turn draws from one question into uniforms; look at their shares, and at pairs of neighbours."""
    asked = [ground(context).case({"top_p": 1})]
    p = asked[0].row(context.semantics)[: asked[0].tokens]
    each = context.profile.per_request()
    needed = -(-DRAWS // each) if each > 1 else ALONE
    # in no order of the endpoint's: choices may come sorted, which is another check's
    tokens = np.concatenate(
        [context.rng.permutation(part) for _, part in islice(batches(context, asked, needed), needed)]
    )
    tokens = tokens[tokens < len(p)]
    return uniformity_of(transform(tokens, p, context.rng.random(len(tokens))))


def proved(statistics: Run, context: EndpointContext) -> Finding:
    """Prove by replay where the rule is known and answers tell their token ids; look at frequencies where not."""
    return by_replay(context.replayed, of_model=True) or statistics(context)


RUNS: dict[str, Run] = {
    "randomness.seed-repeats": partial(proved, seed_repeats),
    "randomness.seeds-differ": partial(proved, seeds_differ),
    "randomness.choices-differ": partial(proved, choices_differ),
    "randomness.unseeded-vary": unseeded_vary,
    "randomness.uniformity": partial(proved, uniformity),
}
