"""Plain text to token ids, and the text that each token of a prompt stands for."""

from __future__ import annotations

from codecs import getincrementaldecoder
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sampling.text.prompt_limit import PromptLimit
from sampling.text.vocabulary import Vocabulary

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


@dataclass(frozen=True)
class PlainPrompt:
    """A prompt that no chat template has made.

    Args:
        ids: Token ids.
        added: Places of the tokens that the tokenizer puts around a text, such as a BOS; they stand for no text.
    """

    ids: Sequence[int]
    added: frozenset[int] = frozenset()


def plain_prompt(
    tokenizer: PreTrainedTokenizerFast,
    text: str,
    *,
    add_special_tokens: bool = True,
    limit: PromptLimit | None = None,
) -> PlainPrompt:
    """Tokenise a text as `tokenizer(text)` does: what looks like a control token in it is one.

    Args:
        tokenizer: A fast transformers tokenizer.
        text: A text that UTF-8 can hold.
        add_special_tokens: Whether the tokenizer puts around it what it puts around every text.
        limit: How long the prompt may be; one that cannot fit is refused before it is tokenised.

    Raises:
        InvalidRequest: The prompt is longer than the limit.
    """
    if limit is not None:
        limit.check_text(text)
    # of a batch, so that other threads run meanwhile
    (encoding,) = tokenizer.backend_tokenizer.encode_batch([text], add_special_tokens=add_special_tokens)
    added = (place for place, special in enumerate(encoding.special_tokens_mask) if special)
    return PlainPrompt(encoding.ids, frozenset(added))


def prompt_texts(prompt: PlainPrompt, vocabulary: Vocabulary) -> list[str]:
    """Return the text that becomes whole with each token of a prompt; joined they are the prompt's text.

    A character of several tokens comes with the last of them. Bytes that are no UTF-8 become U+FFFD with the token that shows
    it. A control token is shown by its name, unless the tokenizer has added it.
    """
    decoder = getincrementaldecoder("utf-8")("replace")
    texts: list[str] = []
    for place, token in enumerate(prompt.ids):
        raw = vocabulary.bytes_of(token)
        name = vocabulary.text_of(token) if raw is None and place not in prompt.added else ""
        texts.append(decoder.decode(raw or b"", final=bool(name)) + name)
    if texts:
        texts[-1] += decoder.decode(b"", final=True)
    return texts
