"""A request made ready, once: its prompt, its effective parameters, its limits and its grammar."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from sampling.chat.choice import StopRules
from sampling.chat.loaded_model import LoadedModel
from sampling.chat.request import ChatRequest, Request
from sampling.core.errors import InvalidRequest
from sampling.core.params import SamplingParams
from sampling.dialects import Dialect
from sampling.sampler.requests import servable_params
from sampling.text import CLOCK, Grammar, PromptLimit, Vocabulary, chat_prompt
from sampling.text.prompt import Prompt


@dataclass(frozen=True, kw_only=True)
class PreparedRequest:
    """A prompt and what is wanted of it, which can be decoded as it is; nothing of it changes any more.

    Args:
        loaded: Model and tokenizer.
        dialect: How to sample and to answer.
        request: What is wanted; the checkpoint's defaults fill it, where the dialect applies them.
        prompt_ids: The prompt.
        template_kwargs: What the chat template has to read for the same prompt, where it has read the clock; else empty.
        params: The sampling parameters, with a seed: the request's or a fresh one.
        max_tokens: Most tokens of a choice.
        grammar: Which texts the response format allows; None for all.
        first_choice: The number of the first choice, by which the choices of one seed differ.
        prompt_alternatives: How many alternatives are reported beside each token of the prompt; None where its log
            probabilities are not wanted.
    """

    loaded: LoadedModel
    dialect: Dialect
    request: Request
    prompt_ids: Sequence[int]
    template_kwargs: Mapping[str, Any]
    params: SamplingParams
    max_tokens: int
    grammar: Grammar | None
    first_choice: int = 0
    prompt_alternatives: int | None = None

    @property
    def vocabulary(self) -> Vocabulary:
        """What tokens stand for."""
        return self.loaded.vocabulary

    @property
    def stop_rules(self) -> StopRules:
        """What ends a choice."""
        asked, rules = self.request, self.dialect
        deaf, first = asked.ignore_eos and rules.ignore_eos_ignores_stop_ids, rules.stop_strings_from
        return StopRules(
            max_tokens=self.max_tokens,
            stop=asked.stop,
            end_ids=() if asked.ignore_eos else self.vocabulary.end_ids,
            stop_token_ids=() if deaf else asked.params.stop_token_ids,
            stop_after=0 if first is None else max(asked.params.min_tokens + first - 1, 0),
        )


def prepare(
    loaded: LoadedModel, request: ChatRequest, dialect: Dialect, context: int | None = None
) -> PreparedRequest:
    """Check a request against a model, and make it ready; nothing is decoded.

    Prompt and answer have at most `context` tokens; where that is None, as many as the model's own context.

    Raises:
        InvalidRequest: The model, its tokenizer or the dialect cannot serve the request.
    """
    request = filled(loaded, request, dialect)
    limit = PromptLimit(loaded.token_floor, context or loaded.model.config.max_position_embeddings)
    prompt = prompt_of(loaded, request, dialect, limit)
    kwargs: Mapping[str, Any] = {}
    if prompt.read:
        given = request.chat_template_kwargs
        kwargs = {**given, CLOCK: {**given.get(CLOCK, {}), **prompt.read}}
    seed = seed_of(loaded, request)
    return prepared_for(loaded, request, dialect, prompt.ids, limit, seed=seed, template_kwargs=kwargs)


def seed_of(loaded: LoadedModel, request: Request) -> int:
    """Return the seed of a request, or a fresh one."""
    return loaded.fresh_seed() if request.params.seed is None else request.params.seed


AnyRequest = TypeVar("AnyRequest", bound=Request)


def filled(loaded: LoadedModel, request: AnyRequest, dialect: Dialect) -> AnyRequest:
    """Fill a request with the checkpoint's defaults, and check that the model can serve its parameters."""
    request = request.filled(loaded.defaults(dialect))
    servable_params(request.params, loaded.model.config.vocab_size, dialect)
    return request


def prepared_for(
    loaded: LoadedModel,
    request: Request,
    dialect: Dialect,
    prompt_ids: Sequence[int],
    limit: PromptLimit,
    *,
    template_kwargs: Mapping[str, Any] | None = None,
    seed: int,
    first_choice: int = 0,
    prompt_alternatives: int | None = None,
) -> PreparedRequest:
    """Make one prompt of a request ready; arguments as in `PreparedRequest`.

    Args:
        loaded: Model and tokenizer.
        dialect: How to sample and to answer.
        request: A request that has been filled.
        prompt_ids: The prompt.
        limit: How long it may be.
        template_kwargs: None for an empty one.
        seed: The request's, or a fresh one.
        first_choice: The number of the first choice.
        prompt_alternatives: How many alternatives of each token of the prompt.
    """
    config, asked = loaded.model.config, request.params
    room = limit.room(len(prompt_ids))
    max_tokens = room if request.max_tokens is None else min(room, request.max_tokens)
    if asked.min_tokens > max_tokens:
        raise InvalidRequest(
            "min_tokens", asked.min_tokens, f"at most {max_tokens}, the most tokens of a choice"
        )
    # all that could end a choice must not come before `min_tokens` others
    ends = [token for token in sorted(loaded.vocabulary.end_ids) if token < config.vocab_size]
    banned_first = [*asked.stop_token_ids, *(ends if asked.min_tokens else ())]
    return PreparedRequest(
        loaded=loaded,
        dialect=dialect,
        request=request,
        prompt_ids=prompt_ids,
        template_kwargs=template_kwargs or {},
        params=replace(asked, seed=seed, stop_token_ids=banned_first),
        max_tokens=max_tokens,
        grammar=loaded.grammars.grammar(request.response_format.kind, request.response_format.schema),
        first_choice=first_choice,
        prompt_alternatives=prompt_alternatives,
    )


def prompt_of(
    loaded: LoadedModel, request: ChatRequest, dialect: Dialect, limit: PromptLimit | None = None
) -> Prompt:
    """Render and tokenise the conversation of a request."""
    prompt = chat_prompt(
        loaded.tokenizer,
        request.messages,
        double_bos=dialect.double_bos,
        parse_control_tokens=dialect.parse_control_tokens,
        limit=limit,
        add_generation_prompt=request.add_generation_prompt,
        continue_final_message=request.continue_final_message,
        append_final_message=dialect.append_final_message,
        variables=request.chat_template_kwargs,
        now=loaded.now(),
    )
    loaded.tell_unknown(prompt.unknown)
    return prompt
