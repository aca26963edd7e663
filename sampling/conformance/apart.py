"""Which tokens a reading tells apart: all, or not those of equal logits where it does not say which of them are kept."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sampling.conformance.distributions import alike
from sampling.conformance.oracle import Row, probabilities
from sampling.conformance.sampling_case import SamplingCase
from sampling.conformance.semantics import Semantics, definite

Cells = NDArray[np.int64]
SAME = 1e-9


def told_apart(question: SamplingCase, semantics: Semantics) -> Cells:
    """Return the cell of each token; tokens of one cell count together.

    Args:
        question: The logits and parameters.
        semantics: A reading; where it keeps equal logits in arbitrary order, and that matters, equal logits share a cell.

    Returns:
        int64 [V].

    Example:
        >>> from sampling.dialects import dialect
        >>> question = SamplingCase(np.array([0, 1, 0, 0], dtype=np.float32), {"top_p": 0.6})
        >>> [told_apart(question, Semantics.of(dialect(name))).tolist() for name in ("vllm", "transformers")]
        [[0, 1, 2, 3], [0, 1, 0, 0]]
    """
    every = np.arange(len(question.logits))
    if "arbitrary" not in (semantics.top_k_ties, semantics.top_p_ties):
        return every
    low, high = (probabilities(question, definite(semantics, low_ids_first=first)) for first in (True, False))
    return every if alike([low], [high], SAME) else levels(question)


def levels(question: SamplingCase) -> Cells:
    """Return a cell for each different logit, int64 [V]."""
    return np.unique(question.logits, return_inverse=True)[1].astype(np.int64)


def gathered(row: Row, cells: Cells) -> Row:
    """Return what the cells have of a row together, float64 [C]."""
    return np.bincount(cells, row).astype(np.float64)
