"""Where the tokens that were added to a vocabulary stand in a text."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from sampling.text.tokenising import encoding_of

if TYPE_CHECKING:
    from tokenizers import AddedToken, Tokenizer


class AddedTokens:
    """Finds wanted added tokens as their tokenizer does, without the work of tokenising what stands between them."""

    def __init__(self, source: Tokenizer, wanted: Callable[[AddedToken], bool]) -> None:
        from tokenizers import Tokenizer
        from tokenizers.models import WordLevel

        # a model that takes everything between added tokens for one word that it does not know
        self._finder = Tokenizer(WordLevel({"": 0}, unk_token=""))
        if source.normalizer is not None:
            self._finder.normalizer = source.normalizer
        added = {index: token for index, token in source.get_added_tokens_decoder().items() if wanted(token)}
        self._finder.add_tokens([token for _, token in sorted(added.items())])
        self._ids = {self._finder.token_to_id(token.content): index for index, token in added.items()}
        literal = source.normalizer is None or not any(token.normalized for token in added.values())
        self._contents = [token.content for token in added.values()] if literal else None

    def find(self, text: str) -> list[tuple[int, int, int]]:
        """Where they stand: each one's id, start and end, with the white space that it takes in."""
        if self._contents is not None and not any(content in text for content in self._contents):
            return []  # known a hundred times faster
        encoding = encoding_of(self._finder, text)
        pairs = zip(encoding.ids, encoding.offsets, strict=True)
        return [(self._ids[index], *span) for index, span in pairs if index in self._ids]
