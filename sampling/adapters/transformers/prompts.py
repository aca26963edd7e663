"""The prompts of a `generate`: token ids in a rectangle, whose rows may begin with padding."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from sampling.core.errors import InvalidArgument
from sampling.core.whole_numbers import whole_tensor


@dataclass(frozen=True)
class PaddedPrompts:
    """Prompts as `generate` takes them.

    Args:
        token_ids: int64 [B, T].
        mask: False where there is padding, bool [B, T]; None where there is none.
    """

    token_ids: Tensor
    mask: Tensor | None

    @staticmethod
    def of(input_ids: object, attention_mask: object) -> PaddedPrompts:
        """Check prompts.

        Raises:
            InvalidArgument: They are no token ids [B, T], or the mask is of another shape, or says that a row ends in padding.
        """
        words = "a tensor of token ids of shape (B, T), at least one of each row"
        ids = whole_tensor("input_ids", input_ids, (2,), words)
        if ids.shape[1] == 0:
            raise InvalidArgument("input_ids", f"a tensor of shape {tuple(ids.shape)}", words)
        if attention_mask is None:
            return PaddedPrompts(ids, None)
        if not isinstance(attention_mask, Tensor) or attention_mask.shape != ids.shape:
            form = tuple(attention_mask.shape) if isinstance(attention_mask, Tensor) else attention_mask
            raise InvalidArgument("attention_mask", form, f"a tensor of shape {tuple(ids.shape)}")
        mask = attention_mask.bool().to(ids.device)
        if not bool(mask[:, -1].all()):
            row = int((~mask[:, -1]).nonzero()[0])
            words = 'padded on the left: tokenizer.padding_side = "left"'
            raise InvalidArgument("attention_mask", f"row {row} ending in padding", words)
        return PaddedPrompts(ids, mask)

    @property
    def width(self) -> int:
        """Return T."""
        return self.token_ids.shape[1]

    def __len__(self) -> int:
        """Return B."""
        return len(self.token_ids)

    def repeat(self, choices: int) -> PaddedPrompts:
        """Return each prompt so many times, as `num_return_sequences` does."""
        mask = None if self.mask is None else self.mask.repeat_interleave(choices, 0)
        return PaddedPrompts(self.token_ids.repeat_interleave(choices, 0), mask)

    def every(self, choices: int) -> PaddedPrompts:
        """Return one row of each so many, which `repeat` would make the others of."""
        return PaddedPrompts(self.token_ids[::choices], None if self.mask is None else self.mask[::choices])

    def without_padding(self) -> list[list[int]]:
        """Return the token ids of each row."""
        if self.mask is None:
            return self.token_ids.tolist()
        rows = zip(self.token_ids.tolist(), self.mask.tolist(), strict=True)
        return [[token for token, real in zip(*row, strict=True) if real] for row in rows]
