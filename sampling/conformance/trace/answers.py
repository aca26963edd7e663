"""Responses of vLLM and SGLang as records: chat and text completions, and what their own `generate` paths answer.

Source: vllm 0.32 and 0.33, entrypoints/openai/{chat_completion,completion}/protocol.py and
entrypoints/scale_out/token_in_token_out/protocol.py; sglang 0.5.23, srt/entrypoints/openai/protocol.py and
srt/managers/{io_struct,tokenizer_manager}.py.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, cast

from pydantic import Field, ValidationError

from sampling.chat.request import SAMPLING_FIELDS
from sampling.conformance.endpoint.reply import SENTINEL, Natural, Part
from sampling.conformance.trace.record import REASONS, Record, checked
from sampling.core.errors import InvalidArgument
from sampling.core.reading import read_json
from sampling.dialects import DialectName, get_dialect

Entries = Annotated[list[Any], Field(min_length=2)]  # a log probability, a token id, and perhaps a text
Listed = dict[int, float]

RENAMED = {"max_new_tokens": "max_tokens", "max_completion_tokens": "max_tokens", "sampling_seed": "seed"}
TOLD = {*SAMPLING_FIELDS, "max_tokens", "n", "stop", "response_format"} - {"logprobs", "top_logprobs"}
WITHOUT_EFFECT = {
    *("model", "messages", "prompt", "text", "input_ids", "token_ids", "sampling_params", "user", "metadata"),
    *("logprobs", "top_logprobs", "prompt_logprobs", "echo", "logprob_token_ids", "flat_logprobs"),
    *("return_token_ids", "return_tokens_as_token_ids", "return_prompt_token_ids", "return_meta_info"),
    *("return_logprob", "return_text_in_logprobs", "return_sampling_mask", "logprob_start_len"),
    *("top_logprobs_num", "token_ids_logprob", "return_prompt_text", "return_flat_raw_output_top_logprobs"),
    *("ignore_eos", "stop_token_ids", "include_stop_str_in_output", "no_stop_trim", "skip_special_tokens"),
    *("spaces_between_special_tokens", "detokenize", "output_kind", "request_id", "rid", "priority"),
    *("add_special_tokens", "add_generation_prompt", "continue_final_message", "chat_template"),
    *("chat_template_kwargs", "cache_salt", "truncate_prompt_tokens", "store", "service_tier"),
}
"""What changes the prompt, the end, or what is told, but not what a token is drawn from."""


class Meta(Part):
    """What SGLang tells beside its tokens."""

    output_token_logprobs: list[Entries] | None = None
    output_top_logprobs: list[list[Entries] | None] | None = None
    output_token_sampling_mask: list[list[Natural]] | None = None
    input_token_logprobs: list[Entries] | None = None
    prompt_tokens: Natural | None = None
    finish_reason: Any = None


class Choice(Part):
    """One answer to a request, in any of the forms."""

    index: Natural | None = None
    token_ids: list[Natural] | None = None
    response_token_ids: list[Natural] | None = None
    output_ids: list[Natural] | None = None
    prompt_token_ids: list[Natural] | None = None
    sampling_mask: list[list[Natural]] | None = None
    logprobs: Any = None
    finish_reason: Any = None
    meta_info: Meta | None = None

    @property
    def ids(self) -> list[int] | None:
        """The sampled tokens."""
        told = (self.token_ids, self.response_token_ids, self.output_ids)
        return next((ids for ids in told if ids is not None), None)


def read_answers(path: Path) -> Iterator[Record]:
    """Yield the records of a file of JSON Lines, each `{"request": ..., "response": ...}` as they went over the wire.

    Raises:
        InvalidArgument: It cannot be read, or a response does not tell its token ids; the message names the line and the field.
    """
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        words = f"a file of JSON Lines that can be read ({error})"
        raise InvalidArgument("answers", str(path), words) from error
    for number, line in enumerate(lines, start=1):
        if line.strip():
            where = f"answers, line {number}"
            told = object_of(read_json(line, where), where)
            yield from records_of(told.get("request"), told.get("response"), where)


def records_of(request: object, response: object, where: str = "answer") -> Iterator[Record]:
    """Yield the records of one response, a record for each choice.

    Args:
        request: The body of the request.
        response: The body of the response: a chat or text completion, SGLang's `/generate` or vLLM's `/inference/v1/generate`.
        where: What they are called in errors.

    Raises:
        InvalidArgument: No such response, one without token ids, or a request with a field that may change what is sampled
            and that a trace has no place for.

    Example:
        >>> choice = {"index": 0, "token_ids": [5, 7], "finish_reason": "length"}
        >>> told = {"choices": [choice], "prompt_token_ids": [1], "model": "a model", "system_fingerprint": "vllm-0.33.0"}
        >>> record = next(records_of({"messages": [], "seed": 3, "return_token_ids": True}, told))
        >>> record.engine, record.token_ids, record.prompt_ids, record.params
        ('vllm', [5, 7], [1], {'seed': 3})
    """
    asked = object_of(request, f"{where}.request")
    whole = response if isinstance(response, Mapping) else {}
    native = "choices" not in whole
    choices = (response if isinstance(response, list) else [response]) if native else whole["choices"]
    if not isinstance(choices, list):
        raise InvalidArgument(f"{where}.response.choices", choices, "a list")
    is_sglang = native or any(isinstance(one, dict) and "matched_stop" in one for one in choices)
    engine: DialectName = "sglang" if is_sglang else "vllm"
    params, n = params_of(asked, engine, where), n_of(asked)
    for place, one in enumerate(cast("list[object]", choices)):
        named = f"{where}.response" if native else f"{where}.response.choices.{place}"
        choice = read_choice(one, named)
        index = place if choice.index is None else choice.index
        told = told_of(choice, named)
        record = {
            "prompt_ids": prompt_of(choice, whole, asked, index // n),
            "params": params,
            "logprob_mode": get_dialect(engine).logprob_mode,
            "engine": engine,
            "version": str(whole.get("system_fingerprint") or ""),
            "model": str(whole.get("model") or asked.get("model") or ""),
            "choice": index % n,
            "finish_reason": reason_of(choice),
            **told,
        }
        try:
            yield checked(record, place + 1)
        except InvalidArgument as error:
            field = error.param.partition("line ")[2].partition(".")[2]
            raise InvalidArgument(f"{named}.{field}", error.value, error.allowed) from None


def object_of(value: object, where: str) -> Mapping[str, Any]:
    """Return a JSON object."""
    if not isinstance(value, Mapping):
        raise InvalidArgument(where, value, "a JSON object")
    return cast("Mapping[str, Any]", value)


def read_choice(value: object, where: str) -> Choice:
    """Return a choice in its types."""
    try:
        return Choice.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        named = ".".join([where, *map(str, first["loc"])])
        raise InvalidArgument(named, first["input"], f"as vLLM and SGLang have it ({first['msg']})") from None


def params_of(request: Mapping[str, Any], engine: DialectName, where: str) -> dict[str, Any]:
    """Return the fields of a request that say what is sampled, by the names of the API, those left out that are off.

    Raises:
        InvalidArgument: There are others that may.
    """
    own = request.get("sampling_params")
    given = {**request, **object_of(own or {}, f"{where}.request.sampling_params")}
    found: dict[str, Any] = {}
    for name, value in given.items():
        named = RENAMED.get(name, name)
        if value is None or name in WITHOUT_EFFECT:
            continue
        if named in TOLD:
            found[named] = value
        elif value not in (False, [], {}, ""):
            words = "left out or null: it may change what is sampled, or when it is told, and a trace has no place for it"
            raise InvalidArgument(f"{where}.request.{name}", value, words)
    if found.get("top_k") in get_dialect(engine).top_k_off:
        del found["top_k"]
    if found.get("min_tokens") == 0:
        del found["min_tokens"]
    return {name: value for name, value in found.items() if value not in ([], {}, "")}


def n_of(request: Mapping[str, Any]) -> int:
    """Return how many choices each prompt has."""
    n = {**request, **(request.get("sampling_params") or {})}.get("n")
    return n if isinstance(n, int) and n > 1 else 1


def prompt_of(
    choice: Choice, response: Mapping[str, Any], request: Mapping[str, Any], place: int
) -> list[int] | None:
    """Return the ids of a choice's prompt, the place-th of its request; None where nobody tells them."""
    if choice.prompt_token_ids is not None:
        return choice.prompt_token_ids
    if response.get("prompt_token_ids") is not None:
        return response["prompt_token_ids"]
    for name in ("token_ids", "input_ids", "prompt"):
        given = request.get(name)
        if isinstance(given, list) and given:
            given = given[place] if isinstance(given[0], list) and place < len(given) else given
            if all(isinstance(token, int) for token in given):
                return given
    meta = choice.meta_info
    entries = None if meta is None else meta.input_token_logprobs
    whole = entries and meta and len(entries) == meta.prompt_tokens
    return [entry[1] for entry in entries or []] if whole else None


