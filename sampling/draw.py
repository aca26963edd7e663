"""The draw: one token per row, by a key instead of a generator."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from sampling_kernels.faults import row_faults
from sampling_kernels.keyed_draw import INTEGER_RULE, draw_by_weight, uniform_words
from sampling_kernels.weights import weights
from torch import Tensor

from sampling.errors import InvalidRequest
from sampling.params import HIGHEST_SEED, LOWEST_SEED, integer

RULES = {"integer": INTEGER_RULE}

Whole = int | Sequence[int] | Tensor


def seed_key(seed: object) -> int:
    """The signed 64-bit number with the bits of seed mod 2^64."""
    checked = integer("seed", seed, LOWEST_SEED, HIGHEST_SEED)
    return (checked + 2**63) % 2**64 - 2**63


def per_row(value: Whole, rows: int, device: torch.device) -> Tensor:
    """A whole number, or one per row, as int64 [B]."""
    return torch.as_tensor(value, dtype=torch.int64, device=device).expand(rows)


def draw(logits: Tensor, *, seed: Whole, position: Whole, choice: Whole = 0, rule: str = "integer") -> Tensor:
    """Draw one token from each row of processed logits.

    With the integer weights w of the row, Z their sum and u the 64-bit uniform that Philox gives to
    (seed, choice, position), the token is the first, in token-id order, whose running sum of weights exceeds
    floor(u Z / 2^64). Nothing else decides: not the batch, not the row, not the device, no global generator.

    Args:
        logits: Processed logits, float32 [B, V]; -inf is never drawn.
        seed: -2^63 .. 2^64 - 1, or one per row (a tensor holds the 64 bits as int64).
        position: Tokens sampled before in this choice, or one number per row.
        choice: Index of the choice among the n of its request, or one number per row.
        rule: "integer".

    Returns:
        Token ids, int64 [B]; -1 in a row with NaN or +inf, or with nothing above -inf.

    Raises:
        InvalidRequest: An unknown rule or a seed out of range.

    Source: Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3", SC 2011, for the generator.

    Example:
        >>> import torch
        >>> draw(torch.zeros(2, 1000), seed=7, position=[0, 1]).tolist()
        [750, 143]
    """
    if rule not in RULES:
        raise InvalidRequest("rule", rule, f"one of {', '.join(RULES)}")
    rows, device = logits.shape[0], logits.device
    keys = seed
    if not isinstance(seed, Tensor):
        keys = seed_key(seed) if isinstance(seed, int) else [seed_key(one) for one in seed]
    high, low = uniform_words(
        per_row(keys, rows, device),
        per_row(position, rows, device),
        per_row(choice, rows, device),
        RULES[rule],
    )
    faulty = row_faults(logits.float()) > 0
    w = weights(torch.where(faulty[:, None], 0.0, logits.float()))
    return torch.where(faulty, -1, draw_by_weight(w, high, low))
