"""Which tokens end a message, and who says so."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from sampling.text.vocabulary import Vocabulary

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

logger = logging.getLogger("sampling")


def own_end_tokens(tokenizer: PreTrainedTokenizerFast) -> tuple[int, ...]:
    """Return the id of the tokenizer's `eos_token`, if it has one."""
    index = tokenizer.eos_token_id
    return (index,) if isinstance(index, int) else ()


def tell_end_tokens(named: Mapping[str, Sequence[int]], vocabulary: Vocabulary) -> None:
    """Log a line that says which tokens end a message and who names each.

    It is a warning, which Python shows without being asked, where the first who names any does not name them all: transformers
    would end at those alone. Without any end token it is a warning, too.
    """
    ends = {
        index: [who for who, ids in named.items() if index in ids] for ids in named.values() for index in ids
    }
    told = "; ".join(
        f"{index} {vocabulary.text_of(index)!r} of {' and '.join(whose)}"
        for index, whose in sorted(ends.items())
    )
    first = next(iter(named.values()), ())
    level = logging.INFO if ends and ends.keys() == set(first) else logging.WARNING
    logger.log(level, "end tokens: %s", told or "none, so that answers go on to max_tokens")
