"""Which tokens a hypothesis tells apart: all, or not those of equal logits where it does not say which of them are kept."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sampling.conformance.distributions import alike
from sampling.conformance.oracle import Row, probabilities
from sampling.conformance.sampling_case import SamplingCase
from sampling.conformance.semantics import Semantics, definite

Cells = NDArray[np.int64]
SAME = 1e-9


def told_apart(case: SamplingCase, semantics: Semantics) -> Cells:
    """Return the cell of each token; tokens of one cell count together.

    Returns:
        int64 [V].

    Example:
        >>> from sampling.dialects import dialect
        >>> case = SamplingCase(np.array([0, 1, 0, 0], dtype=np.float32), {"top_p": 0.6})
        >>> [told_apart(case, Semantics.of(dialect(name))).tolist() for name in ("vllm", "transformers")]
        [[0, 1, 2, 3], [0, 1, 0, 0]]
    """
    every = np.arange(len(case.logits))
    if "arbitrary" not in (semantics.top_k_ties, semantics.top_p_ties):
        return every
    low, high = (probabilities(case, definite(semantics, low_ids_first=first)) for first in (True, False))
    return every if alike([low], [high], SAME) else levels(case)


def levels(case: SamplingCase) -> Cells:
    """Return a cell for each different logit, int64 [V]."""
    return np.unique(case.logits, return_inverse=True)[1].astype(np.int64)


def gathered(row: Row, cells: Cells) -> Row:
    """Return what the cells have of a row together, float64 [C]."""
    return np.bincount(cells, row).astype(np.float64)
