"""The logits and parameters that callables are asked about, by check: on small rows, and on rows that real requests have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sampling.conformance.fixtures import (
    CLOSE,
    HALF,
    HEAD,
    LONG,
    LOWEST,
    RANKED,
    TIED,
    Sizes,
    candidates,
    long_tailed,
    shelf,
    shelf_share,
    spaced,
    two_levels,
)
from sampling.conformance.sampling_case import SamplingCase

Groups = Mapping[str, Sequence[SamplingCase]]
Logits = NDArray[np.float32]
FEW = [candidates(shares) for shares in ((0.6, 0.4), (0.4, 0.3, 0.3), (0.4, 0.3, 0.2, 0.1))]
BANNED = candidates((0.5, 0.3, 0.15, 0.05), low=-100.0, count=3)
LOWS = ((-100.0, 200), (-1e4, 1), (LOWEST, 1))
NEAR_HALF = np.array([-2.0, 0.0, -3.0, HALF, -2.0, -4.0, -4.0, -4.0], dtype=np.float32)
FIRST, SECOND, THIRD, FOURTH = RANKED[:4]


def on(rows: Sequence[Logits], *params: Mapping[str, Any]) -> list[SamplingCase]:
    """Return cases of every row under each of some parameters."""
    return [SamplingCase(row, given) for row in rows for given in params]


def scope(name: str) -> list[SamplingCase]:
    """Return likely tokens in the prompt, far back, and just sampled, under a penalty."""
    row, params = spaced(offset=3.0), {name: 1.5}
    return [
        SamplingCase(row, params, prompt_ids=RANKED[:2], output_ids=(THIRD, THIRD)),
        SamplingCase(row, params, prompt_ids=RANKED[:1], output_ids=LONG),
    ]


def counted(name: str) -> SamplingCase:
    """Return tokens of both signs that were sampled once, twice and three times, under a penalty."""
    output = (FIRST, THIRD, FIRST, FOURTH, THIRD, FIRST)
    return SamplingCase(spaced(offset=1.0), {name: 0.8}, prompt_ids=(SECOND, SECOND), output_ids=output)


SMALL = [spaced()]
# Two nuclei, neither of them near a boundary.
NUCLEI = on(SMALL, {"top_p": 0.5}, {"top_p": 0.9})
MIN_P = {"min_p": 0.15}
BAN = SamplingCase(spaced(), {"logit_bias": dict.fromkeys(RANKED[:3], -100)})

# Of a case with several parameters each has to act by itself; it is left out otherwise.
CASES: Mapping[str, Groups] = {
    "temperature.zero": {
        "": [
            *on([spaced(), TIED], {"temperature": 0}),
            SamplingCase(spaced(), {"temperature": 0, "logit_bias": {RANKED[4]: 5}}),
            SamplingCase(spaced(), {"temperature": 0, "presence_penalty": 1.0}, output_ids=(FIRST,)),
        ]
    },
    "temperature.limit": {"": on([CLOSE, TIED], {"temperature": 1e-3}, {"temperature": 1e-30})},
    "truncation.temperature-order": {
        "16 logits": on(SMALL, {"temperature": 0.5, "top_p": 0.9}, {"temperature": 1.5, "top_p": 0.7})
    },
    "truncation.crossing-token": {"16 logits": NUCLEI},
    "truncation.no-token-more": {"16 logits": NUCLEI},
    "truncation.top-p-to-zero": {
        "top_p 1e-06": on(SMALL, {"top_p": 1e-6}),
        "top_p 0": on(SMALL, {"top_p": 0}),
    },
    "truncation.top-k": {"16 logits": on(SMALL, {"top_k": 3}, {"top_k": 8})},
    "truncation.joint": {"16 logits": on(SMALL, {"top_k": 5, "top_p": 0.8}, {"top_k": 8, "top_p": 0.9})},
    "truncation.min-p-order": {
        "16 logits": on(SMALL, MIN_P, {"temperature": 2.0, "min_p": 0.1}, {"top_p": 0.85, **MIN_P})
    },
    "penalties.presence-scope": {"": scope("presence_penalty")},
    "penalties.repetition-scope": {"": scope("repetition_penalty")},
    "penalties.frequency-counts": {"": [counted("frequency_penalty"), counted("presence_penalty")]},
    "penalties.repetition-sign": {
        "": [
            SamplingCase(spaced(offset=top), {"repetition_penalty": 1.4}, output_ids=(FIRST, THIRD, THIRD))
            for top in (3.1, -0.9)
        ]
    },
    "penalties.temperature-order": {
        "": [
            SamplingCase(spaced(), {name: 1.2, "temperature": 0.6}, output_ids=(FIRST, THIRD))
            for name in ("frequency_penalty", "presence_penalty")
        ]
    },
    "bias.ban": {"": [BAN, BAN]},  # twice as often as others
    "bias.force": {"": on(SMALL, {"logit_bias": {RANKED[-1]: 100}})},
    "bias.temperature-order": {
        "": [
            SamplingCase(spaced(), {"logit_bias": {FIRST: 1.5, FOURTH: -1.5}, "temperature": 0.6}),
            SamplingCase(
                spaced(offset=1.1),
                {"logit_bias": {FIRST: 2.0}, "repetition_penalty": 2.0},
                output_ids=(FIRST,),
            ),
        ]
    },
}


@cache
def cases(sizes: Sizes) -> Mapping[str, Groups]:
    """Return the cases of all checks that compare, by group."""
    scaled = [
        *on([two_levels(sizes.broad, scale=0.6)], {"temperature": 0.6}),  # shows a wrong one best
        *on([spaced(offset=300.13)], {"temperature": 1.6}),  # so large that rounding shows
    ]
    return {"temperature.scale": {"": scaled}, **CASES}


# Rows that real requests have, and sixteen logits have not: each is asked with as many draws as it takes, and no more.
COLD = {"temperature": 0.5, "top_p": 0.25}
BOTH = {"top_k": 50, "top_p": 0.5}


@cache
def more_cases(sizes: Sizes) -> Mapping[str, Groups]:
    """Return them."""
    tails = [long_tailed(width) for width in sizes.wide]
    low = [long_tailed(sizes.wide[0], low, count) for low, count in LOWS]
    shelves = [shelf(width) for width in sizes.wide if width > 2 * HEAD]
    # of each long row one of two tokens, and one of a shelf's head
    nuclei = [*on(tails, {"top_p": 0.25}), *on(shelves, {"top_p": shelf_share()})]
    return {
        "truncation.temperature-order": {"long tails": on(tails, COLD), "low logits": on(low, COLD)},
        "truncation.crossing-token": {"long tails": nuclei, "few candidates": on(FEW, {"top_p": 0.95})},
        "truncation.no-token-more": {
            "long tails": nuclei,
            "low logits": [*on([BANNED], {"top_p": 0.9}), *on(low, {"top_p": 0.25})],
        },
        "truncation.top-p-to-zero": {"top_p 0.1 of long tails": on(tails, {"top_p": 0.1})},
        "truncation.top-k": {
            "long tails": on(tails, {"top_k": 3}, {"top_k": 50}),
            "few candidates": on(FEW, {"top_k": 20}),
            "low logits": on(low, {"top_k": 3}, {"top_k": 50}),
        },
        "truncation.joint": {
            "long tails": on(tails, BOTH),
            "few candidates": on(FEW, {"top_k": 20, "top_p": 0.95}),
            "low logits": [*on([BANNED], {"top_k": 20, "top_p": 0.9}), *on(low, BOTH)],
        },
        "truncation.min-p-order": {
            "long tails": on(tails, MIN_P, {"temperature": 2.0, "min_p": 0.1}, {"top_p": 0.5, **MIN_P}),
            "few candidates": on(FEW, {"min_p": 0.2}),
            "low logits": on([BANNED, *low], {"min_p": 0.2}),
            "a token exactly at min_p": on([NEAR_HALF], {"min_p": 0.499999999}),
        },
    }
