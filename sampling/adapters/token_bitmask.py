"""Grammars of other libraries as constraints: whatever fills a packed bitmask."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from sampling.core.errors import InvalidArgument
from sampling.core.params import integer

Call = TypeVar("Call")
BITS = 32  # token ids in a word of the mask


def copy_computed(matcher: Any, mask: Tensor) -> None:
    """Write the mask that llguidance returns as bytes, if it has room."""
    words = np.frombuffer(matcher.compute_bitmask(), np.int32)
    if len(words) > mask.shape[1]:
        raise ValueError(f"it has {len(words)} words of {BITS} ids")
    mask.zero_()
    mask[0, : len(words)] = torch.from_numpy(words.copy())


# What a library calls its methods: to fill a mask, int32 [1, W], and to take a token, which may be refused.
FILL: Mapping[str, Callable[[Any, Tensor], object]] = {
    "fill_next_token_bitmask": lambda matcher, mask: matcher.fill_next_token_bitmask(mask, 0),  # xgrammar
    "compute_bitmask": copy_computed,  # llguidance
    "write_mask_into": lambda guide, mask: guide.write_mask_into(
        mask.data_ptr(), mask.numel(), 4
    ),  # outlines-core
}
TAKE: Mapping[str, Callable[[Any, int], object]] = {
    "accept_token": lambda matcher, token: matcher.accept_token(token),
    "consume_token": lambda matcher, token: matcher.consume_token(token),
    "advance": lambda guide, token: guide.advance(token, False),
}


class TokenBitmask:
    """A grammar of another library as a constraint: any object that fills a packed bitmask of token ids, 32 in an int32.

    Bit i mod 32 of word floor(i / 32) says whether token id i may come next. Ids from `width` on, such as those that pad a
    model's vocabulary, may never come.

    Args:
        matcher: One that has read nothing: a GrammarMatcher of xgrammar, an LLMatcher of llguidance, a Guide of outlines-core,
            or an object of your own with xgrammar's methods `fill_next_token_bitmask(mask, index)`, `accept_token(token_id)`,
            which returns False for a token that does not fit, `is_terminated()` and `reset()`. For one choice of a request.
        width: How many token ids the matcher was made for.

    Raises:
        InvalidArgument: The matcher has not these methods, or its bitmask is not so wide.

    Example:
        >>> import torch
        >>> from sampling import AllowedTokens, History
        >>> from sampling.adapters import TokenBitmask
        >>> class Ascending:
        ...     def reset(self):
        ...         self.least = 0
        ...     def accept_token(self, token_id):
        ...         self.least = token_id + 1
        ...         return True
        ...     def is_terminated(self):
        ...         return self.least == 3
        ...     def fill_next_token_bitmask(self, mask, index):
        ...         mask[index] = (0b111 >> self.least) << self.least
        >>> history = History.start([[9]], output_ids=[[0]])
        >>> AllowedTokens(TokenBitmask(Ascending(), width=3))(torch.zeros(1, 5), history)
        tensor([[-inf, 0., 0., -inf, -inf]])
    """

    def __init__(self, matcher: object, width: int) -> None:
        self.width = integer("width", width, 1)
        self.matcher: Any = matcher
        self._fill = method_of(matcher, FILL)
        self._take = method_of(matcher, TAKE)
        ends = getattr(matcher, "stop_token_ids", None) or [-1]
        if max(ends) >= self.width:
            raise InvalidArgument("width", self.width, f"more than {max(ends)}, an end token of the matcher")
        self._restart()
        self._filled()

    def __repr__(self) -> str:
        return f"TokenBitmask({type(self.matcher).__name__}, width={self.width})"

    def allowed(self, sampled: Sequence[int]) -> Tensor:
        """Return which tokens may come next; none after the end, nor after a token that did not fit or an error of the matcher.

        Args:
            sampled: The tokens sampled so far, without the prompt.

        Returns:
            bool [width].
        """
        known = len(self._read)
        if list(sampled[:known]) != self._read:
            self._restart()
            known = 0
        for token in sampled[known:]:
            self._read.append(token)
            self._over = self._over or not self._takes(token)
        if self._over or self._says("is_terminated") or self._says("is_error"):
            return torch.zeros(self.width, dtype=torch.bool)
        bits = np.unpackbits(self._filled().numpy().view(np.uint8), count=self.width, bitorder="little")
        allowed = torch.from_numpy(bits.view(np.bool_))
        # llguidance, once nothing but an end token may come, says so after it as well
        ended = self._says("is_stopped") and len(sampled) > 0 and bool(allowed[sampled[-1]])
        return torch.zeros_like(allowed) if ended else allowed

    def _says(self, method: str) -> bool:
        """Return what the matcher says of its state, if it has such a method."""
        return bool(getattr(self.matcher, method, bool)())

    def _restart(self) -> None:
        self.matcher.reset()
        self._read: list[int] = []
        self._over = False

    def _takes(self, token: int) -> bool:
        """Have the matcher take a token; return whether it fits."""
        if token >= self.width:
            return False
        try:
            return self._take(self.matcher, token) is not False
        except ValueError:  # outlines-core, of a token that does not fit, its end token among them
            return False

    def _filled(self) -> Tensor:
        """Return the mask, int32 [W].

        Raises:
            InvalidArgument: The matcher refuses its width.
        """
        mask = torch.full((1, -(-self.width // BITS)), -1, dtype=torch.int32)
        try:
            self._fill(self.matcher, mask)
        except (RuntimeError, ValueError, IndexError) as error:
            words = (
                f"the number of token ids that {type(self.matcher).__name__} was made for (it says: {error})"
            )
            raise InvalidArgument("width", self.width, words) from error
        return mask[0]


def method_of(matcher: object, known: Mapping[str, Call]) -> Call:
    """Return how one of some methods is called that a matcher has.

    Raises:
        InvalidArgument: It has none of them.
    """
    for name, call in known.items():
        if callable(getattr(matcher, name, None)):
            return call
    words = f"an object with a method {' or '.join(known)}"
    raise InvalidArgument("matcher", matcher, words)
