"""What follows some prompts, from the prepared request to the response."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from itertools import chain, repeat
from typing import Any, NamedTuple

from sampling.chat.choice import Choice
from sampling.chat.completion import Completion, response_id
from sampling.chat.loaded_model import LoadedModel
from sampling.chat.prepared import PreparedRequest
from sampling.chat.response import UNLISTED
from sampling.chat.text_prepared import prepare_texts
from sampling.chat.text_request import TextRequest
from sampling.chat.text_typed import PromptToken, TokenId
from sampling.dialects import Dialect
from sampling.generate.sampled_token import SampledToken
from sampling.text import PlainPrompt, Vocabulary, prompt_texts

KIND = "text_completion"
PREFIX = "cmpl-"  # of ids, OpenAI API reference


class Entry(NamedTuple):
    """One token of a response.

    Args:
        token_id: The token.
        text: Its part of the text.
        scored: Its log probability; None for the first token of a prompt, and where it is not wanted.
    """

    token_id: int
    text: str
    scored: SampledToken | None


class TextPart:
    """One of the prompts, and what has come of it so far.

    Args:
        completion: What is sampled after it.
        prompt: The prompt.
        request: What is wanted.
    """

    def __init__(self, completion: Completion, prompt: PlainPrompt, request: TextRequest) -> None:
        self.completion, self.prompt, self.request = completion, prompt, request

    @cached_property
    def prompt_entries(self) -> list[Entry]:
        """The tokens of the prompt, once it is through."""
        texts = prompt_texts(self.prompt, self.completion.prepared.vocabulary)
        scores = chain([None], self.completion.prompt_scores, repeat(None))
        return [Entry(*entry) for entry in zip(self.prompt.ids, texts, scores, strict=False)]

    @property
    def echoed(self) -> list[Entry]:
        """The tokens of the prompt that the text begins with."""
        return self.prompt_entries if self.request.echo else []

    def choice_object(self, index: int) -> dict[str, Any]:
        """Return one element of `choices`."""
        choice = self.completion.choices[index]
        entries = [*self.echoed, *sampled_entries(choice)]
        whole: dict[str, Any] = {
            "index": self.completion.prepared.first_choice + index,
            "text": "".join(entry.text for entry in entries),
            "logprobs": self.logprobs(entries, 0),
            "finish_reason": choice.finish_reason,
        }
        if self.completion.prepared.dialect.gives_stop_reason:
            whole["stop_reason"] = choice.stop_reason
        if self.request.prompt_logprobs is not None:
            whole["prompt_logprobs"] = self.prompt_logprobs(self.request.prompt_logprobs)
        if self.request.return_token_ids:
            whole["prompt_token_ids"] = [*self.prompt.ids]
            whole["token_ids"] = [token.token_id for token in choice.tokens]
        return whole

    def logprobs(self, entries: Sequence[Entry], offset: int) -> dict[str, Any] | None:
        """Return the `logprobs` of some tokens of a choice, the first of which stands at an offset: null unless asked for."""
        params, vocabulary = self.request.params, self.completion.prepared.vocabulary
        if not params.logprobs:
            return None
        raw = [vocabulary.bytes_of(entry.token_id) for entry in entries]
        return {
            "tokens": [entry.text for entry in entries],
            "token_logprobs": [entry.scored and reported(entry.scored.logprob) for entry in entries],
            "top_logprobs": [
                entry.scored and top_logprobs(entry.scored, params.top_logprobs, vocabulary)
                for entry in entries
            ],
            "text_offset": [*offsets(entries, offset)],
            "bytes": [None if own is None else [*own] for own in raw],
        }

    def prompt_logprobs(self, count: int) -> list[dict[str, Any] | None]:
        """Return the tokens of the prompt and their alternatives by their ids, as vLLM describes them."""
        vocabulary = self.completion.prepared.vocabulary

        def described(token: SampledToken) -> dict[str, Any]:
            ranked = [(token_id, value, rank) for rank, (token_id, value) in enumerate(token.top[:count], 1)]
            return {
                str(token_id): {
                    "logprob": reported(value),
                    "rank": rank,
                    "decoded_token": vocabulary.text_of(token_id),
                }
                for token_id, value, rank in ((token.token_id, token.logprob, token.rank), *ranked)
            }

        return [None if entry.scored is None else described(entry.scored) for entry in self.prompt_entries]

    def prompt_tokens(self, count: int) -> list[PromptToken]:
        """Return the tokens of the prompt with so many alternatives each."""
        vocabulary = self.completion.prepared.vocabulary
        told: list[PromptToken] = []
        for entry in self.prompt_entries:
            scored = entry.scored
            top = () if scored is None else scored.top[:count]
            told.append(
                {
                    **token_object(entry.token_id, vocabulary),
                    "logprob": scored and scored.logprob,
                    "rank": scored and scored.rank,
                    "top_logprobs": [
                        {**token_object(token_id, vocabulary), "logprob": value} for token_id, value in top
                    ],
                }
            )
        return told


class TextCompletion:
    """A request and what has come of each of its prompts.

    Attributes:
        id: The response's.
        parts: The prompts, in their order.
    """

    def __init__(
        self, request: TextRequest, prepared: Iterable[tuple[PreparedRequest, PlainPrompt]], dialect: Dialect
    ) -> None:
        self.id = response_id(request.request_id, dialect, PREFIX)
        self.parts = [TextPart(Completion(one, self.id), prompt, request) for one, prompt in prepared]

    @staticmethod
    def of(
        loaded: LoadedModel, request: TextRequest, dialect: Dialect, context: int | None = None
    ) -> TextCompletion:
        """Check a request against a model; arguments and errors as in `prepare_texts`."""
        return TextCompletion(request, prepare_texts(loaded, request, dialect, context), dialect)

    @property
    def header(self) -> dict[str, Any]:
        """What a response and the chunks of a stream begin with."""
        return self.parts[0].completion.header(KIND)

    @property
    def running(self) -> bool:
        """Whether a choice is unfinished."""
        return any(part.completion.running for part in self.parts)

    def usage(self) -> dict[str, int]:
        """How many tokens the request took so far."""
        told = [part.completion.usage() for part in self.parts]
        return {name: sum(one[name] for one in told) for name in told[0]}

    def response(self, collect: Callable[[Iterator[dict[str, Any]]], object] = list) -> dict[str, Any]:
        """Return the whole response; `collect` makes what `choices` is of its elements."""
        choices = (
            part.choice_object(index) for part in self.parts for index in range(len(part.completion.choices))
        )
        return {**self.header, "choices": collect(choices), "usage": self.usage()}


def sampled_entries(choice: Choice) -> Iterator[Entry]:
    """Yield the tokens of a choice, all of them; what is behind a stop string adds no text."""
    left = len(choice.content)
    for token, text in zip(choice.tokens, choice.texts, strict=True):
        yield Entry(token.token_id, text[:left], token)
        left -= len(text[:left])


def token_object(token_id: int, vocabulary: Vocabulary) -> TokenId:
    """Return a token and what it stands for by itself."""
    raw = vocabulary.bytes_of(token_id)
    shown = None if raw is None else list(raw)
    return {"token_id": token_id, "token": vocabulary.text_of(token_id), "bytes": shown}


def offsets(entries: Iterable[Entry], offset: int) -> Iterator[int]:
    """Yield the place in the text, in characters, at which each token's part begins."""
    for entry in entries:
        yield offset
        offset += len(entry.text)


def reported(logprob: float) -> float:
    """Return a log probability as JSON can hold it: -9999.0 for -inf."""
    return logprob if logprob > -float("inf") else UNLISTED


def top_logprobs(token: SampledToken, count: int, vocabulary: Vocabulary) -> dict[str, float]:
    """Return the most likely tokens and the token itself, by name; of two of one name the likelier."""
    named: dict[str, float] = {}
    for token_id, value in (*token.top[:count], (token.token_id, token.logprob)):
        named.setdefault(name_of(token_id, vocabulary), reported(value))
    return named


def name_of(token_id: int, vocabulary: Vocabulary) -> str:
    r"""Return a token's text, or what stands for it: of bytes that are no text by themselves `bytes:\xe2\x82`."""
    raw = vocabulary.bytes_of(token_id)
    if raw is None:
        return vocabulary.text_of(token_id) or f"token_id:{token_id}"
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return "bytes:" + "".join(f"\\x{byte:02x}" for byte in raw)
