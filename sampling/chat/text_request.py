"""A request that continues texts, checked field by field."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

from sampling.chat.fields import OTHER_NAMES
from sampling.chat.request import Request, check_together, read_fields, sampling_params
from sampling.chat.text_fields import ALLOWED, DEFAULT_MAX_TOKENS, OF_CHATS, Prompts, text_kinds
from sampling.core.errors import InvalidRequest, reading_request
from sampling.dialects import Dialect, DialectName
from sampling.dialects import dialect as dialect_named
from sampling.dialects.others import naming_others


@dataclass(frozen=True, kw_only=True)
class TextRequest(Request):
    """A request for what follows some prompts, as its dialect reads it; besides those of `Request` it has these.

    Args:
        prompt: The prompts.
        echo: Whether the text begins with the prompt's.
        add_special_tokens: Whether the tokenizer puts around a text what it puts around every text, such as a BOS.
        prompt_logprobs: How many alternatives to report beside each token of a prompt; None for no log probabilities of it.
        return_token_ids: Whether the response has the token ids, too.
    """

    prompt: Prompts
    echo: bool = False
    add_special_tokens: bool = True
    prompt_logprobs: int | None = None
    return_token_ids: bool = False

    @property
    def prompt_alternatives(self) -> int | None:
        """How many alternatives of the prompt's tokens are needed; None where its log probabilities are not."""
        echoed = self.params.top_logprobs if self.echo and self.params.logprobs else None
        return max((count for count in (echoed, self.prompt_logprobs) if count is not None), default=None)

    @staticmethod
    def parse(request: Mapping[str, object], dialect: DialectName | Dialect = "qstash") -> TextRequest:
        """Read a request; a field that is None counts as left out, whatever its name.

        Args:
            request: The fields of the API by name.
            dialect: Whose fields and values they are.

        Raises:
            InvalidRequest: An unknown field, or a value that is not allowed; where another dialect would take the request, the
                message says which.

        Example:
            >>> asked = TextRequest.parse({"prompt": ["One", "Two"], "logprobs": 3})
            >>> asked.prompt.each, asked.params.top_logprobs, asked.max_tokens
            (('One', 'Two'), 3, 16)
        """
        style = dialect_named(dialect)
        text_kinds(style)  # a dialect that is wrong in itself is no other dialect's business
        return naming_others(lambda one: read_text_request(request, one), style)


OWN_FIELDS = tuple(field.name for field in fields(TextRequest))


@reading_request()
def read_text_request(request: Mapping[str, object], dialect: Dialect) -> TextRequest:
    """Read a request in a dialect."""
    for name, reason in OF_CHATS.items():
        if request.get(name) is not None:
            raise InvalidRequest(name, request[name], f"left out: {reason}")
    given, values = read_fields(request, text_kinds(dialect), dialect)
    if "prompt" not in values:
        raise InvalidRequest("prompt", None, ALLOWED)
    values.setdefault("max_tokens", DEFAULT_MAX_TOKENS)
    if "logprobs" in values:
        values |= {"logprobs": True, "top_logprobs": values["logprobs"]}
    own = {name: values[name] for name in OWN_FIELDS if name in values}
    parsed = TextRequest(params=sampling_params(values, dialect), given=frozenset(values), **own)
    check_together(parsed, given)
    if parsed.max_tokens == 0 and not parsed.echo and parsed.prompt_logprobs is None:
        name = next((name for name in given if OTHER_NAMES.get(name) == "max_tokens"), "max_tokens")
        raise InvalidRequest(name, 0, "at least 1 where nothing is said of the prompt: 0 needs echo")
    if parsed.stream and parsed.prompt_logprobs is not None:
        raise InvalidRequest("prompt_logprobs", parsed.prompt_logprobs, "left out with stream")
    return parsed
