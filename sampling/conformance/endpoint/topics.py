"""What questions are about: each topic is parameters, and readings that are to be told apart.

A topic does not know the dialect that is asked for, so that all checks, and the identification, share its draws.
"""

from __future__ import annotations

from dataclasses import replace

from sampling.conformance.endpoint.biased_case import Asked, BiasedCase, always
from sampling.conformance.endpoint.design import Option
from sampling.conformance.endpoint.ground import Ground, clear_k, clear_min_p, clear_p
from sampling.conformance.hypotheses import by_count
from sampling.conformance.semantics import Semantics, joined, moved
from sampling.dialects.qstash import QSTASH

PLAIN = Semantics.of(QSTASH)
SHARES = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)  # top_p
LEAST_SHARES = (0.05, 0.1, 0.2, 0.3, 0.4)  # min_p
COLD = (0.4, 0.6)  # temperatures


def ignoring(name: str) -> Semantics:
    """Return the reading without a parameter."""
    return replace(PLAIN, ignores=frozenset({name}))


SCALES = (
    PLAIN,
    ignoring("temperature"),
    replace(PLAIN, temperature_power=-1.0),
    replace(PLAIN, temperature_power=2.0),
    always(PLAIN),
)


def late(stage: str) -> Semantics:
    """Return the reading in which the temperature comes behind a truncation."""
    return replace(PLAIN, order=moved(PLAIN.order, "temperature", after=stage))


def cold(ground: Ground) -> Asked:
    """Return a temperature below 1."""
    return ground.sharpest(values("temperature", (0.3, 0.5)), SCALES, lambda _: {"temperature": 0.6})


def hot(ground: Ground) -> Asked:
    """Return a temperature above 1."""
    return ground.sharpest(values("temperature", (1.5, 1.9)), SCALES, lambda _: {"temperature": 1.7})


def nucleus(ground: Ground) -> Asked:
    """Return a top_p in the middle of a token's share."""
    readings = (*by_count(PLAIN).values(), ignoring("top_p"))
    return ground.sharpest(values("top_p", SHARES), readings, lambda g: {"top_p": clear_p([g.row()])})


def leading(ground: Ground) -> Asked:
    """Return a top_k of a few tokens."""
    sizes = tuple(replace(PLAIN, top_k_offset=more) for more in (0, -1, 1))
    readings = (*sizes, ignoring("top_k"))
    return ground.sharpest(values("top_k", (2, 3, 4)), readings, lambda g: {"top_k": clear_k(g.row(), 4)})


def single(ground: Ground, value: float) -> Asked:
    """Return a top_p at which one token is kept, or all."""
    readings = (PLAIN, replace(PLAIN, crossing_tokens=1), ignoring("top_p"))
    logits = ground.sharpest(values("top_p", (1e-6,)), readings, lambda _: {"top_p": value})
    return replace(logits, params={"top_p": value}) if isinstance(logits, BiasedCase) else logits


def likely(ground: Ground) -> Asked:
    """Return a min_p that keeps some tokens."""
    readings = (PLAIN, ignoring("min_p"), always(PLAIN))
    return ground.sharpest(values("min_p", LEAST_SHARES), readings, lambda _: {"min_p": 0.3})


def cold_nucleus(ground: Ground) -> Asked:
    """Return a temperature below 1 and a top_p whose order decides about tokens."""
    orders = [
        reading for order in (PLAIN, late("top_p")) for reading in (order, replace(order, crossing_tokens=-1))
    ]
    options = tuple((("temperature", t), ("top_p", p)) for t in COLD for p in SHARES)

    def otherwise(ground: Ground) -> dict[str, float]:
        return {"temperature": 0.4, "top_p": clear_p([ground.row(0.4), ground.row()], differ=3)}

    return ground.sharpest(options, (*orders, ignoring("top_p"), always(PLAIN)), otherwise)


def cold_least(ground: Ground) -> Asked:
    """Return a temperature below 1 and a min_p whose order decides about tokens."""
    options = tuple((("temperature", t), ("min_p", p)) for t in COLD for p in LEAST_SHARES)
    readings = (PLAIN, late("min_p"), ignoring("min_p"), always(PLAIN))

    def otherwise(ground: Ground) -> dict[str, float]:
        return {"temperature": 0.5, "min_p": clear_min_p([ground.row(0.5), ground.row()])}

    return ground.sharpest(options, readings, otherwise)


def both(ground: Ground) -> Asked:
    """Return a top_k, and a top_p that keeps fewer of the tokens that it left than of all."""
    options = tuple((("top_k", k), ("top_p", p)) for k in (3, 4, 5) for p in SHARES)
    joint = replace(PLAIN, order=joined(PLAIN.order, "top_k", "top_p"))

    def otherwise(ground: Ground) -> dict[str, float]:
        k, row = clear_k(ground.row(), 5), ground.row()
        return {"top_k": k, "top_p": clear_p([row, row[:k] / row[:k].sum()])}

    return ground.sharpest(
        options, (PLAIN, joint, ignoring("top_k"), ignoring("top_p"), always(PLAIN)), otherwise
    )


def values(name: str, given: tuple[float, ...]) -> tuple[Option, ...]:
    """One parameter at some values."""
    return tuple(((name, value),) for value in given)