def told_of(choice: Choice, where: str) -> dict[str, Any]:
    """Return the tokens of a choice and what is said of each.

    Raises:
        InvalidArgument: There are none.
    """
    meta = choice.meta_info or Meta()
    values, lists = (
        ([entry[:2] for entry in meta.output_token_logprobs], meta.output_top_logprobs or [])
        if meta.output_token_logprobs
        else entries_of(choice.logprobs, where)
    )
    ids = choice.ids
    if ids is None and values and all(entry[1] is not None for entry in values):
        ids = [entry[1] for entry in values]
    if ids is None:
        words = (
            "given: ask with return_token_ids (of SGLang's chat with return_meta_info or return_token_ids)"
        )
        raise InvalidArgument(f"{where}.token_ids", None, words)
    listed: list[Listed] = [
        {token: value for value, token, *_ in entries or [] if possible(value) and token is not None}
        for entries in lists
    ] or [{} for _ in ids]
    for token, (value, _), known in zip(ids, values, listed, strict=False):
        if possible(value) and (known or meta.output_token_logprobs):
            known.setdefault(token, value)
    return {
        "token_ids": ids,
        "top_logprobs": [
            [{"id": token, "logprob": value} for token, value in known.items()] for known in listed
        ],
        "logprobs": [value if possible(value) else None for value, _ in values] or None,
        "kept": choice.sampling_mask or meta.output_token_sampling_mask,
    }


