"""The parameters that endpoints are asked about, by check; logits are chosen for them where biases can set them.

What is chosen does not depend on the dialect that is asked for, so that all checks, and the identification, share its draws.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product

from sampling.conformance.checks import COMPARISONS
from sampling.conformance.endpoint.design import Option
from sampling.conformance.endpoint.ground import (
    EndpointCase,
    Ground,
    NaturalParams,
    clear_k,
    clear_min_p,
    clear_p,
)
from sampling.conformance.semantics import Semantics
from sampling.dialects.qstash import QSTASH

PLAIN = Semantics.of(QSTASH)
SHARES = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)  # top_p
LEAST_SHARES = (0.05, 0.1, 0.2, 0.3, 0.4)  # min_p
COLDS = (0.4, 0.6)  # temperatures


@dataclass(frozen=True)
class Choice:
    """A case to choose: what tells the hypotheses of a check apart in the fewest draws.

    Args:
        check: The check.
        options: Parameters to choose from, where the logits can be chosen, too.
        natural: The parameters where the logits are as they are.
    """

    check: str
    options: tuple[Option, ...]
    natural: NaturalParams

    def case(self, ground: Ground) -> EndpointCase:
        """Return the case."""
        comparison = COMPARISONS[self.check].comparison(PLAIN)
        hypotheses = (*comparison.null.values(), *comparison.alternatives.values())
        return ground.sharpest(self.options, hypotheses, self.natural)


def options(**values: tuple[float, ...]) -> tuple[Option, ...]:
    """Return all combinations of parameters' values."""
    return tuple(tuple(zip(values, chosen, strict=True)) for chosen in product(*values.values()))


def both(ground: Ground) -> dict[str, float]:
    """Return a top_k, and a top_p that keeps fewer of the tokens that it left than of all."""
    k, row = clear_k(ground.row(), 5), ground.row()
    return {"top_k": k, "top_p": clear_p([row, row[:k] / row[:k].sum()])}


COLD = Choice("temperature.scale", options(temperature=(0.3, 0.5)), lambda _: {"temperature": 0.6})
HOT = Choice("temperature.scale", options(temperature=(1.5, 1.9)), lambda _: {"temperature": 1.7})
NUCLEUS = Choice(
    "truncation.crossing-token", options(top_p=SHARES), lambda ground: {"top_p": clear_p([ground.row()])}
)
SINGLE = Choice("truncation.top-p-to-zero", options(top_p=(1e-6,)), lambda _: {"top_p": 1e-6})
LEADING = Choice(
    "truncation.top-k", options(top_k=(2, 3, 4)), lambda ground: {"top_k": clear_k(ground.row(), 4)}
)
LIKELY = Choice("truncation.min-p-order", options(min_p=LEAST_SHARES), lambda _: {"min_p": 0.3})
COLD_NUCLEUS = Choice(
    "truncation.temperature-order",
    options(temperature=COLDS, top_p=SHARES),
    lambda ground: {"temperature": 0.4, "top_p": clear_p([ground.row(0.4), ground.row()], differ=3)},
)
COLD_LEAST = Choice(
    "truncation.min-p-order",
    options(temperature=COLDS, min_p=LEAST_SHARES),
    lambda ground: {"temperature": 0.5, "min_p": clear_min_p([ground.row(0.5), ground.row()])},
)
BOTH = Choice("truncation.joint", options(top_k=(3, 4, 5), top_p=SHARES), both)

CASES: Mapping[str, tuple[Choice, ...]] = {
    "temperature.scale": (COLD, HOT),
    "truncation.temperature-order": (COLD_NUCLEUS,),
    "truncation.crossing-token": (NUCLEUS,),
    "truncation.no-token-more": (NUCLEUS,),
    "truncation.top-k": (LEADING,),
    "truncation.joint": (BOTH,),
    "truncation.min-p-order": (COLD_LEAST,),
}
ALONE: Mapping[str, Choice] = {"temperature": COLD, "top_p": NUCLEUS, "top_k": LEADING, "min_p": LIKELY}
"""A parameter by itself, at a value at which it shows."""
