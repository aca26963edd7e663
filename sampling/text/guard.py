"""Text that must not be read as control tokens."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator, Mapping
from itertools import chain
from typing import TYPE_CHECKING, Any, cast

from sampling.core.errors import CheckpointError, InvalidRequest
from sampling.text.added_tokens import AddedTokens
from sampling.text.tokenising import ids_of

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

_PRIVATE_USE = range(0xF0000, 0xFFFFE), range(0x100000, 0x10FFFE)
_ESCAPE = re.compile(r"\\U00(0f|10)[0-9a-f]{4}|\\udb[89a-f][0-9a-f]\\ud[c-f][0-9a-f]{2}")  # in `escapes`


class Guard:
    """Keeps the text of messages from being read as control tokens.

    `protect` hides some characters of a text behind stand-ins, private-use characters that occur nowhere
    else, so that no control token can be found in the text nor across its ends. The template then places the
    protected texts, trimmed or not, and every control token in the rendered text is the template's own.
    `encode` keeps these, puts the hidden characters back, and tokenises what stands between as plain text.
    A template may write a text as a literal of Python or JSON: there stand-ins are found, too.

    Args:
        tokenizer: A fast transformers tokenizer.
        taken: All characters that may occur.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerFast, taken: str) -> None:
        self._control = {i: t.content for i, t in tokenizer.added_tokens_decoder.items() if t.special}
        self._parsing = _backend(tokenizer, parse=True)
        self._plain = _backend(tokenizer, parse=False)
        self._finder = AddedTokens(self._parsing, lambda token: token.special)
        self._stand_ins: dict[str, str] = {}
        self._free = free_characters(taken)

    def protect(self, message: Mapping[str, str]) -> dict[str, str]:
        """Protect the texts of a message, its role left as it is."""
        return {key: text if key == "role" else self._protect(text) for key, text in message.items()}

    def protect_all(self, value: Any) -> Any:
        """Protect the texts in a JSON value, the names in its objects included."""
        match value:
            case str():
                return self._protect(value)
            case Mapping():
                members = cast("Mapping[str, Any]", value).items()
                return {self._protect(name): self.protect_all(item) for name, item in members}
            case list() | tuple():
                return [self.protect_all(item) for item in cast("list[Any]", value)]
            case _:
                return value

    def restore(self, text: str) -> str:
        """Put the hidden characters back."""
        for hidden, shown in self._stand_ins.items():
            text = text.replace(shown, hidden)
            for escaped, plain in zip(escapes(shown), escapes(hidden), strict=True) if "\\" in text else ():
                text = text.replace(escaped, plain)
        return text

    def encode(self, rendered: str) -> list[int]:
        """Tokenise a rendered text: the template's control tokens, and everything else as plain text."""
        if not self._stand_ins:
            return ids_of(self._parsing, rendered)
        ids: list[int] = []
        done = 0
        for index, start, end in self._finder.find(rendered):
            ids += [*self._spell(rendered[done:start]), index]
            done = end
        return ids + self._spell(rendered[done:])

    def _protect(self, text: str) -> str:
        # More than one round only where look-alikes overlap.
        while found := self._finder.find(text):
            text = self._hide(text, {_first_visible(text, start, end) for _, start, end in found})
        return self._hide(text, _open_ends(text, tuple(self._control.values())))

    def _hide(self, text: str, places: set[int]) -> str:
        parts: list[str] = []
        done = 0
        for place in sorted(places):
            parts += text[done:place], self._stand_in(text[place])
            done = place + 1
        return "".join([*parts, text[done:]])

    def _stand_in(self, character: str) -> str:
        if character not in self._stand_ins:
            free = next(self._free, None)
            if free is None:
                words = "text that leaves one of them unused"
                raise InvalidRequest("messages", "every private-use character", words)
            self._stand_ins[character] = free
        return self._stand_ins[character]

    def _spell(self, text: str) -> list[int]:
        """Tokenise as plain text, with the hidden characters back in their places."""
        text = self.restore(text)
        ids = ids_of(self._plain, text)
        if control := self._control.keys() & ids:
            allowed = f"text that the tokenizer can spell without {self._control[min(control)]!r}"
            raise InvalidRequest("messages", text, allowed)
        return ids


def free_characters(taken: str) -> Iterator[str]:
    """Give the private-use characters that a text does not have, as themselves or as escapes."""
    occurring = {*taken, *(meant(escape[0]) for escape in _ESCAPE.finditer(taken))}
    yield from (character for character in map(chr, chain(*_PRIVATE_USE)) if character not in occurring)


def meant(escape: str) -> str:
    """Return the character that is meant by one of its `escapes`."""
    return escape.encode().decode("unicode_escape").encode("utf-16", "surrogatepass").decode("utf-16")


def escapes(character: str) -> tuple[str, str]:
    r"""Return a character as in literals of Python and of JSON.

    Example:
        >>> escapes("\U000f0000")
        ('\\U000f0000', '\\udb80\\udc00')
    """
    return repr(character)[1:-1], json.dumps(character)[1:-1]


def texts_in(value: Any) -> Iterator[str]:
    """All texts in a JSON value, the names in its objects included."""
    match value:
        case str():
            yield value
        case Mapping():
            for key, item in cast("Mapping[str, Any]", value).items():
                yield key
                yield from texts_in(item)
        case list() | tuple():
            for item in cast("list[Any]", value):
                yield from texts_in(item)
        case _:
            pass


def _first_visible(text: str, start: int, end: int) -> int:
    """Place of the first character of a span that trimming leaves there."""
    span = text[start:end]
    return start + (len(span) - len(span.lstrip())) % len(span)


def _open_ends(text: str, tokens: tuple[str, ...]) -> set[int]:
    """Places to hide so that no token can begin, end or have its middle in the trimmed text.

    These are all places from which the text runs out before a token does, and the first place if a token that
    began earlier could end in the text or go on past it.
    """
    first, last = len(text) - len(text.lstrip()), len(text.rstrip())
    core = text[first:last]
    heads, tails = _parts(tokens)
    sizes = range(1, 1 + min(len(core), max(map(len, tokens), default=0)))
    begun = {last - size for size in sizes if core[-size:] in heads}
    ended = any(core[:size] in tails for size in sizes) or any(core in token for token in tokens)
    return begun | {first} if core and ended else begun


@functools.lru_cache(maxsize=8)
def _parts(tokens: tuple[str, ...]) -> tuple[frozenset[str], frozenset[str]]:
    """All proper beginnings and all proper ends of the tokens."""
    cuts = [(token, size) for token in tokens for size in range(1, len(token))]
    return frozenset(t[:size] for t, size in cuts), frozenset(t[size:] for t, size in cuts)


def _backend(tokenizer: PreTrainedTokenizerFast, *, parse: bool) -> Tokenizer:
    """Make a private tokenizer on the same vocabulary, with control tokens parsed or left as text.

    The tokenizer's own switch for this is one mutable flag that all threads share, so it is left alone.
    """
    from tokenizers import Tokenizer

    source = getattr(tokenizer, "backend_tokenizer", None)
    if not isinstance(source, Tokenizer):
        raise CheckpointError(f"tokenizer: {type(tokenizer).__name__} has no fast (tokenizers) backend")
    backend = Tokenizer(source.model)
    if source.normalizer is not None:
        backend.normalizer = source.normalizer
    if source.pre_tokenizer is not None:
        backend.pre_tokenizer = source.pre_tokenizer
    backend.add_tokens([token for _, token in sorted(source.get_added_tokens_decoder().items())])
    backend.encode_special_tokens = not parse
    return backend
