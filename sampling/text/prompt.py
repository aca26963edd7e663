"""Messages to token ids, through the tokenizer's own chat template."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sampling.core.errors import CheckpointError, InvalidRequest
from sampling.text.guard import Guard, texts_in
from sampling.text.prompt_limit import PromptLimit
from sampling.text.template import Refused, render, template_of

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

Message = Mapping[str, str]

MARK = "CONTINUE_FINAL_MESSAGE_TAG "  # behind the message that is continued; transformers has the same one
LONGEST_REASON = 300  # characters of what a template says, which may be a whole message


@dataclass(frozen=True)
class Prompt:
    """What a model is given.

    Args:
        ids: Token ids.
        read: What the chat template has read of the clock: texts by their format of `strftime`.
        unknown: The variables that were given and that the template does not read.
    """

    ids: list[int]
    read: Mapping[str, str]
    unknown: tuple[str, ...] = ()


def chat_prompt(
    tokenizer: PreTrainedTokenizerFast,
    messages: Sequence[Message],
    *,
    double_bos: bool = False,
    parse_control_tokens: bool = False,
    add_generation_prompt: bool | None = None,
    continue_final_message: bool = False,
    append_final_message: bool = False,
    variables: Mapping[str, Any] | None = None,
    now: datetime | None = None,
    limit: PromptLimit | None = None,
) -> Prompt:
    """Render messages with the chat template, and tokenise the result.

    Text in a message that looks like a control token (an added token marked special) stays text: only what
    the template writes becomes a control token. Messages without such text get exactly the ids of
    `tokenizer.apply_chat_template(messages, add_generation_prompt=True)`.

    The `role` goes to the template as it is, since some templates make a control token of it: check it first.

    Args:
        tokenizer: A fast transformers tokenizer with a chat template.
        messages: Each with `role`, `content` and perhaps `name`, texts that UTF-8 can hold.
        double_bos: Tokenise the rendered text as engines do that add special tokens to it: where the
            tokenizer puts a BOS before every text, there is one more than the template's own.
        parse_control_tokens: Let control tokens in messages be control tokens, as some engines do.
        add_generation_prompt: Whether the prompt ends with the beginning of an answer; None for yes unless the final
            message is continued.
        continue_final_message: Whether the prompt ends within the final message, so that an answer goes on from its end.
        append_final_message: How that is done: the prompt is that of the messages before it, with the beginning of an answer,
            and then the final message's text as it is, tokenised by itself. Otherwise the template renders it, which may trim
            it, and the text is cut behind it.
        variables: What else the template may read, JSON values by name. `strftime_now` has texts by the formats by which the
            template reads the time.
        now: The local time that the template may read; None for the present.
        limit: How long the prompt may be; one that cannot fit is refused before it is tokenised.

    Returns:
        The prompt, and what the template has read of the time.

    Raises:
        CheckpointError: The tokenizer has no chat template, a broken one, or no fast backend.
        InvalidRequest: The template refuses the messages or takes too long, or does not show the message that is to be
            continued; a variable is the tokenizer's own; the tokenizer cannot spell a text without a control token; or the
            prompt is longer than the limit.
    """
    given = _own_variables(tokenizer, variables or {})
    guard = Guard(tokenizer, taken="".join([*texts_in([messages, given]), template_of(tokenizer)]))
    shown = [dict(message) for message in messages]
    if not parse_control_tokens:
        shown = [guard.protect(message) for message in shown]
        given = {name: guard.protect_all(value) for name, value in given.items()}
    appended = shown.pop()["content"] if continue_final_message and append_final_message else None
    cut = shown[-1]["content"] if continue_final_message and appended is None else None
    if cut is not None:
        shown[-1] = {**shown[-1], "content": cut + MARK}
    generation = cut is None if add_generation_prompt is None else add_generation_prompt
    try:
        rendered = render(
            tokenizer, shown, given, add_generation_prompt=generation, now=now or datetime.now()
        )
    except Refused as refused:
        raise _error(refused, messages, guard) from None
    text = rendered.text if cut is None else _until_mark(rendered.text, cut)
    if limit is not None:
        limit.check_text(guard.restore(text + (appended or "")))
    ids = guard.encode(text) + (guard.encode(appended) if appended else [])
    ids = _leading_bos(tokenizer) + ids if double_bos else ids
    return Prompt(ids, rendered.read, rendered.unknown)


def _own_variables(tokenizer: PreTrainedTokenizerFast, variables: Mapping[str, Any]) -> dict[str, Any]:
    """Return the variables of a request, which must not be those that the tokenizer sets."""
    for name, value in variables.items():
        if name in tokenizer.special_tokens_map:
            raise InvalidRequest(f"chat_template_kwargs.{name}", value, "left out: the tokenizer sets it")
    return dict(variables)


def _error(refused: Refused, messages: Sequence[Message], guard: Guard) -> CheckpointError | InvalidRequest:
    """Put a refusal in the user's own words."""
    reason = guard.restore(refused.reason)
    reason = reason if len(reason) <= LONGEST_REASON else f"{reason[: LONGEST_REASON - 3]}..."
    if refused.broken:
        return CheckpointError(f"tokenizer: chat template, {reason}")
    words = f"a conversation that the chat template {refused.allowed}"
    shown = [dict(message) for message in messages]
    return InvalidRequest("messages", shown, f"{words} (it says: {reason})" if reason else words)


def _until_mark(text: str, content: str) -> str:
    """Cut a rendered text behind the content of the final message; what the template trimmed stays trimmed.

    Source: transformers 5.23, utils/chat_template_utils.py, render_jinja_template.
    """
    place = text.rfind(MARK.strip())
    if place < 0 or content.strip() not in text:
        words = "false: the chat template does not show the final message to its end"
        raise InvalidRequest("continue_final_message", True, words)
    head = text[:place]
    return head if text.startswith(MARK, place) else head.rstrip()


def _leading_bos(tokenizer: PreTrainedTokenizerFast) -> list[int]:
    """Return the BOS that the tokenizer puts before every text, if it does."""
    return [index for index in tokenizer("").input_ids if index == tokenizer.bos_token_id]
