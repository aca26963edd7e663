"""What a target is asked: logits, parameters and a past, all of them ours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Question:
    """One situation in which a token is sampled.

    Args:
        logits: What the model says, float32 [V].
        params: Request fields as the API names them, `n`, `seed` and `max_tokens` left out.
        prompt_ids: The prompt.
        output_ids: What was sampled before.
    """

    logits: NDArray[np.float32]
    params: Mapping[str, Any] = field(default_factory=dict[str, Any])
    prompt_ids: tuple[int, ...] = ()
    output_ids: tuple[int, ...] = ()
