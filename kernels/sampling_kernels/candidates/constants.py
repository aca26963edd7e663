"""How many candidates there are, and how far float arithmetic may be off."""

from __future__ import annotations

from sampling_kernels.blocks import BLOCK
from sampling_kernels.weights import CUBINGS, WEIGHTLESS

NUM_CANDIDATES = 128
CANDIDATE_BLOCKS = 128  # blocks of the largest maxima
MAX_EDIT_BLOCKS = 256  # and most blocks beside them for tokens that will be edited
MIN_OTHER_BLOCKS = CANDIDATE_BLOCKS // 2  # fewer left for tokens without an edit, and the row has an overflow

# In units of the largest token's weight, 2^43, a weight is e^d (1 + WEIGHT_ERROR) + 2^-44 at most and
# e^d (1 - WEIGHT_ERROR) - 2^-44 at least; for d below WEIGHTLESS it is 0.
WEIGHT_ERROR = 8.1e-8
assert -(WEIGHTLESS**3) / (12 * 9.0**CUBINGS) + 3.0**CUBINGS * 2.0**-51 < WEIGHT_ERROR

# Two sums of weights that are further apart than this share of their total compare as their float64 exponentials do.
FILTER_MARGIN = 2.0**-20
assert 2 * WEIGHT_ERROR + (NUM_CANDIDATES + 1) * (2.0**-44 + 2.0**-51) < FILTER_MARGIN

# A block's sum in float32: three roundings of gap and quotient for gaps down to -32, the exponential, for which 32 units in the
# last place are allowed, 63 additions; then the definition's error, twice more where a block's weight is known, and the 2^-44
# of each of 2^19 weights of a total that is at least 1.
BLOCK_SUM_MARGIN = 2.0**-16
assert (32 * 3 + BLOCK - 1) * 2.0**-24 + 32 * 2.0**-23 + 3 * WEIGHT_ERROR + 2.0**-25 < BLOCK_SUM_MARGIN
