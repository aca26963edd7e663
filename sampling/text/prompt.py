"""Messages to token ids, through the tokenizer's own chat template."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING

from sampling.errors import CheckpointError, InvalidRequest

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

_PRIVATE_USE = range(0xF0000, 0xFFFFE), range(0x100000, 0x10FFFE)


def encode_chat(
    tokenizer: PreTrainedTokenizerFast,
    messages: Sequence[Mapping[str, str]],
    *,
    double_bos: bool = False,
    parse_control_tokens: bool = False,
) -> list[int]:
    """Render messages with the chat template and the generation prompt, and tokenise the result.

    Text in a message that looks like a control token (an added token marked special) stays text: only what
    the template writes becomes a control token. Messages without such text get exactly the ids of
    `tokenizer.apply_chat_template(messages, add_generation_prompt=True)`.

    The `role` goes to the template as it is, since some templates make a control token of it: check it first.

    Args:
        tokenizer: A fast transformers tokenizer with a chat template.
        messages: Each with `role`, `content` and perhaps `name`.
        double_bos: Tokenise the rendered text as engines do that add special tokens to it: where the
            tokenizer puts a BOS before every text, there is one more than the template's own.
        parse_control_tokens: Let control tokens in messages be control tokens, as some engines do.

    Returns:
        The ids of the prompt.

    Raises:
        CheckpointError: The tokenizer has no chat template, a broken one, or no fast backend.
        InvalidRequest: The template refuses the messages, a string holds a lone surrogate, or the tokenizer
            can not spell a text without a control token.
    """
    _require_utf8(messages)
    everything = "".join(text for message in messages for text in message.values())
    guard = _Guard(tokenizer, taken=everything + _template(tokenizer))
    shown = messages if parse_control_tokens else [guard.protect(message) for message in messages]
    ids = guard.encode(_render(tokenizer, shown))
    return _leading_bos(tokenizer) + ids if double_bos else ids


class _Guard:
    """Keeps the text of messages from being read as control tokens.

    `protect` hides some characters of a text behind stand-ins, private-use characters that occur nowhere
    else, so that no control token can be found in the text nor across its ends. The template then places the
    protected texts, trimmed or not, and every control token in the rendered text is the template's own.
    `encode` keeps these, puts the hidden characters back, and tokenises what stands between as plain text.

    Args:
        tokenizer: A fast transformers tokenizer.
        taken: All characters that may occur.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerFast, taken: str) -> None:
        self._control = {i: t.content for i, t in tokenizer.added_tokens_decoder.items() if t.special}
        self._parsing = _backend(tokenizer, parse=True)
        self._plain = _backend(tokenizer, parse=False)
        self._stand_ins: dict[str, str] = {}
        occurring = set(taken)
        self._free = (chr(code) for code in chain(*_PRIVATE_USE) if chr(code) not in occurring)

    def protect(self, message: Mapping[str, str]) -> dict[str, str]:
        return {key: text if key == "role" else self._protect(text) for key, text in message.items()}

    def encode(self, rendered: str) -> list[int]:
        if not self._stand_ins:
            return self._parsing.encode(rendered, add_special_tokens=False).ids
        ids: list[int] = []
        done = 0
        for index, start, end in self._found(rendered):
            ids += [*self._spell(rendered[done:start]), index]
            done = end
        return ids + self._spell(rendered[done:])

    def _protect(self, text: str) -> str:
        # More than one round only where look-alikes overlap.
        while found := self._found(text):
            text = self._hide(text, {_first_visible(text, start, end) for _, start, end in found})
        return self._hide(text, _open_ends(text, tuple(self._control.values())))

    def _found(self, text: str) -> list[tuple[int, int, int]]:
        """Find control tokens as the tokenizer does: id, start, end."""
        encoding = self._parsing.encode(text, add_special_tokens=False)
        pairs = zip(encoding.ids, encoding.offsets, strict=True)
        return [(index, *span) for index, span in pairs if index in self._control]

    def _hide(self, text: str, places: set[int]) -> str:
        return "".join(self._stand_in(c) if place in places else c for place, c in enumerate(text))

    def _stand_in(self, character: str) -> str:
        if character not in self._stand_ins:
            self._stand_ins[character] = self._next_free()
        return self._stand_ins[character]

    def _next_free(self) -> str:
        for character in self._free:
            return character
        raise InvalidRequest("messages", "every private-use character", "text that leaves one of them unused")

    def _spell(self, text: str) -> list[int]:
        """Tokenise as plain text, with the hidden characters back in their places."""
        text = text.translate({ord(shown): hidden for hidden, shown in self._stand_ins.items()})
        ids = self._plain.encode(text, add_special_tokens=False).ids
        if control := self._control.keys() & ids:
            allowed = f"text that the tokenizer can spell without {self._control[min(control)]!r}"
            raise InvalidRequest("messages", text, allowed)
        return ids


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


def _template(tokenizer: PreTrainedTokenizerFast) -> str:
    if not tokenizer.chat_template:
        raise CheckpointError("tokenizer: has no chat template, so it can not be used for chat")
    try:
        return tokenizer.get_chat_template()
    except ValueError as error:
        raise CheckpointError(f"tokenizer: {error}") from error


def _render(tokenizer: PreTrainedTokenizerFast, messages: Sequence[Mapping[str, str]]) -> str:
    import jinja2

    conversation = [dict(message) for message in messages]
    try:
        return str(tokenizer.apply_chat_template(conversation, tokenize=False, add_generation_prompt=True))
    except jinja2.TemplateSyntaxError as error:
        raise CheckpointError(f"tokenizer: chat template, line {error.lineno}: {error.message}") from error
    except jinja2.TemplateError as error:
        allowed = f"a conversation that the chat template accepts (it says: {error.message})"
        raise InvalidRequest("messages", messages, allowed) from error
    except (ArithmeticError, LookupError, TypeError, ValueError) as error:
        raise CheckpointError(f"tokenizer: the chat template fails on these messages ({error!r})") from error


def _leading_bos(tokenizer: PreTrainedTokenizerFast) -> list[int]:
    """The BOS that the tokenizer puts before every text, if it does."""
    return [index for index in tokenizer("").input_ids if index == tokenizer.bos_token_id]


def _require_utf8(messages: Sequence[Mapping[str, str]]) -> None:
    for number, message in enumerate(messages):
        for key, text in message.items():
            try:
                text.encode()
            except UnicodeEncodeError:
                param = f"messages[{number}].{key}"
                raise InvalidRequest(param, text, "text without lone surrogates") from None
