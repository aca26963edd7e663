"""NumPy: `numpy.random.default_rng(seed).choice(V, p=softmax)`, one call a token.

Source: numpy 2.4, numpy/random/_generator.pyx (Generator.choice).
"""

from __future__ import annotations

import numpy as np
from torch import Tensor

from sampling.sampler.rules.inverse_cdf import InverseCdf


def uniform(seed: int, position: int) -> float:
    """Return the double that the generator gives after so many others."""
    return float(np.random.default_rng(seed % 2**64).random(position + 1)[-1])


def running_sums(logits: Tensor) -> Tensor:
    """Return the sums of the softmax in float64, divided by the last of them."""
    sums = logits.double().softmax(-1).cumsum(-1)
    return sums / sums[:, -1:]


NUMPY = InverseCdf(
    name="numpy",
    source="numpy 2.4, Generator.choice",
    on_host=True,
    uniform=uniform,
    running=running_sums,
    inclusive=False,
    tolerance=2.0**-40,
)
