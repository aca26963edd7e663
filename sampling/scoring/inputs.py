"""What logits are scored with, checked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from sampling.core.history import History, Prompts
from sampling.sampler.logprobs import checked_ids
from sampling.scoring.kept import Kept, words_of_kept
from sampling.scoring.request import Request, history_of


@dataclass(frozen=True)
class Inputs:
    """What N rows of logits are scored with.

    Args:
        request: What is done to them.
        history: What was sampled before.
        token_ids: int64 [N].
        words: The kept sets where an engine gave them, int64 [N, W].
    """

    request: Request
    history: History
    token_ids: Tensor
    words: Tensor | None

    @staticmethod
    def of(
        request: Request,
        logits: Tensor,
        token_ids: Tensor | Sequence[int],
        prompt_ids: Prompts | None,
        output_ids: Prompts | None,
        kept: Kept | None,
    ) -> Inputs:
        """Check everything against the logits [N, V].

        Raises:
            InvalidArgument: Something is missing, or is of other rows or of another vocabulary.
        """
        (rows, width), device = logits.shape, logits.device
        request.check_rows(rows)
        history = history_of(request, prompt_ids, output_ids, rows, device)
        history.require_ids_below(width, prompt=False)
        return Inputs(
            request.to(device),
            history,
            checked_ids(token_ids, rows, width, lowest=0).to(device).long(),
            None if kept is None else words_of_kept(kept, rows, width, device),
        )