def possible(value: object) -> bool:
    """Whether a value is a log probability, and not one that stands for none."""
    return isinstance(value, int | float) and math.isfinite(value) and value > SENTINEL


def entries_of(logprobs: Any, where: str) -> tuple[list[list[Any]], list[list[list[Any]]]]:
    """Return by position value and id of the sampled token, and those of the listed ones; ids are None where texts are told."""
    if not logprobs:
        return [], []
    try:
        if "content" in logprobs:
            content: Sequence[Any] = logprobs["content"] or []
            return [pair(one) for one in content], [
                [pair(other) for other in one.get("top_logprobs") or []] for one in content
            ]
        sampled = zip(logprobs["token_logprobs"], logprobs["tokens"], strict=True)
        lists = [
            [[value, id_of(token)] for token, value in (one or {}).items()]
            for one in logprobs["top_logprobs"] or []
        ]
        return [[value, id_of(token)] for value, token in sampled], lists
    except (TypeError, LookupError, ValueError, AttributeError):
        words = "as vLLM and SGLang have it: `content`, or `tokens` and `token_logprobs`"
        raise InvalidArgument(f"{where}.logprobs", logprobs, words) from None


def pair(entry: Mapping[str, Any]) -> list[Any]:
    """Return value and id of an entry."""
    return [entry["logprob"], entry["token_id"] if "token_id" in entry else id_of(entry["token"])]


def id_of(token: str) -> int | None:
    """Return the id that `return_tokens_as_token_ids` puts in a token's place; None for a text."""
    number = token.removeprefix("token_id:")
    return int(number) if number != token and number.isdecimal() else None


def reason_of(choice: Choice) -> str | None:
    """Why a choice ended; None where it is for a reason that traces do not have."""
    told = choice.finish_reason or (choice.meta_info and choice.meta_info.finish_reason)
    named = told.get("type") if isinstance(told, Mapping) else told
    return named if named in REASONS else None
