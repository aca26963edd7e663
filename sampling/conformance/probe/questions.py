"""The rows of a probe checkpoint: those of the cases that callables are asked about, on the vocabulary that there is."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import torch

from sampling.conformance.callables.cases import cases, more_cases
from sampling.conformance.callables.randomness import FLAT, RARE
from sampling.conformance.fixtures import EQUAL, Sizes, spaced, tied, two_levels
from sampling.conformance.identify import QUESTIONS
from sampling.conformance.sampling_case import SamplingCase
from sampling.probe.arrival import steps
from sampling.probe.chain import dtype_named
from sampling.probe.rows import BELOW, FAR_BELOW, SHARE, Logits, Row, key_of

BROAD, MANY, WIDE = 4096, 2048, 32_768


def sizes_on(usable: int) -> Sizes:
    """Return the sizes of rows for so many tokens that can be used."""
    wide = (WIDE, usable) if usable > 2 * WIDE else (usable,)
    return Sizes(wide, min(BROAD, usable // SHARE), min(MANY, usable // SHARE))


def rare(width: int) -> SamplingCase:
    """Return one likely token, and others of a millionth each."""
    logits = np.full(width, math.log(RARE / (1 - RARE * (width - 1))), dtype=np.float32)
    logits[0] = 0.0
    return SamplingCase(logits)


def asked(sizes: Sizes) -> Iterator[tuple[str, SamplingCase]]:
    """Yield all cases that a probe may be asked, with words for their rows."""
    for among in (cases(sizes), more_cases(sizes)):
        for check, groups in among.items():
            for group, members in groups.items():
                yield from ((f"{check} {group}".strip(), case) for case in members)
    yield from QUESTIONS.items()
    yield "an exact hit", SamplingCase(EQUAL)
    yield "flat", FLAT
    yield "STRONG values", SamplingCase(spaced(offset=3.0))
    yield "rare tokens", rare(max(sizes.wide))
    for width in (16, 64, *sizes.wide):
        yield f"ties on {width} logits", tied(width, "top_k")
    for width in (sizes.many, *sizes.wide):
        yield f"two levels on {width} logits", SamplingCase(two_levels(width))


def rows(usable: int, dtype: str) -> list[Row]:
    """Return the rows for so many tokens, as a type of weights holds them; those whose numbers are too large are left out."""
    found: dict[str, Row] = {}
    for name, case in asked(sizes_on(usable)):
        key = key_of(case.logits)
        if "logit_bias" not in case.params and key not in found and narrow(case.logits):
            # what is hit exactly must not be missed by what all others add up to
            below = FAR_BELOW if key == key_of(EQUAL) else BELOW
            found[key] = Row(name, rounded(case.logits, dtype), key=key, below=below).trimmed()
    return [*steps(dtype), *found.values()]


def narrow(logits: Logits) -> bool:
    """Whether float16 holds all that are not -inf: an engine that runs in it would have NaN in every state otherwise."""
    return bool((np.abs(logits[np.isfinite(logits)]) <= torch.finfo(torch.float16).max).all())


def rounded(logits: Logits, dtype: str) -> Logits:
    """Return logits as a type of weights holds them."""
    return torch.from_numpy(logits.copy()).to(dtype_named(dtype)).float().numpy()
