"""Evidence that may be looked at after every draw: products of likelihood ratios."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Row = NDArray[np.float64]
# e-values are shown up to this; what is more is called a proof only where a token was drawn that cannot be.
LARGEST = 1e300


@dataclass(frozen=True)
class Evidence:
    """What draws say against one hypothesis.

    Args:
        log_e: The logarithm of the e-value after the last draw; infinite for a proof.
        crossed: After how many draws the e-value first reached the threshold; None if it never did.
    """

    log_e: float
    crossed: int | None

    @property
    def e_value(self) -> float:
        """The e-value; infinite for a proof."""
        return math.inf if self.log_e == math.inf else math.exp(min(self.log_e, math.log(LARGEST)))


class Likelihoods:
    """The log likelihood of a growing sequence of draws under several hypotheses.

    Under a hypothesis, the ratio of any other hypothesis's likelihood to its own is a martingale of expectation 1, and so is a
    mixture of such ratios: it reaches 1 / a at any time with a chance of at most a.

    Args:
        names: Of the hypotheses.

    Source: Ville, "Etude critique de la notion de collectif", 1939; Vovk and Wang, "E-values: Calibration, combination and
    applications", Annals of Statistics, 2021.

    Example:
        >>> import numpy as np
        >>> seen = Likelihoods(["fair", "loaded"])
        >>> seen.add(np.array([0] * 80), {"fair": np.full(2, 0.5), "loaded": np.array([0.6, 0.4])})
        >>> evidence = seen.against("fair", 1e6)
        >>> round(evidence.e_value), evidence.crossed
        (2160228, 76)
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.names = tuple(names)
        self._logs: dict[str, list[Row]] = {name: [] for name in names}

    def add(self, tokens: NDArray[np.int64], probabilities: Mapping[str, Row]) -> None:
        """Take draws in.

        Args:
            tokens: int64 [N].
            probabilities: By hypothesis what they should have been drawn from, float64 [V].
        """
        with np.errstate(divide="ignore"):
            self.take({name: np.log(row)[tokens] for name, row in probabilities.items()})

    def take(self, logs: Mapping[str, Row]) -> None:
        """Take in draws from several distributions.

        Args:
            logs: By hypothesis the logarithm of each draw's probability, float64 [N].
        """
        for name, rows in self._logs.items():
            rows.append(logs[name])

    def against(self, name: str, threshold: float, others: Sequence[str] | None = None) -> Evidence:
        """Return the evidence against a hypothesis: the mean of others' likelihood ratios.

        Args:
            name: The hypothesis.
            threshold: What e-value is to be reached.
            others: The others; all of them when left out.
        """
        others = [other for other in self.names if other != name] if others is None else list(others)
        own = self._running(name)
        if not len(own):
            return Evidence(0.0, None)
        ratios = np.full(len(own), -np.inf)
        alive = np.isfinite(own)
        for other in others:
            difference = self._running(other)[alive] - own[alive]
            ratios[alive] = np.logaddexp(ratios[alive], difference - math.log(len(others)))
        ratios[~alive] = np.inf  # a token that this hypothesis never draws
        crossed = np.flatnonzero(ratios >= math.log(threshold))
        return Evidence(float(ratios[-1]), int(crossed[0]) + 1 if len(crossed) else None)

    def final(self, name: str) -> float:
        """Return the log likelihood of all draws under a hypothesis; -inf if it excludes one of them."""
        running = self._running(name)
        return float(running[-1]) if len(running) else 0.0

    def _running(self, name: str) -> Row:
        rows = self._logs[name]
        if len(rows) > 1:
            rows[:] = [np.concatenate(rows)]
        return np.cumsum(rows[0]) if rows else np.empty(0)
