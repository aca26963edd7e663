"""A chat request made ready, once: its prompt, its effective parameters, its limits and its grammar."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from sampling.chat.choice import StopRules
from sampling.chat.loaded_model import LoadedModel
from sampling.chat.request import ChatRequest
from sampling.core.errors import InvalidRequest
from sampling.core.params import SamplingParams
from sampling.dialects import Dialect
from sampling.sampler.requests import servable_params
from sampling.text import Grammar, PromptLimit, Vocabulary, chat_prompt
from sampling.text.prompt import Prompt


@dataclass(frozen=True, kw_only=True)
class PreparedRequest:
    """A request that can be decoded as it is; nothing of it changes any more.

    Args:
        loaded: Model and tokenizer.
        dialect: How to sample and to answer.
        request: What is wanted; the checkpoint's defaults fill it, where the dialect applies them.
        prompt_ids: The prompt.
        clock: What the chat template has read of the clock: texts by their format of `strftime`.
        params: The sampling parameters, with a seed: the request's or a fresh one.
        max_tokens: Most tokens of a choice.
        grammar: Which texts the response format allows; None for all.
    """

    loaded: LoadedModel
    dialect: Dialect
    request: ChatRequest
    prompt_ids: Sequence[int]
    clock: Mapping[str, str]
    params: SamplingParams
    max_tokens: int
    grammar: Grammar | None

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
    request = request.filled(loaded.defaults(dialect))
    config, asked = loaded.model.config, request.params
    servable_params(asked, config.vocab_size, dialect)
    seed = loaded.fresh_seed() if asked.seed is None else asked.seed
    limit = PromptLimit(loaded.token_floor, context or config.max_position_embeddings)
    prompt = prompt_of(loaded, request, dialect, limit)
    room = limit.room(len(prompt.ids))
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
        prompt_ids=prompt.ids,
        clock=prompt.read,
        params=replace(asked, seed=seed, stop_token_ids=banned_first),
        max_tokens=max_tokens,
        grammar=loaded.grammars.grammar(request.response_format.kind, request.response_format.schema),
    )


def prompt_of(loaded: LoadedModel, request: ChatRequest, dialect: Dialect, limit: PromptLimit) -> Prompt:
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
