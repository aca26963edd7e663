"""What a target is asked: logits, parameters and a past, all of them ours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class SamplingCase:
    """One situation in which a token is sampled; it can be hashed.

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

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SamplingCase) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    @cached_property
    def _key(self) -> tuple[object, ...]:
        """What equal cases have in common."""
        params = repr(sorted(self.params.items()))
        return self.logits.dtype.str, self.logits.tobytes(), params, self.prompt_ids, self.output_ids
