"""How far a penalty shifts a token: by as much as a bias has to make up for.

Where the most likely token is taken, one token comes again and again until a bias favours another enough. By how much that
bias has to be larger under a larger penalty is what the penalty does, whatever the model's log probabilities are. Behind a run
of the first token they are seen only if the race there is closer than those before it; otherwise other tokens are tried.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import permutations
from typing import Any

import numpy as np

from sampling.conformance.endings import NotTestable
from sampling.conformance.endpoint.biased_case import BiasedCase
from sampling.conformance.endpoint.duel import BASE, RUNS, Duel
from sampling.conformance.endpoint.endpoint_context import EndpointContext, choices_of
from sampling.conformance.endpoint.profile import TokenSupport
from sampling.conformance.endpoint.trouble import Refused

SPAN, PRECISION = 12.0, 0.2  # of a threshold above that of the first position, and how closely it is found
SEEN = 0.3  # how far behind the race before it a race has to be decided, to be seen
PAIRS = 6  # of tokens that are tried
SAME_TEXTS = 8  # of equally likely tokens: by chance they are all equal less than once in a million

COUNTING, VALUES = ("frequency_penalty", "presence_penalty"), (1.0, 2.0)

# Ways to the most likely token, those first that leave the temperature alone.
WAYS: tuple[dict[str, Any], ...] = ({"top_p": 1e-6}, {"top_k": 1}, {"temperature": 0})


def arg_max(context: EndpointContext, tempered: bool) -> dict[str, Any]:
    """Parameters under which the most likely token is taken, as was seen.

    Raises:
        NotTestable: There are none.
    """
    support = context.profile.support()
    for way in WAYS[:2] if tempered else WAYS:
        equal = BiasedCase(support, np.zeros(len(support.tokens)), way)
        try:
            replies = context.ask_all([equal.fields] * SAME_TEXTS, support.messages)
        except Refused:
            continue
        if len({reply.choices[0].text for reply in replies}) == 1:
            return way
    raise NotTestable("no parameters by which the most likely token is always taken")


def shift(context: EndpointContext, name: str, low: float, high: float, **both: float) -> float:
    """How much further the larger of two penalties shifts a token that was sampled once.

    Returns:
        The shift in log probability that biases make up for.

    Raises:
        NotTestable: Behind no token it can be seen.
    """
    support = context.profile.support()
    for first, other in pairs(context, support):
        duels = [Duel(first, other, (*both.items(), (name, value))) for value in (low, high)]
        measure(context, support, duels)
        small, large = (context.thresholds[duel] for duel in duels)
        if visible(small, 1) and visible(large, 1):
            return large[1] - small[1]
    raise NotTestable("behind no token of the support a penalty on it would be seen in the model's context")


def counted(context: EndpointContext) -> tuple[list[float], list[float]]:
    """How much further penalties of 2 than of 1 shift a token that was sampled once and twice: frequency, then presence.

    What the frequency penalty adds for the second time shows by how much the race behind two is closer by itself; the
    presence penalty may add nothing there, which would not be seen otherwise.

    Raises:
        NotTestable: Behind no token of the support both are seen.
    """
    support = context.profile.support()
    for first, other in pairs(context, support):
        duels = {name: [Duel(first, other, ((name, value),)) for value in VALUES] for name in COUNTING}
        measure(context, support, duels["frequency_penalty"])
        small, large = (context.thresholds[duel] for duel in duels["frequency_penalty"])
        if not all(visible(told, run) for told in (small, large) for run in (1, RUNS)):
            continue
        frequency = [large[run] - small[run] for run in (1, RUNS)]
        measure(context, support, duels["presence_penalty"])
        once, twice = (context.thresholds[duel] for duel in duels["presence_penalty"])
        if not (visible(once, 1) and visible(twice, 1)):
            continue
        first_time = twice[1] - once[1]
        closer = (frequency[1] - frequency[0]) * VALUES[1] - (large[RUNS] - large[1])
        added = (twice[RUNS] - twice[1] + closer) / VALUES[1] if visible(twice, RUNS) else 0.0
        return frequency, [first_time, first_time + added]
    raise NotTestable(
        "behind no token of the support penalties on two of it would be seen in the model's context"
    )


def pairs(context: EndpointContext, support: TokenSupport) -> list[tuple[int, int]]:
    """Pairs of tokens, by place; those first behind which a penalty was seen before."""
    seen = {(duel.first, duel.other) for duel, told in context.thresholds.items() if visible(told, 1)}
    found = [*permutations(range(min(4, len(support.tokens))), 2)][:: 12 // PAIRS]
    return sorted(found, key=lambda pair: pair not in seen)


def visible(thresholds: Sequence[float], run: int) -> bool:
    """Whether the race behind a run is decided later than all before it, and within the span."""
    ahead = thresholds[run] - max(thresholds[:run])
    return ahead >= SEEN and all(
        thresholds[earlier] < thresholds[0] + SPAN - SEEN for earlier in range(run + 1)
    )


def measure(context: EndpointContext, support: TokenSupport, duels: Sequence[Duel]) -> None:
    """Find by bisection how far the first token has to be favoured so that it comes once, twice and so on."""
    todo = [duel for duel in dict.fromkeys(duels) if duel not in context.thresholds]
    bounds = {
        (duel, run): (begin(support, duel) - SEEN, begin(support, duel) + SPAN)
        for duel in todo
        for run in range(1, RUNS + 1)
    }
    while any(high - low > PRECISION for low, high in bounds.values()):
        middles = {
            (duel, (low + high) / 2) for (duel, _), (low, high) in bounds.items() if high - low > PRECISION
        }
        asked = sorted(middles, key=repr)
        found = leading(context, support, asked)
        for (duel, run), (low, high) in bounds.items():
            for (other, favour), count in zip(asked, found, strict=True):
                if other == duel and low < favour < high:
                    low, high = (low, favour) if count > run else (favour, high)
            bounds[duel, run] = low, high
    for duel in todo:
        told = [sum(bounds[duel, run]) / 2 for run in range(1, RUNS + 1)]
        context.thresholds[duel] = [begin(support, duel), *told]


def begin(support: TokenSupport, duel: Duel) -> float:
    """How far the first token has to be favoured at the first position."""
    return support.tokens[duel.other].logprob - support.tokens[duel.first].logprob


def leading(
    context: EndpointContext, support: TokenSupport, asked: Sequence[tuple[Duel, float]]
) -> list[int]:
    """How often the first token of each duel comes before the other, when it is favoured by so much."""
    requests = [
        {
            "max_tokens": RUNS + 1,
            "logit_bias": biases(support, duel, favour),
            **way(context, duel),
            **dict(duel.params),
        }
        for duel, favour in asked
    ]
    texts = [choices_of(reply, 1).choices[0].text for reply in context.ask_all(requests, support.messages)]
    found = [support.split(text, RUNS + 1) for text in texts]
    return [
        next((place for place, token in enumerate(tokens) if token != duel.first), len(tokens))
        for (duel, _), tokens in zip(asked, found, strict=True)
    ]


def way(context: EndpointContext, duel: Duel) -> Mapping[str, Any]:
    """How the most likely token is taken."""
    tempered = "temperature" in dict(duel.params)
    if tempered not in context.ways:
        context.ways[tempered] = arg_max(context, tempered)
    return context.ways[tempered]


def biases(support: TokenSupport, duel: Duel, favour: float) -> dict[str, float]:
    """Return the biases of a duel."""
    one, other = support.tokens[duel.first], support.tokens[duel.other]
    return {str(one.id): BASE, str(other.id): round(BASE - favour, 3)}
