"""Prompts as they are, made ready: tokenised, checked against the vocabulary and the context."""

from __future__ import annotations

from sampling.chat.loaded_model import LoadedModel
from sampling.chat.prepared import PreparedRequest, filled, prepared_for, seed_of
from sampling.chat.text_request import TextRequest
from sampling.core.errors import InvalidRequest
from sampling.dialects import Dialect
from sampling.text import PlainPrompt, PromptLimit, plain_prompt


def prepare_texts(
    loaded: LoadedModel, request: TextRequest, dialect: Dialect, context: int | None = None
) -> list[tuple[PreparedRequest, PlainPrompt]]:
    """Check a request against a model, and make each of its prompts ready; nothing is decoded.

    Choice i of prompt p is choice p n + i of the seed: prompts that are alike are continued independently.

    Raises:
        InvalidRequest: The model, its tokenizer or the dialect cannot serve the request.
    """
    request = filled(loaded, request, dialect)
    seed, longest = seed_of(loaded, request), context or loaded.model.config.max_position_embeddings
    least = 0 if request.max_tokens == 0 else 1
    ready: list[tuple[PreparedRequest, PlainPrompt]] = []
    for index, given in enumerate(request.prompt.each):
        name = request.prompt.name(index)
        limit = PromptLimit(loaded.token_floor, longest, name, least)
        prompt = read_prompt(loaded, request, given, limit)
        prepared = prepared_for(
            loaded,
            request,
            dialect,
            prompt.ids,
            limit,
            seed=seed,
            first_choice=index * request.n,
            prompt_alternatives=request.prompt_alternatives,
        )
        ready.append((prepared, prompt))
    return ready


def read_prompt(
    loaded: LoadedModel, request: TextRequest, given: str | tuple[int, ...], limit: PromptLimit
) -> PlainPrompt:
    """Return one prompt as token ids that the model has."""
    if isinstance(given, str):
        special = request.add_special_tokens
        prompt = plain_prompt(loaded.tokenizer, given, add_special_tokens=special, limit=limit)
        if not prompt.ids:
            raise InvalidRequest(limit.name, given, "of at least one token")
        return prompt
    size = loaded.model.config.vocab_size
    for place, token in enumerate(given):
        if token >= size:
            raise InvalidRequest(f"{limit.name}[{place}]", token, f"a token id from 0 to {size - 1}")
    return PlainPrompt(given)
